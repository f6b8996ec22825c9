//! `cargoman customer …`

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::Answer;
use super::client::{Client, segment};
use super::output::text;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a customer; shows his first token, once.
    Create {
        /// For people.
        name: String,
        /// Where to write.
        #[arg(long)]
        email: Option<String>,
        /// His id in your shop.
        #[arg(long)]
        external_id: Option<String>,
        /// He counts as expired from this instant on (RFC 3339).
        #[arg(long)]
        expires_at: Option<String>,
        /// The least stable versions he sees: stable, RC, beta, alpha or dev.
        #[arg(long)]
        minimum_stability: Option<String>,
    },
    /// Lists customers.
    List {
        /// Only those in this state: active, suspended or expired.
        #[arg(long)]
        status: Option<String>,
        /// Only those whose name, e-mail or external id holds this.
        #[arg(long)]
        q: Option<String>,
    },
    /// Shows one customer and his grants.
    Show {
        /// Id, `cust_…`.
        customer: String,
    },
    /// Refuses a customer everything.
    Suspend {
        /// Id, `cust_…`.
        customer: String,
        /// What his developers read.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Ends a suspension or an expiry.
    Reactivate {
        /// Id, `cust_…`.
        customer: String,
        /// A new end (RFC 3339).
        #[arg(long)]
        expires_at: Option<String>,
    },
    /// Lets a customer's time be over now.
    Expire {
        /// Id, `cust_…`.
        customer: String,
    },
    /// Deletes a customer with his tokens and grants.
    Delete {
        /// Id, `cust_…`.
        customer: String,
    },
}

/// The fields that were given.
pub(super) fn given(fields: &[(&str, &Option<String>)]) -> Value {
    let given = fields.iter().filter_map(|(name, value)| Some(((*name).to_owned(), json!(value.as_ref()?))));
    Value::Object(given.collect::<Map<String, Value>>())
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Create { name, email, external_id, expires_at, minimum_stability } => {
            let body = given(&[
                ("name", &Some(name)),
                ("email", &email),
                ("external_id", &external_id),
                ("expires_at", &expires_at),
                ("minimum_stability", &minimum_stability),
            ]);
            let made = client.post("customers", &body).await?;
            let sentence = format!(
                "customer {} ({})\ntoken, shown this once: {}\nnext: cargoman grant add {} <vendor/package>",
                text(&made, "id"),
                text(&made, "name"),
                text(&made, "token"),
                text(&made, "id")
            );
            Ok(Answer::Thing(made, sentence))
        }
        Command::List { status, q } => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(status.iter().map(|status| ("status", status)));
            query.extend_pairs(q.iter().map(|q| ("q", q)));
            let rows = client.list(&format!("customers?{}", query.finish())).await?;
            Ok(Answer::Table(&["id", "name", "status", "email", "external_id", "expires_at"], rows))
        }
        Command::Show { customer } => show(client, &customer).await,
        Command::Suspend { customer, reason } => {
            change(client, &customer, "suspend", &given(&[("reason", &reason)])).await
        }
        Command::Reactivate { customer, expires_at } => {
            change(client, &customer, "reactivate", &given(&[("expires_at", &expires_at)])).await
        }
        Command::Expire { customer } => change(client, &customer, "expire", &json!({})).await,
        Command::Delete { customer } => {
            let gone = client.delete(&format!("customers/{}", segment(&customer))).await?;
            let sentence = format!("deleted {} ({})", text(&gone, "id"), text(&gone, "name"));
            Ok(Answer::Thing(gone, sentence))
        }
    }
}

async fn change(client: &Client, customer: &str, action: &str, body: &Value) -> Result<Answer, Failure> {
    let after = client.post(&format!("customers/{}/{action}", segment(customer)), body).await?;
    let sentence = format!("{} ({}) is {}", text(&after, "id"), text(&after, "name"), text(&after, "status"));
    Ok(Answer::Thing(after, sentence))
}

async fn show(client: &Client, customer: &str) -> Result<Answer, Failure> {
    let mut found = client.get(&format!("customers/{}", segment(customer))).await?;
    let grants = client.list(&format!("customers/{}/packages", segment(customer))).await?;
    let mut sentence = format!("{} {} – {}", text(&found, "id"), text(&found, "name"), text(&found, "status"));
    for grant in grants.as_array().into_iter().flatten() {
        sentence.push_str(&format!("\n  {} {}", text(grant, "package"), text(grant, "constraint")));
        if let Some(until) = grant.get("updates_until").and_then(Value::as_str) {
            sentence.push_str(&format!(", published until {until}"));
        }
    }
    if let Some(found) = found.as_object_mut() {
        found.insert("grants".to_owned(), grants);
    }
    Ok(Answer::Thing(found, sentence))
}
