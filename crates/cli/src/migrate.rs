//! `cargoman migrate`: the schema alone, for deployments that separate the role that owns it.

use cargoman_control_plane::store;
use clap::Args;

use crate::control_plane::{database, database_for_migrations};
use crate::exit::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<(), Failure> {
    let Some(options) = database_for_migrations()?.or(database()?) else {
        return Err(Failure::usage("DATABASE_URL is not set: name the server, postgres://user@host/database"));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(store::migrate(&options)).map_err(Failure::database)?;
    println!("the schema is up to date");
    Ok(())
}
