//! The server that test databases live on: found, or started by the first comer under a lock. It stops a server
//! only on request, and drops only databases whose test program no longer runs.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cargoman_local_postgres::{Durability, LocalPostgres, Running, Settings, running, stop_running};
use rustix::fs::{FlockOperation, flock};
use url::Url;

use super::psql;

/// The database that administrative statements run in; always there.
const ADMINISTRATION: &str = "postgres";

/// Where databases are made.
#[derive(Debug)]
pub(super) struct Server {
    base: Url,
}

/// The server of this test program.
pub(super) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::find().unwrap_or_else(|error| panic!("no PostgreSQL for the tests: {error:#}")))
}

/// The URL of the shared cluster's administrative database; starts the cluster if need be.
pub fn shared_url() -> anyhow::Result<String> {
    Ok(Server::shared()?.url_of(ADMINISTRATION))
}

/// Stops the shared cluster; whether it ran. Tests that still use it fail.
pub fn stop_shared() -> anyhow::Result<bool> {
    let folder = Folder::open()?;
    let _lock = folder.lock()?;
    Ok(stop_running(&folder.data())?)
}

/// Makes the database `name` by `prepare` unless there is one.
pub(super) fn ensure_template(name: &str, prepare: impl FnOnce(&str)) -> anyhow::Result<()> {
    // Programs run side by side: one prepares, the others wait.
    let server = server();
    let _lock = Folder::open()?.lock()?;
    let found = server.execute(&format!("SELECT 1 FROM pg_database WHERE datname = '{name}'"))?;
    if found == "1" {
        return Ok(());
    }
    // Under another name until it is complete: `prepare` may panic.
    let draft = format!("{name}_draft");
    server.execute(&format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)"))?;
    server.execute(&format!("CREATE DATABASE {draft} TEMPLATE template0"))?;
    prepare(&server.url_of(&draft));
    server.execute(&format!("ALTER DATABASE {draft} RENAME TO {name}")).context("are there open connections?")?;
    Ok(())
}

impl Server {
    fn find() -> anyhow::Result<Self> {
        match std::env::var("DATABASE_URL_TEST") {
            Ok(url) => {
                let server = Self { base: Url::parse(&url).context("DATABASE_URL_TEST")? };
                server.execute("SELECT 1").context("DATABASE_URL_TEST")?;
                Ok(server)
            }
            Err(_) => Self::shared(),
        }
    }

    fn shared() -> anyhow::Result<Self> {
        let folder = Folder::open()?;
        let _lock = folder.lock()?;
        let data = folder.data();
        let found = running(&data).and_then(|running| Self::connect(&running).ok());
        let server = match found {
            Some(server) => server,
            None => Self::connect(&start(&data)?)?,
        };
        server.sweep()?;
        Ok(server)
    }

    fn connect(running: &Running) -> anyhow::Result<Self> {
        let server = Self { base: Url::parse(&running.url(ADMINISTRATION))? };
        server.execute("SELECT 1")?;
        Ok(server)
    }

    pub(super) fn execute(&self, sql: &str) -> anyhow::Result<String> {
        psql(self.base.as_str(), sql)
    }

    pub(super) fn url_of(&self, database: &str) -> String {
        let mut url = self.base.clone();
        url.set_path(database);
        url.into()
    }

    /// Drops databases of test programs that were killed.
    fn sweep(&self) -> anyhow::Result<()> {
        let names = self.execute("SELECT datname FROM pg_database WHERE datname ~ '^test_[0-9]+_'")?;
        for name in names.lines() {
            let process = name.split('_').nth(1).and_then(|number| number.parse().ok());
            let process = process.and_then(rustix::process::Pid::from_raw);
            let gone = process.is_some_and(|process| {
                matches!(rustix::process::test_kill_process(process), Err(rustix::io::Errno::SRCH))
            });
            if gone {
                self.execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
            }
        }
        Ok(())
    }
}

/// Starts the shared cluster. It runs without fsync: if it cannot start it may be ruined, and is made anew.
fn start(data: &Path) -> anyhow::Result<Running> {
    let settings = Settings {
        durability: Durability::None,
        max_connections: 300,
        binaries: std::env::var_os("PG_BIN").map(PathBuf::from),
        start_timeout: Duration::from_secs(60),
        ..Settings::new(data)
    };
    let started = LocalPostgres::start(&settings).or_else(|error| {
        if !data.exists() {
            return Err(error);
        }
        eprintln!("the shared test cluster does not start and is made anew: {error}");
        let _ = std::fs::remove_dir_all(data);
        LocalPostgres::start(&settings)
    });
    Ok(started?.detach())
}

/// `/tmp/cargoman-test-pg-<uid>`.
struct Folder(PathBuf);

impl Folder {
    fn open() -> anyhow::Result<Self> {
        let uid = rustix::process::geteuid().as_raw();
        let path = std::env::temp_dir().join(format!("cargoman-test-pg-{uid}"));
        let _ = DirBuilder::new().mode(0o711).create(&path);
        let found = path.symlink_metadata().with_context(|| path.display().to_string())?;
        ensure!(found.is_dir() && found.uid() == uid, "{} is not ours; remove it", path.display());
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o711))?;
        Ok(Self(path))
    }

    fn data(&self) -> PathBuf {
        self.0.join("postgres")
    }

    /// Waits for its turn. Not the lock of the cluster itself, which `stop_running` and `start` take.
    fn lock(&self) -> anyhow::Result<Turn> {
        let file = File::options().create(true).append(true).open(self.0.join("turn.lock"))?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(Turn(file))
    }
}

/// Held until dropped.
struct Turn(File);

impl Drop for Turn {
    fn drop(&mut self) {
        // Closing alone is not enough: a child that another thread is just spawning holds a copy until it execs.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}
