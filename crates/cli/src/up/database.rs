//! The database of `up`: the server of `DATABASE_URL`, else a private one in the data folder, which is watched and started
//! again when it dies.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use cargoman_control_plane::server::Access;
use cargoman_control_plane::sqlx_options::PgConnectOptions;
use cargoman_local_postgres::{LocalPostgres, Settings, StopError};
use tokio::sync::{oneshot, watch};

use crate::control_plane::{database, database_for_listening, database_for_migrations};
use crate::exit::Failure;

/// How often the private server is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Starts in a row that may fail before everything ends: a supervisor and its operator can do more than we.
const MOST_FAILED_STARTS: u32 = 5;

/// The database and the thread that starts and watches it.
pub(super) struct Thread {
    handle: JoinHandle<Result<(), Failure>>,
    stop: mpsc::Sender<()>,
}

impl Thread {
    /// Opens the database and says to `access` how it is reached. When a private server cannot be started or kept alive,
    /// `stop_all` is told.
    pub(super) fn start(
        source: Source,
        access: oneshot::Sender<Access>,
        stop_all: watch::Sender<bool>,
    ) -> Result<Self, Failure> {
        let (stop, stopped) = mpsc::channel();
        let handle = std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || match source {
                Source::Given(given) => {
                    // An error means that the control plane ended, which tells why itself.
                    access.send(*given).ok();
                    Ok(())
                }
                Source::Private(settings) => {
                    let kept = serve(&settings, access, &stopped);
                    stop_all.send_replace(true);
                    kept
                }
            })
            .map_err(Failure::failed)?;
        Ok(Self { handle, stop })
    }

    /// Stops it, if it is ours.
    pub(super) fn stop(self) -> Result<(), Failure> {
        // An error means that the thread ended already; joining it tells why.
        self.stop.send(()).ok();
        self.handle.join().map_err(|_| Failure::failed("the thread that watches PostgreSQL panicked"))?
    }
}

/// Where the database comes from.
pub(super) enum Source {
    /// The server of `DATABASE_URL`.
    Given(Box<Access>),
    /// A private one.
    Private(Settings),
}

impl Source {
    /// Whether nobody else can be using it.
    pub(super) fn is_private(&self) -> bool {
        matches!(self, Self::Private(_))
    }

    /// Reads the environment.
    pub(super) fn find(data: &Path) -> Result<Self, Failure> {
        if let Some(database) = database()? {
            let (migrate, listen) = (database_for_migrations()?, database_for_listening()?);
            return Ok(Self::Given(Box::new(Access { database, migrate, listen, alone: false })));
        }
        let mut settings = Settings::new(data.join("postgres"));
        settings.binaries = std::env::var_os("PG_BIN").map(PathBuf::from);
        Ok(Self::Private(settings))
    }
}

fn serve(settings: &Settings, access: oneshot::Sender<Access>, stopped: &mpsc::Receiver<()>) -> Result<(), Failure> {
    let server = LocalPostgres::start(settings).map_err(Failure::database)?;
    let database = match PgConnectOptions::from_str(server.url()) {
        Ok(options) => options,
        Err(error) => return end(server).and(Err(Failure::database(error))),
    };
    access.send(Access { database, migrate: None, listen: None, alone: true }).ok();
    keep_alive(server, settings, stopped)
}

fn keep_alive(mut server: LocalPostgres, settings: &Settings, stopped: &mpsc::Receiver<()>) -> Result<(), Failure> {
    let mut failed_starts = 0;
    loop {
        match stopped.recv_timeout(LOOK_EVERY) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return end(server),
            Err(RecvTimeoutError::Timeout) if server.is_running() => {}
            Err(RecvTimeoutError::Timeout) => {
                tracing::error!("PostgreSQL died; starting it again");
                // Gives its lock back.
                drop(server);
                server = loop {
                    match LocalPostgres::start(settings) {
                        Ok(server) => break server,
                        Err(error) => {
                            failed_starts += 1;
                            tracing::error!(%error, failed_starts, "PostgreSQL does not start again");
                            if failed_starts >= MOST_FAILED_STARTS {
                                return Err(Failure::database(error));
                            }
                            if stopped.recv_timeout(LOOK_EVERY * failed_starts) != Err(RecvTimeoutError::Timeout) {
                                return Ok(());
                            }
                        }
                    }
                };
                failed_starts = 0;
            }
        }
    }
}

fn end(server: LocalPostgres) -> Result<(), Failure> {
    match server.stop() {
        Ok(()) => Ok(()),
        Err(error @ (StopError::Forced { .. } | StopError::AlreadyEnded { .. })) => {
            tracing::warn!(%error, "PostgreSQL did not end as it should");
            Ok(())
        }
        Err(error) => Err(Failure::database(error)),
    }
}
