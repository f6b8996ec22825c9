//! One PostgreSQL for all tests of the machine, and a database of its own for each test.
//!
//! The server is the one of `DATABASE_URL_TEST` (a superuser's URL; databases are created there), else a shared
//! cluster in the temporary folder that the first comer starts and that outlives him, because `cargo test` runs
//! many programs. `testkit-postgres stop` ends it. Committed data does not survive it: it runs without fsync.

mod server;

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use url::Url;

pub use server::{shared_url, stop_shared};

use crate::output;

/// How long one statement of set-up or tear-down may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A new, empty database.
#[track_caller]
pub fn database() -> TestDatabase {
    TestDatabase::create("template0").unwrap_or_else(|error| panic!("no test database: {error:#}"))
}

/// A new database with what `prepare` puts into it. `prepare` gets the URL of an empty database and runs once for
/// each `key` on this machine; later calls copy its result, which takes a fraction of the time. The key must
/// change with what `prepare` does: use a digest of the migrations. `prepare` must close its connections.
#[track_caller]
pub fn database_prepared(key: &str, prepare: impl FnOnce(&str)) -> TestDatabase {
    let name = format!("template_{}", fingerprint(key));
    let template = server::ensure_template(&name, prepare).and_then(|()| TestDatabase::create(&name));
    template.unwrap_or_else(|error| panic!("no test database from {name} (key {key:?}): {error:#}"))
}

/// A database that is dropped, connections and all, when this value is.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
}

impl TestDatabase {
    fn create(template: &str) -> anyhow::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // The process id tells later runs whose leftovers may go; the time keeps reused ids apart.
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
        let name = format!("test_{}_{number}_{time}", std::process::id());
        let server = server::server();
        server.execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"))?;
        Ok(Self { url: server.url_of(&name), name })
    }

    /// The URL to connect with, as a superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL to connect with as another role. The shared cluster trusts everyone on the machine's own socket.
    pub fn url_as(&self, role: &str) -> String {
        let mut url = Url::parse(&self.url).expect("our own URL");
        url.set_username(role).expect("a URL with a host");
        url.into()
    }

    /// The database's name: unique, without need for quotes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs SQL through `psql`; rows come as lines, fields joined by `|`. Panics if it fails.
    #[track_caller]
    pub fn query(&self, sql: &str) -> String {
        psql(&self.url, sql).unwrap_or_else(|error| panic!("{error:#}"))
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Best effort: a later run sweeps what stays behind.
        let _ = server::server().execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

/// Runs SQL through `psql`, isolated from the user's settings.
pub(crate) fn psql(url: &str, sql: &str) -> anyhow::Result<String> {
    static PROGRAM: OnceLock<std::path::PathBuf> = OnceLock::new();
    let program: &Path = PROGRAM.get_or_init(cargoman_local_postgres::client_program);
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").context("PATH is not set")?).env("LC_ALL", "C");
    command.args(["--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align"]);
    command.args(["--set", "ON_ERROR_STOP=1", "--command", sql, "--dbname", url]);
    let output = output::run(&mut command, b"", LIMIT);
    ensure!(output.status.success(), "{sql}: {}", output.stderr.trim());
    Ok(output.stdout.trim().to_owned())
}

/// FNV-1a, so that any key makes a short name.
fn fingerprint(key: &str) -> String {
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}
