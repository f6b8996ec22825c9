//! `cargoman github-app …`: the GitHub App whose key was kept with `cargoman git-credential create --kind github-app`.

use clap::Subcommand;
use serde_json::json;

use super::client::Client;
use super::fields::add_list;
use super::output::text;
use super::path::{query, segment};
use super::{Answer, forge_group};
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows who the App is, that its key is good, and where accounts install it.
    Status {
        /// Where there are several Apps: `gitcred_…`.
        #[arg(long)]
        credential: Option<String>,
    },
    /// Lists the accounts that installed it.
    Installations {
        /// Where there are several Apps: `gitcred_…`.
        #[arg(long)]
        credential: Option<String>,
    },
    /// Lists what an installation may read.
    Repositories {
        /// GitHub's number of the installation.
        installation: String,
        /// Where there are several Apps: `gitcred_…`.
        #[arg(long)]
        credential: Option<String>,
    },
    /// Makes packages of an installation's repositories, now and later.
    Sync {
        /// GitHub's number of the installation.
        installation: String,
        /// Names that may come from it, such as `acme/*`; needed the first time.
        #[arg(long)]
        packages: Vec<String>,
        /// Where there are several Apps: `gitcred_…`.
        #[arg(long)]
        credential: Option<String>,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    let with = |path: &str, credential: &Option<String>| query(path, &[("credential", credential.as_deref())]);
    match command {
        Command::Status { credential } => {
            let app = client.get(&with("github-app/status", &credential)).await?;
            let sentence = format!(
                "{} ({}) is known to GitHub\ninstall it at {}\nnext: cargoman github-app installations",
                text(&app, "name"),
                text(&app, "url"),
                text(&app, "install_url")
            );
            Ok(Answer::Thing(app, sentence))
        }
        Command::Installations { credential } => Ok(Answer::Table(
            &["id", "account", "account_type", "repository_selection", "suspended"],
            client.list(&with("github-app/installations", &credential)).await?,
        )),
        Command::Repositories { installation, credential } => {
            let path = format!("github-app/installations/{}/repositories", segment(&installation));
            let rows = client.list(&with(&path, &credential)).await?;
            Ok(Answer::Table(&["id", "name", "default_branch", "archived"], rows))
        }
        Command::Sync { installation, packages, credential } => {
            let mut body = json!({});
            add_list(&mut body, "packages", &packages);
            if let Some(credential) = credential {
                body["credential"] = json!(credential);
            }
            let path = format!("github-app/installations/{}/sync", segment(&installation));
            let asked = client.post(&path, &body).await?;
            let group = text(&asked, "group");
            forge_group::watched(client, text(&asked, "task"), &format!("installation {installation}"), group).await
        }
    }
}
