//! Commands for operators. They talk REST, as any script would: there is no second way into the registry.

pub(crate) mod client;
mod customer;
mod grant;
mod output;
mod package;
mod tenant;
mod token;

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
    /// What customers may see.
    Grant(With<grant::Command>),
    /// Customers' Composer tokens.
    Token(With<token::Command>),
    /// Tenants.
    Tenant(With<tenant::Command>),
}

/// A group of commands with what all of them take.
#[derive(Debug, Args)]
pub(crate) struct With<C: Subcommand> {
    /// Address of the control plane or of a registry.
    #[arg(long, env = "CARGOMAN_URL", default_value = "http://127.0.0.1:8081", global = true)]
    url: String,
    /// The admin token; better given as CARGOMAN_TOKEN.
    #[arg(long, env = "CARGOMAN_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// Slug of the tenant, where there are several.
    #[arg(long, env = "CARGOMAN_TENANT", global = true)]
    tenant: Option<String>,
    /// Answers as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: C,
}

/// What a command gives to its reader.
pub(crate) enum Answer {
    /// A table with these columns.
    Table(&'static [&'static str], Value),
    /// One thing, and a sentence about it for people.
    Thing(Value, String),
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    install_crypto();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        match command {
            Command::Customer(with) => with.run(customer::run).await,
            Command::Package(with) => with.run(package::run).await,
            Command::Grant(with) => with.run(grant::run).await,
            Command::Token(with) => with.run(token::run).await,
            Command::Tenant(with) => with.run(tenant::run).await,
        }
    })
}

impl<C: Subcommand> With<C> {
    async fn run(self, work: impl AsyncFnOnce(&Client, C) -> Result<Answer, Failure>) -> Result<(), Failure> {
        let token = self.token.ok_or_else(|| {
            Failure::usage("no admin token: set CARGOMAN_TOKEN (a registry started with `cargoman up` keeps it in DATA/admin-token)")
        })?;
        let client = Client::new(&self.url, token.trim(), self.tenant.as_deref())?;
        let answer = work(&client, self.command).await?;
        output::show(&answer, self.json);
        Ok(())
    }
}
