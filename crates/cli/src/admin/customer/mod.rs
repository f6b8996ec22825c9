//! `cargoman customer …`

mod arguments;
mod show;

use serde_json::{Value, json};

pub(super) use self::arguments::Command;
use super::Answer;
use super::client::Client;
use super::consent::Consent;
use super::deletion::{restore, way_back};
use super::fields::{add_list, changed, given};
use super::output::{counted, text};
use super::path::{customer as address, query};
use crate::exit::Failure;

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Create { name, may_publish, fields } => {
            let mut body = given(&fields.named(&Some(name)));
            add_list(&mut body, "may_publish", &may_publish);
            let made = client.post("customers", &body).await?;
            let sentence = created(&made);
            Ok(Answer::Thing(made, sentence))
        }
        Command::List { status, q } => {
            let path = query("customers", &[("status", status.as_deref()), ("q", q.as_deref())]);
            let rows = client.list(&path).await?;
            Ok(Answer::Table(&["id", "name", "status", "email", "external_id", "expires_at"], rows))
        }
        Command::Show { customer } => show::show(client, &customer).await,
        Command::Update { customer, name, may_publish, fields, consent } => {
            let mut body = changed(&fields.named(&name));
            add_list(&mut body, "may_publish", &may_publish);
            consent.told(client.patch(&consent.on(&address(&customer)), &body).await?, state)
        }
        Command::Suspend { customer, reason, consent } => {
            change(client, &customer, "suspend", &given(&[("reason", &reason)]), consent).await
        }
        Command::Reactivate { customer, expires_at, updates_until, consent } => {
            let body = changed(&[("expires_at", &expires_at), ("updates_until", &updates_until)]);
            change(client, &customer, "reactivate", &body, consent).await
        }
        Command::Freeze { customer, versions, consent } => {
            let path = format!("{}/freeze", address(&customer));
            consent.told(client.post(&consent.on(&path), &listed(&versions)?).await?, frozen)
        }
        Command::Expire { customer, consent } => change(client, &customer, "expire", &json!({}), consent).await,
        Command::Delete { customer, consent } => {
            let gone = client.delete(&consent.on(&address(&customer))).await?;
            consent
                .told(gone, |gone| format!("deleted {} ({}){}", text(gone, "id"), text(gone, "name"), way_back(gone)))
        }
        Command::Restore { customer } => restore(client, &address(&customer)).await,
    }
}

async fn change(
    client: &Client,
    customer: &str,
    action: &str,
    body: &Value,
    consent: Consent,
) -> Result<Answer, Failure> {
    let path = format!("{}/{action}", address(customer));
    consent.told(client.post(&consent.on(&path), body).await?, |after| match action {
        "reactivate" if text(after, "status") != "active" => {
            format!("{}\nnext: the same again lifts this too", state(after))
        }
        _ => state(after),
    })
}

/// The body of a freeze: `package:version` pairs, or none for all he sees now.
fn listed(versions: &[String]) -> Result<Value, Failure> {
    let pair = |text: &String| match text.split_once(':') {
        Some((package, version)) => Ok(json!({"package": package, "version": version})),
        None => Err(Failure::usage(format!("`{text}` must be PACKAGE:VERSION, such as acme/pay:1.2.0"))),
    };
    let versions = versions.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    Ok(if versions.is_empty() { json!({}) } else { json!({"versions": versions}) })
}

fn created(made: &Value) -> String {
    let id = text(made, "id");
    format!(
        "customer {id} ({})\ntoken, shown this once: {}\nnext: cargoman grant add {id} <vendor/package>",
        text(made, "name"),
        text(made, "token"),
    )
}

fn state(after: &Value) -> String {
    format!("{} ({}) is {}", text(after, "id"), text(after, "name"), text(after, "status"))
}

fn frozen(after: &Value) -> String {
    let count = after.get("frozen_versions").and_then(Value::as_u64).unwrap_or_default();
    let id = text(after, "id");
    // Suspended or expired besides, he is shown as that.
    format!(
        "{id} ({}) is frozen at {}\nthis lets go of him: cargoman customer reactivate {id}",
        text(after, "name"),
        counted(count, "version")
    )
}
