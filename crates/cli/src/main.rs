//! The program `cargoman`: takes the command line apart, runs one command, and turns its end into an exit code.
//!
//! 0 is success, 1 a failure, 2 wrong usage or configuration, 3 the database.

mod admin;
mod configuration;
mod constraint;
mod control_plane;
mod credentials;
mod data_folder;
mod edge;
mod exit;
mod git_worker;
mod migrate;
mod secrets;
mod storage;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Requests allocate a few dozen small things each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A private Composer registry.
#[derive(Debug, Parser)]
#[command(name = "cargoman", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs everything on this machine: edge, control plane, jobs and a private PostgreSQL.
    Up(up::Arguments),
    /// Runs a control plane: APIs, jobs, edge API.
    ControlPlane(control_plane::Arguments),
    /// Runs an edge (hands over to the program cargoman-edge).
    Edge(edge::Arguments),
    /// Brings the database's schema up to date and ends.
    Migrate(migrate::Arguments),
    /// Replaces the master key that seals kept secrets, and checks them.
    Secrets(secrets::Arguments),
    /// Goes through the stored dists: verifies, collects, migrates.
    #[command(subcommand)]
    Storage(storage::Command),
    /// Checks or shows the configuration.
    #[command(subcommand)]
    Config(configuration::Command),
    /// Tests versions against constraints, as Composer would.
    Constraint(constraint::Arguments),
    /// Reads a repository for a control plane; started by it, not by people.
    #[command(hide = true)]
    GitWorker,
    #[command(flatten)]
    Admin(admin::Command),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing can be done about a closed terminal.
            error.print().ok();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let ended = match arguments.command {
        Command::GitWorker => return git_worker::run(),
        Command::Up(arguments) => up::run(arguments),
        Command::ControlPlane(arguments) => control_plane::run(arguments),
        Command::Edge(arguments) => edge::run(&arguments),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Secrets(arguments) => secrets::run(&arguments),
        Command::Storage(command) => storage::run(command),
        Command::Config(command) => configuration::run(&command),
        Command::Constraint(arguments) => constraint::run(&arguments),
        Command::Admin(command) => admin::run(command),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Two arguments of one name, a flag that shadows another: clap finds them only when the command is used.
    #[test]
    fn every_command_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
