//! The git worker alone: what `cargoman git-worker` is inside the one binary. For tests, and for running one sync by hand:
//! a request as JSON on standard input, events as JSON lines on standard output.

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    cargoman_control_plane::git::worker::run(io::stdin().lock(), io::stdout().lock())
}
