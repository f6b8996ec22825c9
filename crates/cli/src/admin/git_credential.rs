//! `cargoman git-credential …`: secrets come from a file or from standard input, never from an argument, which everybody on the
//! machine can read.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Answer;
use super::client::Client;
use super::fields::{changed, given};
use super::output::text;
use super::path::{query, segment};
use crate::exit::Failure;

/// More is no secret but a mistaken file.
const LARGEST: u64 = 64 << 10;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Keeps what opens a git server. Of a key made here, shows the public half, which the server is to be given.
    Create {
        /// For people.
        name: String,
        /// `https` (user name and access token), `ssh` (a key) or `github-app` (the key of a GitHub App).
        #[arg(long)]
        kind: String,
        /// The server: a host, `https://host`, or the address of a repository there. The secret is sent nowhere else.
        #[arg(long)]
        host: String,
        /// The user name; many servers take any beside an access token.
        #[arg(long)]
        username: Option<String>,
        /// Of a GitHub App, its id or client id.
        #[arg(long)]
        app_id: Option<String>,
        #[command(flatten)]
        secret: SecretSource,
    },
    /// Lists git credentials.
    List,
    /// Shows a git credential; never its secret.
    Show {
        /// Id, `gitcred_…`.
        credential: String,
    },
    /// Changes its name or user name.
    Update {
        /// Id, `gitcred_…`.
        credential: String,
        /// For people.
        #[arg(long)]
        name: Option<String>,
        /// The user name.
        #[arg(long)]
        username: Option<String>,
    },
    /// Gives it another secret; the old one is forgotten. A key that was made here is made anew, unless one is given.
    Rotate {
        /// Id, `gitcred_…`.
        credential: String,
        #[command(flatten)]
        secret: SecretSource,
    },
    /// Forgets it.
    Delete {
        /// Id, `gitcred_…`.
        credential: String,
        /// Even if packages are read with it: they go on without.
        #[arg(long)]
        confirm: bool,
    },
}

/// Where the secret comes from.
#[derive(Debug, Args)]
pub(crate) struct SecretSource {
    /// A file with the password or access token; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "private_key_file")]
    password_file: Option<PathBuf>,
    /// A file with a private key without a passphrase, of ssh in OpenSSH's form, of a GitHub App as downloaded; `-` is standard input.
    /// Left out, a key for ssh is made.
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
}

impl SecretSource {
    /// Puts the secret into a body. Without a file, one of https is read from standard input.
    fn into(self, body: &mut Value, kind: &str) -> Result<(), Failure> {
        let standard_input = || PathBuf::from("-");
        if let Some(path) = self.private_key_file {
            body["private_key"] = json!(read(&path, "the private key")?);
        } else if let Some(path) = self.password_file.or_else(|| (kind == "https").then(standard_input)) {
            // A file ends with a line break, which is no part of a password.
            body["password"] = json!(read(&path, "the password or access token")?.trim_end_matches(['\r', '\n']));
        }
        Ok(())
    }
}

fn read(path: &Path, what: &str) -> Result<String, Failure> {
    let mut secret = String::new();
    let read = if path == Path::new("-") {
        if std::io::stdin().is_terminal() {
            return Err(Failure::usage(format!(
                "{what} is read from standard input, which is a terminal that would show it; pipe it in, or name a file"
            )));
        }
        std::io::stdin().take(LARGEST + 1).read_to_string(&mut secret)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut secret))
    };
    read.map_err(|error| Failure::usage(format!("cannot read {what} from {}: {error}", path.display())))?;
    match secret.len() as u64 > LARGEST {
        true => Err(Failure::usage(format!("{} is too large for {what}; name another file", path.display()))),
        false => Ok(secret),
    }
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Create { name, kind, host, username, app_id, secret } => {
            let field = if host.contains("://") || host.contains('@') { "url" } else { "host" };
            let mut body = given(&[
                ("name", &Some(name)),
                ("kind", &Some(kind.clone())),
                (field, &Some(host)),
                ("username", &username),
                ("app_id", &app_id),
            ]);
            secret.into(&mut body, &kind)?;
            let made = client.post("git-credentials", &body).await?;
            let id = text(&made, "id");
            let next = match kind.as_str() {
                "github-app" => "next: cargoman github-app status".to_owned(),
                _ => format!("next: cargoman package add REPOSITORY_URL --credential {id}"),
            };
            let sentence = format!("{id} opens {}{}\n{next}", text(&made, "origin"), public_half(&made));
            Ok(Answer::Thing(made, sentence))
        }
        Command::List => Ok(Answer::Table(
            &["id", "name", "kind", "origin", "username", "packages", "last_used_at"],
            client.list("git-credentials").await?,
        )),
        Command::Show { credential } => {
            let shown = client.get(&address(&credential)).await?;
            let sentence = format!(
                "{} ({}) opens {}{}",
                text(&shown, "id"),
                text(&shown, "name"),
                text(&shown, "origin"),
                public_half(&shown)
            );
            Ok(Answer::Thing(shown, sentence))
        }
        Command::Update { credential, name, username } => {
            let body = changed(&[("name", &name), ("username", &username)]);
            let after = client.patch(&address(&credential), &body).await?;
            let sentence = format!("{} is named {}", text(&after, "id"), text(&after, "name"));
            Ok(Answer::Thing(after, sentence))
        }
        Command::Rotate { credential, secret } => {
            let mut body = json!({});
            let before = client.get(&address(&credential)).await?;
            secret.into(&mut body, text(&before, "kind"))?;
            let after = client.post(&format!("{}/rotate", address(&credential)), &body).await?;
            let sentence = format!("{} has another secret{}", text(&after, "id"), public_half(&after));
            Ok(Answer::Thing(after, sentence))
        }
        Command::Delete { credential, confirm } => {
            let path = query(&address(&credential), &[("confirm", confirm.then_some("true"))]);
            let gone = client.delete(&path).await?;
            let sentence = format!("deleted {} ({})", text(&gone, "id"), text(&gone, "name"));
            Ok(Answer::Thing(gone, sentence))
        }
    }
}

fn address(credential: &str) -> String {
    format!("git-credentials/{}", segment(credential))
}

fn public_half(credential: &Value) -> String {
    match text(credential, "public_key") {
        "" => String::new(),
        key => format!("\nits server needs this key ({}):\n{key}", text(credential, "fingerprint")),
    }
}
