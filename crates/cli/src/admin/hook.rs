//! `cargoman hook …`: what forges call when something was pushed.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Answer;
use super::client::Client;
use super::output::text;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a hook and shows its address and its secret, once.
    Create {
        /// github, gitlab, bitbucket, gitea (Forgejo too) or packagist.
        provider: String,
        /// For people.
        #[arg(long)]
        name: Option<String>,
        /// GitLab alone: signatures by Standard Webhooks instead of the old token.
        #[arg(long)]
        signed: bool,
    },
    /// Lists hooks.
    List,
    /// Shows what came to a hook, and what came of it.
    Deliveries {
        /// `hook_…`
        id: String,
    },
    /// Does once more what a delivery asked for.
    Replay {
        /// `hook_…`
        id: String,
        /// `dlv_…`
        delivery: String,
    },
    /// Gives a hook another secret; the old one is worth nothing from then on.
    Rotate {
        /// `hook_…`
        id: String,
    },
    /// Deletes a hook and what is known of its deliveries.
    Delete {
        /// `hook_…`
        id: String,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Create { provider, name, signed } => {
            let mut body = json!({"provider": provider});
            if let Some(name) = name {
                body["name"] = json!(name);
            }
            if signed {
                body["signed"] = json!(true);
            }
            let hook = client.post("hooks", &body).await?;
            let sentence = shown(&hook);
            Ok(Answer::Thing(hook, sentence))
        }
        Command::List => {
            let rows = client.list("hooks").await?;
            Ok(Answer::Table(&["id", "provider", "name", "url", "delivered_at", "refused_reason"], rows))
        }
        Command::Deliveries { id } => {
            let rows = client.list(&format!("hooks/{id}/deliveries")).await?;
            Ok(Answer::Table(&["id", "received_at", "event", "outcome", "packages", "reason"], rows))
        }
        Command::Replay { id, delivery } => {
            let done = client.post(&format!("hooks/{id}/deliveries/{delivery}/replay"), &Value::Null).await?;
            let sentence = format!("{delivery}: {}", text(&done, "outcome"));
            Ok(Answer::Thing(done, sentence))
        }
        Command::Rotate { id } => {
            let hook = client.post(&format!("hooks/{id}/rotate"), &Value::Null).await?;
            let sentence = shown(&hook);
            Ok(Answer::Thing(hook, sentence))
        }
        Command::Delete { id } => {
            let gone = client.delete(&format!("hooks/{id}")).await?;
            let sentence = format!("deleted {}", text(&gone, "name"));
            Ok(Answer::Thing(gone, sentence))
        }
    }
}

fn shown(hook: &Value) -> String {
    format!(
        "address: {}\nsecret:  {} (shown this once)\nnext: give both to {}, for the events push, tag, branch and repository",
        text(hook, "url"),
        text(hook, "secret"),
        text(hook, "provider")
    )
}
