//! `cargoman token …`

use clap::Subcommand;
use serde_json::{Value, json};

use super::Answer;
use super::client::Client;
use super::fields::given;
use super::output::text;
use super::path::{customer as address, segment};
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a token; shows it once.
    Create {
        /// Id of the customer, `cust_…`.
        customer: String,
        /// For people.
        name: String,
        /// What it may do: download, admin, developer or webhook; else download.
        #[arg(long)]
        scope: Option<String>,
        /// Narrows it to packages, `acme/*`; may be given several times.
        #[arg(long = "package")]
        packages: Vec<String>,
        /// No good from this instant on (RFC 3339).
        #[arg(long)]
        expires_at: Option<String>,
    },
    /// Lists a customer's tokens.
    List {
        /// Id of the customer, `cust_…`.
        customer: String,
    },
    /// Replaces a token's secret; shows the new one once.
    Rotate {
        /// Id of the customer, `cust_…`.
        customer: String,
        /// Id of the token, `tok_id_…`.
        // The name `token` belongs to the flag of all commands; clap would take one for the other.
        #[arg(value_name = "TOKEN")]
        token_id: String,
        /// Seconds for which the old secret still works.
        #[arg(long, default_value_t = 0)]
        grace_seconds: u32,
    },
    /// Ends a token.
    Revoke {
        /// Id of the customer, `cust_…`.
        customer: String,
        /// Id of the token, `tok_id_…`.
        // The name `token` belongs to the flag of all commands; clap would take one for the other.
        #[arg(value_name = "TOKEN")]
        token_id: String,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Create { customer, name, scope, packages, expires_at } => {
            let mut body = given(&[("name", &Some(name)), ("scope", &scope), ("expires_at", &expires_at)]);
            body["package_scopes"] = json!(packages);
            Ok(shown(client.post(&format!("{}/tokens", address(&customer)), &body).await?))
        }
        Command::List { customer } => {
            let rows = client.list(&format!("{}/tokens", address(&customer))).await?;
            Ok(Answer::Table(
                &[
                    "id",
                    "name",
                    "scope",
                    "package_scopes",
                    "last_four",
                    "last_used_at",
                    "last_used_ip",
                    "expires_at",
                    "revoked_at",
                ],
                rows,
            ))
        }
        Command::Rotate { customer, token_id, grace_seconds } => {
            let path = format!("{}/tokens/{}/rotate", address(&customer), segment(&token_id));
            Ok(shown(client.post(&path, &json!({"grace_seconds": grace_seconds})).await?))
        }
        Command::Revoke { customer, token_id } => {
            let gone = client.delete(&format!("{}/tokens/{}", address(&customer), segment(&token_id))).await?;
            let sentence = format!("revoked {} (…{})", text(&gone, "id"), text(&gone, "last_four"));
            Ok(Answer::Thing(gone, sentence))
        }
    }
}

fn shown(made: Value) -> Answer {
    let url = made.pointer("/composer_auth/repository_url").and_then(Value::as_str).unwrap_or_default();
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    let sentence = format!(
        "token, shown this once: {}\nfor its users: composer config http-basic.{host} token {}",
        text(&made, "plain_token"),
        text(&made, "plain_token")
    );
    Answer::Thing(made, sentence)
}
