//! The database of `up`: the server of `DATABASE_URL`, else a private one in the data folder, which is watched and started
//! again when it dies.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use cargoman_control_plane::sqlx_options::PgConnectOptions;
use cargoman_local_postgres::{LocalPostgres, Settings, StopError};
use tokio::sync::watch;

use crate::control_plane::{database, database_for_listening, database_for_migrations};
use crate::exit::Failure;

/// How often the private server is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Starts in a row that may fail before everything ends: a supervisor and its operator can do more than we.
const MOST_FAILED_STARTS: u32 = 5;

pub(super) struct Opened {
    pub(super) options: PgConnectOptions,
    pub(super) migrate: Option<PgConnectOptions>,
    pub(super) listen: Option<PgConnectOptions>,
    private: Option<Watched>,
}

/// Opens the database. When a private server cannot be kept alive, `stop_all` is told.
pub(super) fn open(data: &Path, stop_all: watch::Sender<bool>) -> Result<Opened, Failure> {
    if let Some(options) = database()? {
        let (migrate, listen) = (database_for_migrations()?, database_for_listening()?);
        return Ok(Opened { options, migrate, listen, private: None });
    }
    let mut settings = Settings::new(data.join("postgres"));
    settings.binaries = std::env::var_os("PG_BIN").map(PathBuf::from);
    let private = LocalPostgres::start(&settings).map_err(Failure::database)?;
    let options = PgConnectOptions::from_str(private.url()).map_err(Failure::database)?;
    Ok(Opened { options, migrate: None, listen: None, private: Some(Watched::over(private, settings, stop_all)?) })
}

impl Opened {
    /// Whether nobody else can be using it.
    pub(super) fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// Stops it, if it is ours.
    pub(super) fn stop(self) -> Result<(), Failure> {
        self.private.map_or(Ok(()), Watched::stop)
    }
}

/// A private server and the thread that keeps it alive.
struct Watched {
    thread: JoinHandle<Result<(), Failure>>,
    stop: mpsc::Sender<()>,
}

impl Watched {
    fn over(server: LocalPostgres, settings: Settings, stop_all: watch::Sender<bool>) -> Result<Self, Failure> {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || {
                let kept = keep_alive(server, &settings, &stopped);
                stop_all.send_replace(true);
                kept
            })
            .map_err(Failure::failed)?;
        Ok(Self { thread, stop })
    }

    fn stop(self) -> Result<(), Failure> {
        // An error means that the thread gave up already; joining it tells why.
        self.stop.send(()).ok();
        self.thread.join().map_err(|_| Failure::failed("the thread that watches PostgreSQL panicked"))?
    }
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
