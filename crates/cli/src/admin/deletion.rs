//! `cargoman deletion …`

use clap::Subcommand;
use serde_json::Value;

use super::Answer;
use super::client::Client;
use super::output::text;
use super::path::{query, segment};
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists what was deleted and can be restored.
    List {
        /// Only these: customer, grant or package.
        #[arg(long)]
        kind: Option<String>,
    },
    /// Brings back what was deleted.
    Restore {
        /// Id, `del_…`.
        deletion: String,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::List { kind } => {
            let rows = client.list(&query("deletions", &[("kind", kind.as_deref())])).await?;
            Ok(Answer::Table(&["id", "kind", "subject", "name", "deleted_at", "restorable_until"], rows))
        }
        Command::Restore { deletion } => restore(client, &format!("deletions/{}", segment(&deletion))).await,
    }
}

/// Restores what was at `address`, or the deletion of that address.
pub(super) async fn restore(client: &Client, address: &str) -> Result<Answer, Failure> {
    let back = client.post(&format!("{address}/restore"), &Value::Null).await?;
    let mut sentence = match text(&back, "name") {
        "" => format!("restored {}", text(&back, "id")),
        name => format!("restored {name} ({})", text(&back, "id")),
    };
    for skipped in back.get("skipped").and_then(Value::as_array).into_iter().flatten() {
        sentence.push_str(&format!("\n  not the grant {}: {}", text(skipped, "grant"), text(skipped, "reason")));
    }
    Ok(Answer::Thing(back, sentence))
}

/// How to undo what was just deleted, as one more line.
pub(super) fn way_back(gone: &Value) -> String {
    let Some(deletion) = gone.get("deletion").filter(|deletion| deletion.is_object()) else { return String::new() };
    format!(
        "\nuntil {} this brings it back: cargoman deletion restore {}",
        text(deletion, "restorable_until"),
        text(deletion, "id")
    )
}
