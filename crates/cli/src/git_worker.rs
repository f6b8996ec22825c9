//! `cargoman git-worker`: the child process that reads repositories.

use std::process::ExitCode;

pub(crate) fn run() -> ExitCode {
    cargoman_control_plane::git::worker::run(std::io::stdin().lock(), std::io::stdout().lock())
}
