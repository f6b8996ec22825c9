//! Git repositories made to order by the real `git`, and a server for them. Same calls, same commit ids: author,
//! dates and settings are fixed, and nothing of the user's own git configuration is read.

mod content;
mod fast_import;
mod http;
mod http_message;
mod repository;
mod shape;

use std::path::Path;
use std::process::Command;

pub(crate) use http::backend_reply;
pub use http::{Fault, Handler, HttpServer, Reply, Request};
pub use repository::Repository;
pub use shape::Shape;

/// A `git` command in `directory`, isolated from the user's configuration.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(directory);
    isolate(&mut command);
    command
}

/// The environment of every git process of the tests.
fn isolate(command: &mut Command) {
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", "/nonexistent").env("LC_ALL", "C").env("TZ", "UTC");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
}
