//! `cargoman git-worker`: the child process that reads repositories.

use std::process::ExitCode;

pub(crate) fn run() -> ExitCode {
    // To standard error, which the control plane reads; standard output belongs to the protocol.
    cargoman_telemetry::start();
    cargoman_control_plane::git::worker::run(std::io::stdin().lock(), std::io::stdout().lock())
}
