//! `cargoman package …`

mod arguments;
mod sync;
mod version;

use serde_json::{Value, json};

pub(super) use self::arguments::Command;
use self::sync::sync;
use self::version::{change, date, publish, replaced_by};
use super::Answer;
use super::client::Client;
use super::consent::Consent;
use super::deletion::{restore, way_back};
use super::fields::{changed, given};
use super::output::text;
use super::path::{package as address, query};
use super::upload::Upload;
use crate::exit::Failure;

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Add { repository_url, name, upload_only, fork, credential, monorepo, tag_pattern, releases } => {
            let kind = upload_only.then(|| "artifact".to_owned());
            let mut body = given(&[
                ("repository_url", &repository_url),
                ("type", &kind),
                ("name", &name),
                ("credential", &credential),
                ("tag_pattern", &tag_pattern),
            ]);
            releases.add_to(&mut body);
            if !monorepo.is_empty() {
                body["monorepo"] = json!(monorepo);
            }
            if fork {
                body["fork"] = json!(true);
            }
            add(client, &body, upload_only).await
        }
        Command::Update { package, repository_url, credential, releases } => {
            let mut body = changed(&[("repository_url", &repository_url), ("credential", &credential)]);
            releases.add_to(&mut body);
            let after = client.patch(&address(&package), &body).await?;
            let with = after.get("credential").map_or("", |credential| text(credential, "name"));
            let with = if with.is_empty() { String::new() } else { format!(" with the git credential {with}") };
            let sentence = format!("{} is read from {}{with}", text(&after, "name"), text(&after, "repository_url"));
            Ok(Answer::Thing(after, sentence))
        }
        Command::List { q } => {
            let rows = client.list(&query("packages", &[("q", q.as_deref())])).await?;
            Ok(Answer::Table(&["name", "versions", "synced_at", "sync_error", "repository_url"], rows))
        }
        Command::Show { package } => {
            let rows = client.list(&format!("{}/versions", address(&package))).await?;
            Ok(Answer::Table(
                &[
                    "version",
                    "stability",
                    "reference",
                    "published_at",
                    "held_at",
                    "yanked_at",
                    "taken_down_at",
                    "deprecated_at",
                ],
                rows,
            ))
        }
        Command::Sync { package } => sync(client, &package).await,
        Command::Publish { of, file, metadata } => {
            publish(client, &of, Upload::of(&file, metadata.as_deref()).await?).await
        }
        Command::Release { of } => change(client, &of, "release", &Value::Null, Consent::default()).await,
        Command::Replace { of, reason } => {
            change(client, &of, "replace", &json!({"reason": reason}), Consent::default()).await
        }
        Command::Yank { of, consent } => change(client, &of, "yank", &Value::Null, consent).await,
        Command::Unyank { of } => change(client, &of, "unyank", &Value::Null, Consent::default()).await,
        Command::Takedown { of, reason, consent } => {
            change(client, &of, "takedown", &json!({"reason": reason}), consent).await
        }
        Command::Untakedown { of } => change(client, &of, "untakedown", &Value::Null, Consent::default()).await,
        Command::Deprecate { of, replacement } => {
            change(client, &of, "deprecate", &replaced_by(replacement.as_deref()), Consent::default()).await
        }
        Command::Undeprecate { of } => change(client, &of, "undeprecate", &Value::Null, Consent::default()).await,
        Command::Date { of, published_at, reason, reference, consent } => {
            let body =
                given(&[("published_at", &Some(published_at)), ("reason", &Some(reason)), ("reference", &reference)]);
            date(client, &of, &body, consent).await
        }
        Command::Abandon { package, replacement } => {
            give_up(client, &package, "abandon", &replaced_by(replacement.as_deref())).await
        }
        Command::Unabandon { package } => give_up(client, &package, "unabandon", &Value::Null).await,
        Command::Delete { package, consent } => {
            let gone = client.delete(&consent.on(&address(&package))).await?;
            consent.told(gone, |gone| format!("deleted {}{}", text(gone, "name"), way_back(gone)))
        }
        Command::Restore { package } => restore(client, &address(&package)).await,
    }
}

async fn add(client: &Client, body: &Value, upload_only: bool) -> Result<Answer, Failure> {
    let made = client.post("packages", body).await?;
    let package = text(&made, "name").to_owned();
    if upload_only {
        let sentence = format!("{package} is added\nnext: cargoman package publish {package} <version> <file.zip>");
        return Ok(Answer::Thing(made, sentence));
    }
    sync(client, &package).await
}

async fn give_up(client: &Client, package: &str, action: &str, body: &Value) -> Result<Answer, Failure> {
    let after = client.post(&format!("{}/{action}", address(package)), body).await?;
    let abandoned = after.get("abandoned").and_then(Value::as_bool).unwrap_or_default();
    let sentence = match (abandoned, text(&after, "replacement")) {
        (false, _) => format!("{} is kept up", text(&after, "name")),
        (true, "") => format!("{} is abandoned", text(&after, "name")),
        (true, instead) => format!("{} is abandoned, to be replaced by {instead}", text(&after, "name")),
    };
    Ok(Answer::Thing(after, sentence))
}
