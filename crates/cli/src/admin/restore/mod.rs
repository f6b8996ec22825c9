//! `cargoman restore --audit FILE`: after a backup was restored, does again what an export of the audit trail says was taken away since,
//! and says plainly what it cannot know.

mod lost;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use self::lost::{Entry, Step, lost};
use super::client::Client;
use super::output::text;
use super::path::query;
use super::{Answer, Place};
use crate::exit::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) place: Place,
    /// The admin token; better given as CARGOMAN_TOKEN.
    #[arg(long, env = "CARGOMAN_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// The audit trail as it was before the loss: what `cargoman audit-trail list --json` printed.
    #[arg(long, value_name = "FILE")]
    audit: PathBuf,
    /// Shows what would be done, and does nothing.
    #[arg(long)]
    dry_run: bool,
    /// Does it however many customers lose something, past the brake in the settings.
    #[arg(long)]
    confirm: bool,
}

/// What came of one entry.
enum Outcome {
    Done,
    /// Its customer, token, grant or version is not in the restored database: it was made after the backup.
    NothingThere,
    Would,
    Cannot(String),
    Failed(String),
}

pub(super) async fn run(client: &Client, arguments: &Arguments) -> Result<Answer, Failure> {
    let exported = read(arguments)?;
    let present: Vec<Entry> = serde_json::from_value(client.list("audit").await?).map_err(Failure::failed)?;
    let lost = lost(exported, &present).map_err(Failure::usage)?;
    let (mut rows, mut failed) = (Vec::new(), 0);
    for entry in &lost {
        let outcome = redo(client, entry, arguments).await;
        failed += usize::from(matches!(outcome, Outcome::Failed(_)));
        rows.push(
            json!({"at": entry.at, "action": entry.action, "subject": entry.subject, "outcome": outcome.words()}),
        );
    }
    if failed > 0 {
        let table = super::output::table(COLUMNS, &Value::Array(rows));
        return Err(Failure::failed(format!(
            "{table}\n{failed} of {} failed; run it again: what was done stays",
            lost.len()
        )));
    }
    eprintln!(
        "cargoman: what happened after the export was made is not in it and not known here; downloads since the backup are \
         counted again only where edges still keep them"
    );
    Ok(Answer::Table(COLUMNS, Value::Array(rows)))
}

const COLUMNS: &[&str] = &["at", "action", "subject", "outcome"];

fn read(arguments: &Arguments) -> Result<Vec<Entry>, Failure> {
    let name = arguments.audit.display();
    let text = std::fs::read_to_string(&arguments.audit)
        .map_err(|error| Failure::usage(format!("--audit: cannot read {name}: {error}")))?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!("--audit: {name} is not what `cargoman audit-trail list --json` prints: {error}"))
    })
}

async fn redo(client: &Client, entry: &Entry, arguments: &Arguments) -> Outcome {
    let braked = |path: &str| query(path, &[("confirm", arguments.confirm.then_some("true"))]);
    let step = entry.step(Utc::now());
    if let Step::Cannot(why) = step {
        return Outcome::Cannot(why.to_owned());
    }
    if arguments.dry_run {
        return Outcome::Would;
    }
    let done = match step {
        Step::Post(path, body) => client.attempt(Method::POST, &path, &body).await,
        Step::Braked(path, body) => client.attempt(Method::POST, &braked(&path), &body).await,
        Step::Delete(path) => client.attempt(Method::DELETE, &path, &Value::Null).await,
        Step::BrakedDelete(path) => client.attempt(Method::DELETE, &braked(&path), &Value::Null).await,
        Step::Tokens(customer) => revoke_older(client, &customer, entry.at).await,
        Step::Cannot(_) => Ok(None),
    };
    match done {
        Ok(Some(_)) => Outcome::Done,
        Ok(None) => Outcome::NothingThere,
        Err(failure) => Outcome::Failed(failure.to_string()),
    }
}

/// Revokes the customer's tokens that were there then; later ones were made after the restore.
async fn revoke_older(client: &Client, customer: &str, then: DateTime<Utc>) -> Result<Option<Value>, Failure> {
    if client.find(customer).await?.is_none() {
        return Ok(None);
    }
    let tokens = client.list(&format!("{customer}/tokens")).await?;
    for token in tokens.as_array().into_iter().flatten() {
        let made: Option<DateTime<Utc>> = text(token, "created_at").parse().ok();
        if made.is_none_or(|made| made <= then) {
            client.attempt(Method::DELETE, &format!("{customer}/tokens/{}", text(token, "id")), &Value::Null).await?;
        }
    }
    Ok(Some(Value::Null))
}

impl Outcome {
    fn words(&self) -> String {
        match self {
            Self::Done => "done again".to_owned(),
            Self::NothingThere => "nothing to do: it concerns what was made after the backup".to_owned(),
            Self::Would => "would be done again".to_owned(),
            Self::Cannot(why) => format!("not done: {why}"),
            Self::Failed(why) => format!("FAILED: {why}"),
        }
    }
}
