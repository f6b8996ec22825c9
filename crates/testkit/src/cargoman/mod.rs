//! A whole registry: the real program `cargoman up`, with a database and a data folder of its own.

mod program;
mod scale_out;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use program::Program;
pub use program::{binary, command};
pub use scale_out::{Database, Node, ScaleOut};

use crate::postgres::{self, TestDatabase};
use crate::raw_http::{self, Response};

/// The `ADMIN_TOKEN` of every test registry.
pub const ADMIN_TOKEN: &str = "test-admin-token-0123456789";
/// How long a registry may take from its start until it serves: a new database cluster included.
const READY_LIMIT: Duration = Duration::from_secs(90);
/// How long it may take to stop after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(45);

/// What a registry is started with.
#[derive(Debug, Default)]
pub struct Builder {
    config: Option<String>,
    embedded: bool,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    binary: Option<PathBuf>,
}

/// A registry. Dropping it stops everything it started.
#[derive(Debug)]
pub struct Registry {
    start: Builder,
    program: Option<Program>,
    edge_url: String,
    control_url: String,
    // The order matters: fields drop in it, and the program must be gone before its database.
    database: Option<TestDatabase>,
    folder: TempDir,
}

impl Builder {
    /// The configuration file's TOML.
    pub fn config(mut self, toml: &str) -> Self {
        self.config = Some(toml.to_owned());
        self
    }

    /// Lets the registry run its own embedded PostgreSQL instead of a test database.
    pub fn embedded(mut self) -> Self {
        self.embedded = true;
        self
    }

    /// One more environment variable. The test's own environment is not handed on.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One more argument of `cargoman up`.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Another program than the one that [`binary`] finds.
    pub fn binary(mut self, path: &Path) -> Self {
        self.binary = Some(path.to_owned());
        self
    }

    /// Starts the registry and waits until it serves.
    #[track_caller]
    pub fn start(self) -> Registry {
        let folder = crate::temporary::folder();
        let database = (!self.embedded).then(postgres::database);
        let mut registry = Registry {
            start: self,
            program: None,
            edge_url: String::new(),
            control_url: String::new(),
            database,
            folder,
        };
        registry.run();
        registry
    }
}

impl Registry {
    /// A registry with the default configuration and a test database.
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A registry with something particular.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `http://127.0.0.1:<port>` of the edge, which Composer talks to. The same after [`Self::restart`].
    pub fn edge_url(&self) -> &str {
        &self.edge_url
    }

    /// Host and port of the edge: Composer's name for it in `auth.json`.
    pub fn edge_address(&self) -> String {
        self.edge_url.trim_start_matches("http://").to_owned()
    }

    /// `http://127.0.0.1:<port>` of the control plane. Another one after [`Self::restart`].
    pub fn control_url(&self) -> &str {
        &self.control_url
    }

    /// The URL of the database, unless it is embedded.
    pub fn database(&self) -> Option<&TestDatabase> {
        self.database.as_ref()
    }

    /// The registry's data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Everything it logged so far, over all starts.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("stderr.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What it printed to standard output since its last start: nothing but the one ready line is right.
    pub fn printed(&self) -> Vec<String> {
        self.program.as_ref().map_or_else(Vec::new, Program::printed)
    }

    /// The process id of the running program.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.program.as_ref().expect("it runs").pid()
    }

    /// Calls the control plane's REST API as root: `api("POST", "/api/v1/customers", Some(&json))`. Gives the
    /// status and the answer's JSON (null if it has none).
    #[track_caller]
    pub fn api(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let response = self.api_with(&[("Authorization", &format!("Bearer {ADMIN_TOKEN}"))], method, path, body);
        let value = if response.body.is_empty() { Value::Null } else { response.json() };
        (response.status, value)
    }

    /// Like [`Self::api`], with these headers and no others, and with the whole answer.
    #[track_caller]
    pub fn api_with(&self, headers: &[(&str, &str)], method: &str, path: &str, body: Option<&Value>) -> Response {
        let mut headers = headers.to_vec();
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        raw_http::request(method, &format!("{}{path}", self.control_url), &headers, body.as_bytes())
    }

    /// Ends it as a power cut would. An embedded PostgreSQL lives on, until the next start or the drop.
    #[track_caller]
    pub fn kill9(&mut self) -> &mut Self {
        self.program.take().expect("it runs").kill();
        self
    }

    /// SIGTERM; gives how it ended. Panics if it does not end in time.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        let program = self.program.take().expect("it runs");
        program.terminate(STOP_LIMIT).unwrap_or_else(|| panic!("did not stop within {STOP_LIMIT:?}:\n{}", self.log()))
    }

    /// Stops it if it runs, and starts it again on the same data, database and edge address.
    #[track_caller]
    pub fn restart(&mut self) -> &mut Self {
        if self.program.is_some() {
            self.stop();
        }
        self.run();
        self
    }

    #[track_caller]
    fn run(&mut self) {
        let binary = self.start.binary.clone().unwrap_or_else(binary);
        let mut command = program::isolated(&binary);
        let listen = if self.edge_url.is_empty() { crate::port::free_address() } else { self.edge_address() };
        command.arg("up").arg("--data").arg(self.data()).args(["--listen", &listen]).args(&self.start.arguments);
        if let Some(toml) = &self.start.config {
            let path = self.folder.path().join("cargoman.toml");
            std::fs::write(&path, toml).expect("our own folder");
            command.arg("--config").arg(path);
        }
        command.env("ADMIN_TOKEN", ADMIN_TOKEN).env("CARGOMAN_CONTROL_LISTEN", "127.0.0.1:0");
        if let Some(database) = &self.database {
            command.env("DATABASE_URL", database.url());
        }
        command.envs(self.start.environment.iter().map(|(name, value)| (name, value)));
        let program = Program::start(command, &self.folder.path().join("stderr.log"));
        let ready = program.ready(READY_LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        (self.edge_url, self.control_url) = ready;
        self.program = Some(program);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(program) = self.program.take() {
            let _ = program.terminate(STOP_LIMIT);
        }
        if self.start.embedded {
            // After a kill it has no owner, and would live on in a folder that is going away.
            let _ = cargoman_local_postgres::stop_running(&self.data().join("postgres"));
        }
        if std::thread::panicking() {
            eprintln!("the registry's log:\n{}", self.log());
        }
    }
}

/// Reads `ready edge=http://… control=http://…`.
fn parse_ready(line: &str) -> Option<(String, String)> {
    let mut words = line.strip_prefix("ready ")?.split(' ');
    let edge = loopback_url(words.next()?.strip_prefix("edge=")?)?;
    let control = loopback_url(words.next()?.strip_prefix("control=")?)?;
    words.next().is_none().then_some((edge, control))
}

fn loopback_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let address: SocketAddr = text.strip_prefix("http://")?.parse().ok()?;
    (url.scheme() == "http" && address.ip().is_loopback()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_lines() {
        let right = parse_ready("ready edge=http://127.0.0.1:1 control=http://127.0.0.1:2");
        assert_eq!(right, Some(("http://127.0.0.1:1".to_owned(), "http://127.0.0.1:2".to_owned())));
        for wrong in [
            "",
            "ready",
            "ready edge=http://127.0.0.1:1",
            "Ready edge=http://127.0.0.1:1 control=http://127.0.0.1:2",
            "ready edge=http://127.0.0.1:1 control=http://127.0.0.1:2 more",
            "ready edge=http://127.0.0.1:1/ control=http://127.0.0.1:2",
            "ready edge=http://0.0.0.0:1 control=http://127.0.0.1:2",
        ] {
            assert_eq!(parse_ready(wrong), None, "{wrong:?}");
        }
    }
}
