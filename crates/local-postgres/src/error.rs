//! Why a cluster could not be started or stopped; each message names the file and the remedy.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why the cluster could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database's name would need quoting.
    #[error("database name {name:?}: use lower-case letters, digits and `_`, not starting with a digit, 63 at most")]
    DatabaseName {
        /// The name that was asked for.
        name: String,
    },
    /// Another process owns the folder.
    #[error("{} is in use by process {pid} (lock {}); stop that process or choose another data folder", data.display(), lock.display())]
    Locked {
        /// The data folder.
        data: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// The owner's process id as it wrote it, or `unknown`.
        pid: String,
    },
    /// The folder has files, but no cluster.
    #[error("{} is not empty and holds no PostgreSQL cluster (no PG_VERSION); move its files away or choose another data folder", data.display())]
    NotACluster {
        /// The data folder.
        data: PathBuf,
    },
    /// No usable binaries at all.
    #[error(
        "no PostgreSQL server of version {minimum} or newer was found (looked in: {looked}); install one (Debian, Ubuntu: `apt install postgresql`; Fedora: `dnf install postgresql-server`), set PG_BIN to its bin folder, or set DATABASE_URL to use a server of your own"
    )]
    NoBinaries {
        /// The oldest major version that does.
        minimum: u32,
        /// The folders that were looked at.
        looked: String,
    },
    /// The cluster needs a version that is not installed.
    #[error("the cluster in {} was made by PostgreSQL {major}, which was not found (found: {found}); install postgresql-{major} (Debian, Ubuntu: `apt install postgresql-{major}`; Red Hat: `dnf install postgresql{major}-server`), or set PG_BIN to its bin folder, or move the cluster to an installed version with pg_upgrade", data.display())]
    MissingMajor {
        /// The data folder.
        data: PathBuf,
        /// The version in its PG_VERSION.
        major: u32,
        /// What is installed instead.
        found: String,
    },
    /// Started as root, and no account to drop to.
    #[error(
        "PostgreSQL refuses to run as root, and there is no account {name:?} to run it as; create it (`useradd --system {name}`) or start cargoman as an ordinary user"
    )]
    NoAccount {
        /// The account's name.
        name: String,
    },
    /// Started as root, and the account cannot reach the data folder.
    #[error("PostgreSQL runs as {account}, who may not enter {}; allow it (`chmod o+x {}`), choose a data folder elsewhere (such as /var/lib/cargoman), or start cargoman as an ordinary user", directory.display(), directory.display())]
    NotTraversable {
        /// The first folder on the way that stops the account.
        directory: PathBuf,
        /// The account, as name or uid.
        account: String,
    },
    /// The directory of the socket belongs to someone else.
    #[error("socket directory {}: {reason}; remove it or choose a data folder with a shorter path", directory.display())]
    SocketDirectory {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A server left by a crash could not be stopped.
    #[error("process {pid} is a PostgreSQL server of {} that an earlier crash left behind, and it does not stop; stop it by hand (`kill -QUIT {pid}`)", data.display())]
    LeftOver {
        /// The data folder.
        data: PathBuf,
        /// The server's process id.
        pid: u32,
    },
    /// `initdb` failed.
    #[error("initdb could not make a cluster for {}: {output}", data.display())]
    Create {
        /// The data folder.
        data: PathBuf,
        /// What it printed last.
        output: String,
    },
    /// The server ended before it was ready.
    #[error("PostgreSQL ended with {status} before it was ready; the end of {}:\n{log_tail}", log.display())]
    Ended {
        /// How it ended.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines of this start.
        log_tail: String,
    },
    /// The server took too long.
    #[error("PostgreSQL was not ready after {waited:?}; the end of {}:\n{log_tail}", log.display())]
    TimedOut {
        /// How long it was given.
        waited: Duration,
        /// Its log.
        log: PathBuf,
        /// The log's last lines of this start.
        log_tail: String,
    },
    /// The database could not be looked up or made.
    #[error("database {database:?} could not be made ready: {output}")]
    Database {
        /// The database's name.
        database: String,
        /// What psql printed last.
        output: String,
    },
}

impl StartError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

/// What was not in order when the cluster stopped. In every case it no longer runs, unless the variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// It had ended before it was asked to.
    #[error("PostgreSQL had already ended with {status}; the end of {}:\n{log_tail}", log.display())]
    AlreadyEnded {
        /// How it ended.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines since the start.
        log_tail: String,
    },
    /// It ended only when it was made to; it recovers at the next start and loses no committed data.
    #[error("PostgreSQL did not shut down within {waited:?} and was stopped at once; it recovers at the next start")]
    Forced {
        /// How long it was given.
        waited: Duration,
    },
    /// It still runs: the system did not let it be signalled or waited for.
    #[error("PostgreSQL (process {pid}) could not be stopped: {source}; stop it by hand (`kill -INT {pid}`)")]
    System {
        /// The server's process id.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
}
