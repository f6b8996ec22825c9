//! `cargoman package …`

use std::io::IsTerminal;
use std::time::Duration;

use clap::Subcommand;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::Answer;
use super::client::{Client, package_path, segment};
use super::customer::given;
use super::output::text;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Adds a package from a git repository and syncs it.
    Add {
        /// The address that `git clone` takes.
        repository_url: String,
        /// `vendor/name`; else read from the default branch's composer.json.
        #[arg(long)]
        name: Option<String>,
        /// A private fork of a public package.
        #[arg(long)]
        fork: bool,
    },
    /// Lists packages.
    List {
        /// Only those whose name holds this.
        #[arg(long)]
        q: Option<String>,
    },
    /// Shows a package's versions.
    Show {
        /// `vendor/name`.
        package: String,
    },
    /// Reads the repository now.
    Sync {
        /// `vendor/name`.
        package: String,
    },
    /// Takes a version out of metadata; locks that hold it keep working.
    Yank {
        /// `vendor/name`.
        package: String,
        /// As written or normalized.
        // The name `version` belongs to the flag of all commands.
        #[arg(id = "which", value_name = "VERSION")]
        version: String,
    },
    /// Puts a yanked version back.
    Unyank {
        /// `vendor/name`.
        package: String,
        /// As written or normalized.
        // The name `version` belongs to the flag of all commands.
        #[arg(id = "which", value_name = "VERSION")]
        version: String,
    },
    /// Deletes a package.
    Delete {
        /// `vendor/name`.
        package: String,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Add { repository_url, name, fork } => {
            let mut body = given(&[("repository_url", &Some(repository_url)), ("name", &name)]);
            if fork {
                body["fork"] = json!(true);
            }
            let made = client.post("packages", &body).await?;
            let package = text(&made, "name").to_owned();
            sync(client, &package).await
        }
        Command::List { q } => {
            let query = q.map_or_else(String::new, |q| format!("?q={}", segment(&q)));
            let rows = client.list(&format!("packages{query}")).await?;
            Ok(Answer::Table(&["name", "versions", "synced_at", "sync_error", "repository_url"], rows))
        }
        Command::Show { package } => {
            let rows = client.list(&format!("packages/{}/versions", package_path(&package))).await?;
            Ok(Answer::Table(&["version", "stability", "reference", "published_at", "yanked_at"], rows))
        }
        Command::Sync { package } => sync(client, &package).await,
        Command::Yank { package, version } => change(client, &package, "yank", &version).await,
        Command::Unyank { package, version } => change(client, &package, "unyank", &version).await,
        Command::Delete { package } => {
            let gone = client.delete(&format!("packages/{}", package_path(&package))).await?;
            let sentence = format!("deleted {}", text(&gone, "name"));
            Ok(Answer::Thing(gone, sentence))
        }
    }
}

async fn change(client: &Client, package: &str, action: &str, version: &str) -> Result<Answer, Failure> {
    let version = version.split('/').map(segment).collect::<Vec<_>>().join("/");
    let after = client.post(&format!("packages/{}/{action}/{version}", package_path(package)), &Value::Null).await?;
    let state = if after.get("yanked_at").is_some_and(Value::is_string) { "yanked" } else { "in metadata" };
    let sentence = format!("{package} {} is {state}", text(&after, "version"));
    Ok(Answer::Thing(after, sentence))
}

async fn sync(client: &Client, package: &str) -> Result<Answer, Failure> {
    let spinner = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    spinner.set_message(format!("reading {package}"));
    spinner.enable_steady_tick(Duration::from_millis(100));
    let result = client.post(&format!("packages/{}/sync?wait=true", package_path(package)), &Value::Null).await;
    spinner.finish_and_clear();
    let result = result?;
    match text(&result, "state") {
        "succeeded" => Ok(Answer::Thing(result.clone(), summary(package, &result))),
        "failed" => Err(Failure::failed(format!("the sync of {package} failed: {}", text(&result, "error")))),
        state => Ok(Answer::Thing(
            result.clone(),
            format!("the sync of {package} is {state}; look again with: cargoman package show {package}"),
        )),
    }
}

fn summary(package: &str, result: &Value) -> String {
    let count = |name: &str| result.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    let mut out = format!(
        "{package}: {} added, {} updated, {} removed, {} skipped, in {} ms",
        count("added"),
        count("updated"),
        count("removed"),
        count("skipped"),
        result.get("took_ms").and_then(Value::as_u64).unwrap_or_default()
    );
    for skipped in result.get("skipped").and_then(Value::as_array).into_iter().flatten() {
        out.push_str(&format!("\n  skipped {}: {}", text(skipped, "ref"), text(skipped, "reason")));
    }
    for missing in result.get("missing_requirements").and_then(Value::as_array).into_iter().flatten() {
        let name = missing.as_str().unwrap_or_default();
        out.push_str(&format!("\n  requires {name}, which is neither here nor in public_names of its vendor"));
    }
    out
}
