//! The program `cargoman` as scripts call it: arguments in; what it printed, and how it ended, out.

use std::process::Command;
use std::time::Duration;

use cargoman_testkit::cargoman::{ADMIN_TOKEN, Node, Registry, command};
use cargoman_testkit::output::{Output, run};
use serde_json::Value;

/// How long one command may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What an operator's command talks to.
pub trait Operated {
    /// The address of its public API.
    fn api_url(&self) -> String;
}

impl Operated for Registry {
    fn api_url(&self) -> String {
        self.control_url().to_owned()
    }
}

impl Operated for Node {
    fn api_url(&self) -> String {
        format!("http://{}", self.address())
    }
}

/// Runs `cargoman` with these arguments.
#[track_caller]
pub fn cargoman(arguments: &[&str]) -> Output {
    run(command().args(arguments), b"", LIMIT)
}

/// An admin command against a registry.
pub fn admin<'a>(registry: &impl Operated, command: &'a mut Command, arguments: &[&str]) -> &'a mut Command {
    command.env("CARGOMAN_URL", registry.api_url()).env("CARGOMAN_TOKEN", ADMIN_TOKEN).args(arguments)
}

/// Runs an admin command, which must succeed; gives what it printed.
#[track_caller]
pub fn ask(registry: &impl Operated, arguments: &[&str]) -> String {
    let output = run(admin(registry, &mut command(), arguments), b"", LIMIT);
    output.expect_success();
    output.stdout
}

/// The same with `--json`, as JSON.
#[track_caller]
pub fn ask_json(registry: &impl Operated, arguments: &[&str]) -> Value {
    let text = ask(registry, &[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

/// That it ends with this code and says `words` on standard error, and nothing on standard output.
#[track_caller]
pub fn ends(output: &Output, code: i32, words: &str) {
    assert_eq!(output.status.code(), Some(code), "{}", output.combined);
    assert!(output.stderr.contains(words), "{words:?} is missing: {}", output.combined);
    assert_eq!(output.stdout, "");
}
