//! `cargoman collection …`

use clap::Subcommand;
use serde_json::Value;

use super::Answer;
use super::client::Client;
use super::consent::Consent;
use super::fields::{add_list, changed, given};
use super::output::text;
use super::path::{query, segment};
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a collection.
    Create {
        /// For people.
        name: String,
        /// Its name in addresses; else made from the name.
        #[arg(long)]
        slug: Option<String>,
        /// A package, `vendor/name`, or a pattern, `acme/*`; may be given several times.
        #[arg(long = "package")]
        packages: Vec<String>,
        /// Which versions, whatever the grant says; as in a composer.json.
        #[arg(long)]
        constraint: Option<String>,
        /// The least stable versions shown, whatever the grant says.
        #[arg(long)]
        minimum_stability: Option<String>,
    },
    /// Lists collections.
    List {
        /// Only those whose name holds this.
        #[arg(long)]
        q: Option<String>,
    },
    /// Shows one collection.
    Show {
        /// Its slug.
        slug: String,
    },
    /// Changes what is given; `null` clears.
    Update {
        /// Its slug.
        slug: String,
        /// For people.
        #[arg(long)]
        name: Option<String>,
        /// Another slug.
        #[arg(long = "slug", id = "new_slug", value_name = "SLUG")]
        new_slug: Option<String>,
        /// All its packages and patterns from now on; may be given several times.
        #[arg(long = "package")]
        packages: Vec<String>,
        /// Which versions.
        #[arg(long)]
        constraint: Option<String>,
        /// The least stable versions shown.
        #[arg(long)]
        minimum_stability: Option<String>,
        #[command(flatten)]
        consent: Consent,
    },
    /// Deletes a collection.
    Delete {
        /// Its slug.
        slug: String,
        /// Deletes the grants on it too.
        #[arg(long)]
        with_grants: bool,
        #[command(flatten)]
        consent: Consent,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Create { name, slug, packages, constraint, minimum_stability } => {
            let mut body = given(&[
                ("name", &Some(name)),
                ("slug", &slug),
                ("constraint", &constraint),
                ("minimum_stability", &minimum_stability),
            ]);
            add_list(&mut body, "packages", &packages);
            let made = client.post("collections", &body).await?;
            let sentence = format!(
                "{}\nnext: cargoman grant add <customer> --collection {}",
                described(&made),
                text(&made, "slug")
            );
            Ok(Answer::Thing(made, sentence))
        }
        Command::List { q } => {
            let rows = client.list(&query("collections", &[("q", q.as_deref())])).await?;
            Ok(Answer::Table(&["slug", "name", "packages", "constraint", "minimum_stability"], rows))
        }
        Command::Show { slug } => {
            let found = client.get(&address(&slug)).await?;
            let sentence = described(&found);
            Ok(Answer::Thing(found, sentence))
        }
        Command::Update { slug, name, new_slug, packages, constraint, minimum_stability, consent } => {
            let mut body = changed(&[
                ("name", &name),
                ("slug", &new_slug),
                ("constraint", &constraint),
                ("minimum_stability", &minimum_stability),
            ]);
            add_list(&mut body, "packages", &packages);
            let after = client.patch(&consent.on(&address(&slug)), &body).await?;
            consent.told(after, described)
        }
        Command::Delete { slug, with_grants, consent } => {
            let path = query(&address(&slug), &[("grants", with_grants.then_some("delete"))]);
            let gone = client.delete(&consent.on(&path)).await?;
            consent.told(gone, |gone| format!("deleted the collection {}", text(gone, "slug")))
        }
    }
}

fn address(slug: &str) -> String {
    format!("collections/{}", segment(slug))
}

fn described(collection: &Value) -> String {
    let mut out = format!("collection {} ({})", text(collection, "slug"), text(collection, "name"));
    for (field, words) in [("constraint", "versions"), ("minimum_stability", "minimum stability")] {
        if let Some(limit) = collection.get(field).and_then(Value::as_str) {
            out.push_str(&format!(", {words} {limit}"));
        }
    }
    for package in collection.get("packages").and_then(Value::as_array).into_iter().flatten() {
        out.push_str(&format!("\n  {}", package.as_str().unwrap_or_default()));
    }
    out
}
