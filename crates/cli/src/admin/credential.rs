//! `cargoman credential …`

use clap::Subcommand;
use serde_json::{Value, json};

use super::Answer;
use super::client::Client;
use super::fields::{add_list, given};
use super::output::text;
use super::path::segment;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a credential; shows it once.
    Create {
        /// For people.
        name: String,
        /// What it may do: owner, admin, viewer or publisher.
        #[arg(long)]
        level: String,
        /// Who has it.
        #[arg(long)]
        email: Option<String>,
        /// Packages that a publisher may upload and sync, `acme/*`; may be given several times.
        #[arg(long = "package")]
        packages: Vec<String>,
        /// No good from this instant on (RFC 3339).
        #[arg(long)]
        expires_at: Option<String>,
    },
    /// Lists credentials.
    List,
    /// Replaces a credential's secret; shows the new one once.
    Rotate {
        /// Id, `cred_…`.
        credential: String,
        /// Seconds for which the old secret still works.
        #[arg(long, default_value_t = 0)]
        grace_seconds: u32,
    },
    /// Ends a credential.
    Revoke {
        /// Id, `cred_…`.
        credential: String,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Create { name, level, email, packages, expires_at } => {
            let mut body = given(&[
                ("name", &Some(name)),
                ("level", &Some(level)),
                ("email", &email),
                ("expires_at", &expires_at),
            ]);
            add_list(&mut body, "package_scopes", &packages);
            Ok(shown(client.post("credentials", &body).await?))
        }
        Command::List => Ok(Answer::Table(
            &["id", "name", "level", "email", "package_scopes", "last_used_at", "expires_at", "revoked_at"],
            client.list("credentials").await?,
        )),
        Command::Rotate { credential, grace_seconds } => {
            let path = format!("credentials/{}/rotate", segment(&credential));
            Ok(shown(client.post(&path, &json!({"grace_seconds": grace_seconds})).await?))
        }
        Command::Revoke { credential } => {
            let gone = client.delete(&format!("credentials/{}", segment(&credential))).await?;
            let sentence = format!("revoked {} ({})", text(&gone, "id"), text(&gone, "name"));
            Ok(Answer::Thing(gone, sentence))
        }
    }
}

fn shown(made: Value) -> Answer {
    let secret = text(&made, "plain_token");
    let sentence = format!("credential, shown this once: {secret}\nfor its user: export CARGOMAN_TOKEN={secret}");
    Answer::Thing(made, sentence)
}
