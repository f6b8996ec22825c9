//! Starting, watching and stopping the server of one folder: the steps in order. It never returns a server that
//! does not accept connections, and never leaves one running that it gave up on.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::binaries::Binaries;
use crate::error::{StartError, StopError};
use crate::left_over::{self, FAST_LIMIT, IMMEDIATE_LIMIT, PidFile, Running};
use crate::lock::Lock;
use crate::log::Log;
use crate::process::{self, Signal};
use crate::settings::{Durability, Layout, Settings};
use crate::{create, database, socket};

/// A running cluster that this program owns. Dropping it stops the server at once (committed data stays); call
/// [`LocalPostgres::stop`] for an orderly end.
#[derive(Debug)]
pub struct LocalPostgres {
    server: Option<Server>,
    url: String,
    running: Running,
    major: u32,
    _lock: Lock,
}

impl LocalPostgres {
    /// Starts the cluster, making it first if there is none. A server left on the folder by a killed program is
    /// stopped; a folder that a living program owns is refused with [`StartError::Locked`]. Blocks until the
    /// server accepts connections and the database exists.
    pub fn start(settings: &Settings) -> Result<Self, StartError> {
        settings.check()?;
        let layout = Layout::resolve(&settings.data, true)?;
        let lock = Lock::take(&layout)?;
        left_over::stop(&layout)?;
        let binaries = Binaries::find(settings.binaries.as_deref(), &layout.data)?;
        let account = Account::choose(settings, &layout)?;
        create::create_if_missing(&layout, &binaries, &account, settings.durability)?;
        let directory = socket::prepare(&layout, &account, &socket::temporary_folder())?;
        let server = Server::start(settings, &layout, &binaries, &account, &directory)?;
        database::create_if_missing(&binaries, &directory, &settings.database)?;
        let running = Running { pid: server.pid, socket_directory: directory };
        tracing::info!(pid = running.pid, data = %layout.data.display(), version = binaries.major, "PostgreSQL is ready");
        Ok(Self {
            server: Some(server),
            url: running.url(&settings.database),
            running,
            major: binaries.major,
            _lock: lock,
        })
    }

    /// `postgres://cargoman@localhost/<database>?host=<socket directory, percent-encoded>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The directory of the server's socket; only its owner may enter it.
    pub fn socket_directory(&self) -> &Path {
        &self.running.socket_directory
    }

    /// PostgreSQL's major version.
    pub fn major_version(&self) -> u32 {
        self.major
    }

    /// The process id of the postmaster.
    pub fn pid(&self) -> u32 {
        self.running.pid
    }

    /// Whether the server still runs: it may crash or be killed by others.
    pub fn is_running(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.ended().is_none())
    }

    /// Ends the server in order: connections are cut, open transactions rolled back, everything is written. After
    /// 30 seconds it is stopped at once and recovers at the next start.
    pub fn stop(mut self) -> Result<(), StopError> {
        self.server.take().map_or(Ok(()), Server::stop)
    }

    /// Leaves the server running without an owner and gives the folder up. The next start on the folder stops it;
    /// [`crate::running`] finds it and [`crate::stop_running`] stops it.
    pub fn detach(mut self) -> Running {
        if let Some(mut server) = self.server.take() {
            server.leave = true;
        }
        self.running.clone()
    }
}

/// The server's process. Dropped, it is stopped at once.
#[derive(Debug)]
struct Server {
    child: Mutex<Child>,
    pid: u32,
    log: Log,
    leave: bool,
}

impl Server {
    /// Spawns the server and waits until it accepts connections.
    fn start(
        settings: &Settings,
        layout: &Layout,
        binaries: &Binaries,
        account: &Account,
        directory: &Path,
    ) -> Result<Self, StartError> {
        let deadline = Instant::now() + settings.start_timeout;
        loop {
            let server = Self::spawn(settings, layout, binaries, account, directory)?;
            let remaining = deadline.saturating_duration_since(Instant::now());
            let mut ended = None;
            let settled = process::wait_until(remaining, || {
                ended = server.ended();
                ended.is_some() || server.is_ready(layout)
            });
            let (log, log_tail) = (server.log.path().to_owned(), server.log.tail());
            match ended {
                None if settled => return Ok(server),
                None => return Err(StartError::TimedOut { waited: settings.start_timeout, log, log_tail }),
                // Children of a killed postmaster need a moment to notice; until then the folder counts as in use.
                Some(_) if log_tail.contains("pre-existing shared memory block") && Instant::now() < deadline => {
                    std::thread::sleep(process::TICK);
                }
                Some(status) => return Err(StartError::Ended { status: status.to_string(), log, log_tail }),
            }
        }
    }

    fn spawn(
        settings: &Settings,
        layout: &Layout,
        binaries: &Binaries,
        account: &Account,
        directory: &Path,
    ) -> Result<Self, StartError> {
        let (log, file) = Log::open(layout)?;
        let program = binaries.program("postgres");
        let mut command = account.command(&program);
        command.arg("-D").arg(&layout.data);
        command.arg("-c").arg("listen_addresses=").arg("-c").arg(format!("port={}", socket::PORT));
        let quoted = format!("\"{}\"", directory.display());
        command.arg("-c").arg(format!("unix_socket_directories={quoted}")).args(["-c", "unix_socket_permissions=0700"]);
        command.arg("-c").arg(format!("max_connections={}", settings.max_connections));
        // Small tables that change all the time: after a minute without statistics plans are bad, and indexes full of dead rows.
        command.args(["-c", "autovacuum_naptime=5s"]);
        // Everything goes to our log, whatever the configuration file says.
        command.args(["-c", "logging_collector=off", "-c", "log_destination=stderr", "-c", "cluster_name=cargoman"]);
        let switch = if settings.durability == Durability::Full { "on" } else { "off" };
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            command.arg("-c").arg(format!("{name}={switch}"));
        }
        command.stdout(Stdio::null()).stderr(file).process_group(0);
        let child = command.spawn().map_err(|source| StartError::io("run", &program, source))?;
        Ok(Self { pid: child.id(), child: Mutex::new(child), log, leave: false })
    }

    fn is_ready(&self, layout: &Layout) -> bool {
        PidFile::read(&layout.data).is_some_and(|file| file.pid == self.pid && file.ready)
    }

    fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().ok().flatten()
    }

    fn stop(self) -> Result<(), StopError> {
        if let Some(status) = self.ended() {
            let (log, log_tail) = (self.log.path().to_owned(), self.log.tail());
            return Err(StopError::AlreadyEnded { status: status.to_string(), log, log_tail });
        }
        process::signal(self.pid, Signal::INT).map_err(|source| StopError::System { pid: self.pid, source })?;
        if self.wait(FAST_LIMIT) {
            return Ok(());
        }
        // What follows is `drop`.
        Err(StopError::Forced { waited: FAST_LIMIT })
    }

    fn wait(&self, limit: Duration) -> bool {
        process::wait_until(limit, || self.ended().is_some())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A child that was waited for gives its number free: it must not be signalled any more.
        if self.leave || self.ended().is_some() {
            return;
        }
        for signal in [Signal::QUIT, Signal::KILL] {
            if let Err(error) = process::signal(self.pid, signal) {
                tracing::warn!(pid = self.pid, %error, "cannot stop PostgreSQL");
            }
            if self.wait(IMMEDIATE_LIMIT) {
                return;
            }
        }
    }
}
