//! `cargoman task …`: what is being done, and what has to be looked at.

use clap::Subcommand;
use serde_json::Value;

use super::Answer;
use super::client::Client;
use super::output::text;
use super::path::query;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists tasks, newest first.
    List {
        /// Only those in this state: queued, running, succeeded, failed or cancelled.
        #[arg(long)]
        state: Option<String>,
        /// Only those that failed and are not tried again by themselves.
        #[arg(long)]
        dead: bool,
        /// Only those about this package.
        #[arg(long)]
        package: Option<String>,
    },
    /// Shows one.
    Show {
        /// `task_…`
        id: String,
    },
    /// Does once more what failed, and at once what waits for its next try.
    Retry {
        /// `task_…`
        id: String,
    },
    /// Ends one: what waits never begins, what runs ends within seconds.
    Cancel {
        /// `task_…`
        id: String,
    },
    /// Reads every repository.
    SyncAll,
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::List { state, dead, package } => {
            let dead = dead.then_some("true");
            let wanted = [("state", state.as_deref()), ("dead", dead), ("package", package.as_deref())];
            let rows = client.list(&query("tasks", &wanted)).await?;
            Ok(Answer::Table(&["id", "kind", "package", "state", "retries", "created_at", "error"], rows))
        }
        Command::Show { id } => {
            let task = client.get(&format!("tasks/{id}")).await?;
            let sentence = sentence(&task);
            Ok(Answer::Thing(task, sentence))
        }
        Command::Retry { id } => {
            let task = client.post(&format!("tasks/{id}/retry"), &Value::Null).await?;
            let sentence = format!("{} is queued\nnext: cargoman task show {}", text(&task, "id"), text(&task, "id"));
            Ok(Answer::Thing(task, sentence))
        }
        Command::Cancel { id } => {
            let task = client.post(&format!("tasks/{id}/cancel"), &Value::Null).await?;
            let sentence = match text(&task, "state") {
                "running" => format!("{id} ends within seconds"),
                state => format!("{id} is {state}"),
            };
            Ok(Answer::Thing(task, sentence))
        }
        Command::SyncAll => {
            let queued = client.post("tasks/sync-all", &Value::Null).await?;
            let number = queued.get("queued").and_then(Value::as_i64).unwrap_or_default();
            Ok(Answer::Thing(queued, format!("{number} packages are read\nnext: cargoman task list")))
        }
    }
}

fn sentence(task: &Value) -> String {
    let (about, state) = (text(task, "package"), text(task, "state"));
    let error = text(task, "error");
    match (error, task.get("dead").and_then(Value::as_bool).unwrap_or_default()) {
        ("", _) => format!("{about}: {state}"),
        (_, true) => format!("{about}: {state}: {error}\nnext: cargoman task retry {}", text(task, "id")),
        (_, false) => format!("{about}: {state}: {error}"),
    }
}
