//! `cargoman edge`: hands over to the program `cargoman-edge`, which links neither git nor a database.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::exit::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The configuration file; config/edge.toml documents it.
    #[arg(long)]
    config: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let beside = std::env::current_exe().ok().and_then(|path| path.parent().map(|folder| folder.join("cargoman-edge")));
    let program = beside.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from("cargoman-edge"));
    let error = Command::new(&program).arg("--config").arg(&arguments.config).exec();
    Err(Failure::failed(format!("cannot run {}: {error}; install it beside cargoman", program.display())))
}
