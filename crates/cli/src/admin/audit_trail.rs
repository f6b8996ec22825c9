//! `cargoman audit-trail …`: who did what, and the proof that nothing of it was changed since.

use clap::Subcommand;
use serde_json::Value;

use super::Answer;
use super::client::Client;
use super::path::query;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists who did what, newest first; with --json what `cargoman restore --audit` takes.
    List {
        /// Only by this actor, such as `root` or `credential:…`.
        #[arg(long)]
        actor: Option<String>,
        /// Only this action, such as `token.revoke`; `token.` for all on tokens.
        #[arg(long)]
        action: Option<String>,
        /// Only from this instant on, such as 2026-01-31T12:00:00Z.
        #[arg(long)]
        from: Option<String>,
        /// Only before this instant.
        #[arg(long)]
        to: Option<String>,
    },
    /// Proves that no entry was changed, removed or put in since it was written.
    Verify,
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::List { actor, action, from, to } => {
            let narrowed = [("actor", &actor), ("action", &action), ("from", &from), ("to", &to)];
            let narrowed = narrowed.map(|(name, value)| (name, value.as_deref()));
            let entries = client.list(&query("audit", &narrowed)).await?;
            Ok(Answer::Table(&["seq", "at", "actor", "action", "subject", "detail"], entries))
        }
        Command::Verify => {
            let proof = client.get("audit/verify").await?;
            let number = |field: &str| proof.get(field).and_then(Value::as_i64).unwrap_or_default();
            if proof.get("valid") != Some(&Value::Bool(true)) {
                return Err(Failure::failed(format!(
                    "the audit trail does not hold from entry {} on: it was changed, or cut off; compare it with an earlier \
                     export (cargoman audit-trail list --json)",
                    number("broken_at")
                )));
            }
            let sentence = format!("all {} entries hold", number("entries"));
            Ok(Answer::Thing(proof, sentence))
        }
    }
}
