//! `cargoman forge-group …`: groups of projects at forges whose projects become packages.

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Client;
use super::fields::{add_list, given};
use super::output::text;
use super::path::{query, segment};
use super::{Answer, watch};
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Adds a group: each of its projects that has a composer.json becomes a package, now and later.
    Add {
        /// The address that a browser shows for it: `https://gitlab.example/acme`; of a whole GitLab, its own.
        address: String,
        /// github, gitlab, bitbucket or gitea (Forgejo too).
        #[arg(long = "type", value_name = "TYPE")]
        kind: String,
        /// The git credential with the forge's access token, `gitcred_…`.
        #[arg(long)]
        credential: String,
        /// Names that may come from it, such as `acme/*`; may be given more than once.
        #[arg(long, required = true)]
        packages: Vec<String>,
        /// Projects that are looked at, such as `acme/*` or `!acme/legacy-*`; left out: all.
        #[arg(long)]
        projects: Vec<String>,
        /// What packages are read with, if that is another one: a key for ssh.
        #[arg(long)]
        package_credential: Option<String>,
        /// Where the API lies, where that is not usual.
        #[arg(long)]
        api_url: Option<String>,
        /// Makes no hooks at the forge: its projects are looked at by the clock, or one hook speaks for all.
        #[arg(long)]
        no_hooks: bool,
    },
    /// Lists groups.
    List,
    /// Shows what became of each project.
    Projects {
        /// Id, `fgrp_…`.
        group: String,
        /// Only new, package, no_manifest, refused, left_out, archived, gone or failed ones.
        #[arg(long)]
        state: Option<String>,
    },
    /// Changes which names and projects count.
    Update {
        /// Id, `fgrp_…`.
        group: String,
        /// Names that may come from it, in place of those before.
        #[arg(long)]
        packages: Vec<String>,
        /// Projects that are looked at, in place of those before; `null` for all.
        #[arg(long)]
        projects: Vec<String>,
    },
    /// Looks at all of its projects now.
    Sync {
        /// Id, `fgrp_…`.
        group: String,
    },
    /// Forgets a group, and takes its hooks away at the forge; its packages stay.
    Delete {
        /// Id, `fgrp_…`.
        group: String,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Add { address, kind, credential, packages, projects, package_credential, api_url, no_hooks } => {
            let mut body = given(&[
                ("url", &Some(address)),
                ("type", &Some(kind)),
                ("credential", &Some(credential)),
                ("package_credential", &package_credential),
                ("api_url", &api_url),
            ]);
            add_list(&mut body, "packages", &packages);
            add_list(&mut body, "projects", &projects);
            if no_hooks {
                body["hooks"] = json!(false);
            }
            let made = client.post("forge-groups", &body).await?;
            watched(client, text(&made, "task"), text(&made, "url"), text(&made, "id")).await
        }
        Command::List => Ok(Answer::Table(
            &["id", "type", "url", "project_count", "package_count", "listed_at", "sync_error"],
            client.list("forge-groups").await?,
        )),
        Command::Projects { group, state } => {
            let below = query(&format!("{}/projects", path(&group)), &[("state", state.as_deref())]);
            Ok(Answer::Table(&["path", "state", "package", "hook", "reason", "hook_error"], client.list(&below).await?))
        }
        Command::Update { group, packages, projects } => {
            let mut body = json!({});
            add_list(&mut body, "packages", &packages);
            add_list(&mut body, "projects", &projects);
            let after = client.patch(&path(&group), &body).await?;
            watched(client, text(&after, "task"), text(&after, "url"), text(&after, "id")).await
        }
        Command::Sync { group } => {
            let task = client.post(&format!("{}/sync", path(&group)), &Value::Null).await?;
            watched(client, text(&task, "id"), text(&task, "group"), &group).await
        }
        Command::Delete { group } => {
            let gone = client.delete(&path(&group)).await?;
            let left = gone.get("hooks_left").and_then(Value::as_u64).unwrap_or_default();
            let hooks = if left > 0 {
                format!("\n{left} hooks are left at the forge: delete them there")
            } else {
                String::new()
            };
            let sentence = format!("forgot {}; its packages stay{hooks}", text(&gone, "url"));
            Ok(Answer::Thing(gone, sentence))
        }
    }
}

fn path(group: &str) -> String {
    format!("forge-groups/{}", segment(group))
}

/// Waits until a group was looked at, and tells what came of it.
pub(super) async fn watched(client: &Client, task: &str, url: &str, group: &str) -> Result<Answer, Failure> {
    let task = watch::task(client, task, url).await?;
    match text(&task, "state") {
        "failed" => Err(Failure::failed(format!("the look at {url} failed: {}", text(&task, "error")))),
        "succeeded" => {
            let sentence = summary(url, group, task.get("result").unwrap_or(&Value::Null));
            Ok(Answer::Thing(task, sentence))
        }
        state => {
            let sentence =
                format!("the look at {url} is {state}; look again with: cargoman task show {}", text(&task, "id"));
            Ok(Answer::Thing(task, sentence))
        }
    }
}

fn summary(url: &str, group: &str, result: &Value) -> String {
    let list = |name: &str| result.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let number = |name: &str| result.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (looked, hooks, added) = (number("looked"), number("hooks"), list("added"));
    let mut out = format!("{url}: {looked} projects looked at, {} packages added, {hooks} hooks made", added.len());
    for name in added.iter().filter_map(Value::as_str) {
        out.push_str(&format!("\n  new package {name}"));
    }
    for refused in list("refused") {
        out.push_str(&format!("\n  no package: {}: {}", text(&refused, "project"), text(&refused, "reason")));
    }
    if let Some(error) = result.get("hook_error").and_then(Value::as_str) {
        out.push_str(&format!("\n  {error}"));
    }
    out.push_str(&format!("\nnext: cargoman forge-group projects {group}"));
    out
}
