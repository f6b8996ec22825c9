//! `cargoman grant …`

mod arguments;

use serde_json::{Value, json};

pub(super) use self::arguments::Command;
use self::arguments::{On, Words};
use super::client::Client;
use super::consent::Consent;
use super::deletion::way_back;
use super::fields::{changed, given};
use super::output::{counted, text};
use super::path::{customer as address, parts, segment};
use super::{Answer, effect};
use crate::exit::Failure;

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Add { customer, on, words } => {
            let grant = client.post(&format!("{}/packages", address(&customer)), &body(&on, &words)).await?;
            let sentence = format!("{customer} sees {} ({})", described(&grant), text(&grant, "id"));
            Ok(Answer::Thing(grant, sentence))
        }
        Command::Preview { customer, on, words } => {
            let answer = client.post(&format!("{}/packages/preview", address(&customer)), &body(&on, &words)).await?;
            let effect = answer.get("effect").map(effect::words).unwrap_or_default();
            Ok(Answer::Thing(answer, effect))
        }
        Command::List { customer } => {
            let rows = client.list(&format!("{}/packages", address(&customer))).await?;
            Ok(Answer::Table(
                &[
                    "id",
                    "package",
                    "collection",
                    "constraint",
                    "minimum_stability",
                    "updates_until",
                    "status",
                    "external_id",
                ],
                rows,
            ))
        }
        Command::Update { customer, grant, words, consent } => {
            let after = client.patch(&consent.on(&one(&customer, &grant)), &changed(&words.named())).await?;
            consent.told(after, |after| format!("{grant} is now: {}", described(after)))
        }
        Command::Suspend { customer, grant, reason, consent } => {
            let path = format!("{}/suspend", one(&customer, &grant));
            let after = client.post(&consent.on(&path), &given(&[("reason", &reason)])).await?;
            consent.told(after, |after| format!("{grant} is {}: {}", text(after, "status"), described(after)))
        }
        Command::Reactivate { customer, grant, updates_until, consent } => {
            let path = format!("{}/reactivate", one(&customer, &grant));
            let after = client.post(&consent.on(&path), &changed(&[("updates_until", &updates_until)])).await?;
            consent.told(after, |after| format!("{grant} is {}: {}", text(after, "status"), described(after)))
        }
        Command::Remove { customer, grant, package, collection, consent } => {
            let whole = (package, collection);
            remove(client, &customer, grant.as_deref(), whole, consent).await
        }
    }
}

/// Takes one grant away, or all on a package or a collection.
async fn remove(
    client: &Client,
    customer: &str,
    grant: Option<&str>,
    whole: (Option<String>, Option<String>),
    consent: Consent,
) -> Result<Answer, Failure> {
    let path = match (grant, whole) {
        (Some(grant), _) => one(customer, grant),
        (None, (Some(package), _)) => format!("{}/packages/{}", address(customer), parts(&package)),
        (None, (None, Some(collection))) => format!("{}/collections/{}", address(customer), segment(&collection)),
        (None, (None, None)) => return Err(Failure::usage("name the grant, or --package or --collection")),
    };
    let gone = client.delete(&consent.on(&path)).await?;
    consent.told(gone, |gone| {
        let mut sentence = match gone.get("removed") {
            Some(count) => {
                format!("took {} of {customer} away", counted(count.as_u64().unwrap_or_default(), "grant"))
            }
            None => format!("{customer} no longer has the grant on {}", described(gone)),
        };
        let through = gone.get("still_visible_through").and_then(Value::as_array).map(Vec::as_slice);
        for collection in through.unwrap_or_default() {
            let slug = collection.as_str().unwrap_or_default();
            sentence.push_str(&format!("\nhe sees it still through the collection {slug}"));
        }
        sentence + &way_back(gone)
    })
}

fn one(customer: &str, grant: &str) -> String {
    format!("{}/grants/{}", address(customer), segment(grant))
}

fn body(on: &On, words: &Words) -> Value {
    let mut body = given(&words.named());
    let (field, name) = on.named();
    body[field] = json!(name);
    body
}

/// What a grant shows: `acme/pay ^1.0, published until 2027-01-31T00:00:00Z`.
pub(super) fn described(grant: &Value) -> String {
    let on = match text(grant, "package") {
        "" => format!("collection {}", text(grant, "collection")),
        package => package.to_owned(),
    };
    let mut out = format!("{on} {}", text(grant, "constraint"));
    for (field, words) in [
        ("minimum_stability", "minimum stability"),
        ("updates_until", "published until"),
        ("external_id", "external id"),
        ("suspended_at", "suspended since"),
        ("status_reason", "reason"),
    ] {
        if let Some(value) = grant.get(field).and_then(Value::as_str) {
            out.push_str(&format!(", {words} {value}"));
        }
    }
    out
}
