//! `cargoman grant …`

use clap::Subcommand;

use super::Answer;
use super::client::{Client, segment};
use super::customer::given;
use super::output::text;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lets a customer see a package.
    Add {
        /// Id of the customer, `cust_…`.
        customer: String,
        /// `vendor/name`.
        package: String,
        /// Which versions, as in a composer.json.
        #[arg(long)]
        constraint: Option<String>,
        /// The least stable versions shown.
        #[arg(long)]
        minimum_stability: Option<String>,
        /// Versions published up to this instant (RFC 3339).
        #[arg(long)]
        updates_until: Option<String>,
    },
    /// Lists a customer's grants.
    List {
        /// Id of the customer, `cust_…`.
        customer: String,
    },
    /// Takes a grant away.
    Remove {
        /// Id of the customer, `cust_…`.
        customer: String,
        /// Id of the grant, `grant_…`.
        grant: String,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Add { customer, package, constraint, minimum_stability, updates_until } => {
            let body = given(&[
                ("package", &Some(package)),
                ("constraint", &constraint),
                ("minimum_stability", &minimum_stability),
                ("updates_until", &updates_until),
            ]);
            let grant = client.post(&format!("customers/{}/packages", segment(&customer)), &body).await?;
            let sentence = format!("{customer} sees {} {}", text(&grant, "package"), text(&grant, "constraint"));
            Ok(Answer::Thing(grant, sentence))
        }
        Command::List { customer } => {
            let rows = client.list(&format!("customers/{}/packages", segment(&customer))).await?;
            Ok(Answer::Table(&["id", "package", "constraint", "minimum_stability", "updates_until"], rows))
        }
        Command::Remove { customer, grant } => {
            let gone = client.delete(&format!("customers/{}/grants/{}", segment(&customer), segment(&grant))).await?;
            let sentence =
                format!("{customer} no longer sees {} {}", text(&gone, "package"), text(&gone, "constraint"));
            Ok(Answer::Thing(gone, sentence))
        }
    }
}
