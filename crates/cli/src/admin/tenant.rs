//! `cargoman tenant …`

use clap::Subcommand;
use serde_json::{Value, json};

use super::Answer;
use super::client::Client;
use super::fields::given;
use super::output::text;
use super::path::segment;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a tenant.
    Create {
        /// First label of its host in the zone.
        slug: String,
        /// For people.
        #[arg(long)]
        name: Option<String>,
    },
    /// Lists tenants.
    List,
    /// Refuses a tenant's users everything.
    Suspend {
        /// Id, `ten_…`.
        id: String,
        /// What they read.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Ends a suspension.
    Reactivate {
        /// Id, `ten_…`.
        id: String,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    let after: Value = match command {
        Command::Create { slug, name } => {
            client.post("tenants", &given(&[("slug", &Some(slug)), ("name", &name)])).await?
        }
        Command::List => {
            return Ok(Answer::Table(&["id", "slug", "name", "status", "is_default"], client.list("tenants").await?));
        }
        Command::Suspend { id, reason } => {
            client.post(&format!("tenants/{}/suspend", segment(&id)), &given(&[("reason", &reason)])).await?
        }
        Command::Reactivate { id } => client.post(&format!("tenants/{}/reactivate", segment(&id)), &json!({})).await?,
    };
    let sentence = format!("tenant {} ({}) is {}", text(&after, "slug"), text(&after, "id"), text(&after, "status"));
    Ok(Answer::Thing(after, sentence))
}
