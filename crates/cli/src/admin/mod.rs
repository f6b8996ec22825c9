//! Commands for operators. They talk REST, as any script would: there is no second way into the registry.

mod audit_trail;
pub(crate) mod client;
mod collection;
mod consent;
mod credential;
mod customer;
mod deletion;
mod effect;
mod explain;
mod fields;
mod forge_group;
mod git_credential;
mod github_app;
mod grant;
mod hook;
mod output;
mod package;
mod path;
mod restore;
mod settings;
mod task;
mod tenant;
#[cfg(test)]
mod tests;
mod token;
mod upload;
mod watch;

use clap::{Args, Subcommand};
use serde_json::Value;

use self::client::Client;
use crate::control_plane::install_crypto;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Customers.
    Customer(With<customer::Command>),
    /// Packages.
    Package(With<package::Command>),
    /// What opens git servers.
    GitCredential(With<git_credential::Command>),
    /// Groups of projects at forges whose projects become packages.
    ForgeGroup(With<forge_group::Command>),
    /// The GitHub App that reads repositories.
    GithubApp(With<github_app::Command>),
    /// What forges call when something was pushed.
    Hook(With<hook::Command>),
    /// What is being done and what was done.
    Task(With<task::Command>),
    /// What customers may see.
    Grant(With<grant::Command>),
    /// Packages that are granted together.
    Collection(With<collection::Command>),
    /// Customers' Composer tokens.
    Token(With<token::Command>),
    /// Operators' credentials.
    Credential(With<credential::Command>),
    /// The tenant's choices.
    Settings(With<settings::Command>),
    /// Tells why somebody sees a version or does not.
    Explain(explain::Arguments),
    /// What was deleted, and the way back.
    Deletion(With<deletion::Command>),
    /// Who did what.
    AuditTrail(With<audit_trail::Command>),
    /// After a backup was restored: takes away again what was taken away since.
    Restore(restore::Arguments),
    /// Tenants.
    Tenant(With<tenant::Command>),
}

/// Where a command works, and how it answers.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Address of the control plane or of a registry.
    #[arg(long, env = "CARGOMAN_URL", default_value = "http://127.0.0.1:8081", global = true)]
    url: String,
    /// Slug of the tenant, where there are several.
    #[arg(long, env = "CARGOMAN_TENANT", global = true)]
    tenant: Option<String>,
    /// Answers as JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// A group of commands with what all of them take.
#[derive(Debug, Args)]
pub(crate) struct With<C: Subcommand> {
    #[command(flatten)]
    place: Place,
    /// The admin token; better given as CARGOMAN_TOKEN.
    #[arg(long, env = "CARGOMAN_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    #[command(subcommand)]
    command: C,
}

/// What a command gives to its reader.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A table with these columns.
    Table(&'static [&'static str], Value),
    /// One thing, and a sentence about it for people.
    Thing(Value, String),
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    install_crypto();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let (answer, json) = runtime.block_on(answer(command))?;
    output::show(&answer, json);
    Ok(())
}

/// The answer, and whether it is wanted as JSON.
async fn answer(command: Command) -> Result<(Answer, bool), Failure> {
    match command {
        Command::Customer(with) => with.run(customer::run).await,
        Command::Package(with) => with.run(package::run).await,
        Command::GitCredential(with) => with.run(git_credential::run).await,
        Command::ForgeGroup(with) => with.run(forge_group::run).await,
        Command::GithubApp(with) => with.run(github_app::run).await,
        Command::Hook(with) => with.run(hook::run).await,
        Command::Task(with) => with.run(task::run).await,
        Command::Grant(with) => with.run(grant::run).await,
        Command::Collection(with) => with.run(collection::run).await,
        Command::Token(with) => with.run(token::run).await,
        Command::Credential(with) => with.run(credential::run).await,
        Command::Settings(with) => with.run(settings::run).await,
        Command::Explain(arguments) => {
            let client = arguments.place.client(arguments.admin_token.as_deref())?;
            Ok((explain::run(&client, &arguments).await?, arguments.place.json))
        }
        Command::Deletion(with) => with.run(deletion::run).await,
        Command::AuditTrail(with) => with.run(audit_trail::run).await,
        Command::Restore(arguments) => {
            let client = arguments.place.client(arguments.token.as_deref())?;
            Ok((restore::run(&client, &arguments).await?, arguments.place.json))
        }
        Command::Tenant(with) => with.run(tenant::run).await,
    }
}

impl Place {
    fn client(&self, token: Option<&str>) -> Result<Client, Failure> {
        let token = token.ok_or_else(|| {
            Failure::usage("no admin token: set CARGOMAN_TOKEN (a registry started with `cargoman up` keeps it in DATA/admin-token)")
        })?;
        Client::new(&self.url, token.trim(), self.tenant.as_deref())
    }
}

impl<C: Subcommand> With<C> {
    async fn run(
        self,
        work: impl AsyncFnOnce(&Client, C) -> Result<Answer, Failure>,
    ) -> Result<(Answer, bool), Failure> {
        let client = self.place.client(self.token.as_deref())?;
        Ok((work(&client, self.command).await?, self.place.json))
    }
}
