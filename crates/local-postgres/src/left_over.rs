//! Servers that run on a folder without an owner: left by a program that was killed, or on purpose (tests share
//! one). It never signals a process it has not identified as a server of exactly this folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::StartError;
use crate::lock::Lock;
use crate::process::{self, Signal};
use crate::settings::Layout;
use crate::socket;

/// How long an orderly shutdown may take before the server is stopped at once.
pub(crate) const FAST_LIMIT: Duration = Duration::from_secs(30);
/// How long a server may take to end once it was told to end at once.
pub(crate) const IMMEDIATE_LIMIT: Duration = Duration::from_secs(5);

/// A server that accepts connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The process id of the postmaster.
    pub pid: u32,
    /// The directory of its socket.
    pub socket_directory: PathBuf,
}

impl Running {
    /// The URL of a database on this server, as role `cargoman`.
    pub fn url(&self, database: &str) -> String {
        socket::url(&self.socket_directory, database)
    }
}

/// The server that runs on the cluster in `data` and accepts connections, whoever started it.
pub fn running(data: &Path) -> Option<Running> {
    let data = data.canonicalize().ok()?;
    let file = PidFile::read(&data)?;
    if !file.ready || !process::is_server_of(file.pid, &data) {
        return None;
    }
    Some(Running { pid: file.pid, socket_directory: file.socket_directory? })
}

/// Stops the server that runs on the cluster in `data` without an owner; whether there was one. Refuses with
/// [`StartError::Locked`] while a program owns the folder.
pub fn stop_running(data: &Path) -> Result<bool, StartError> {
    if !data.exists() {
        return Ok(false);
    }
    let layout = Layout::resolve(data, false)?;
    let _lock = Lock::take(&layout)?;
    stop(&layout)
}

/// Stops what runs on the folder, and removes a pid file that means nothing. The caller holds the lock.
pub(crate) fn stop(layout: &Layout) -> Result<bool, StartError> {
    let Some(PidFile { pid, .. }) = PidFile::read(&layout.data) else { return Ok(false) };
    if !process::is_server_of(pid, &layout.data) {
        // PostgreSQL would refuse to start if the number now belongs to another process of the same user.
        let path = layout.data.join(PidFile::NAME);
        std::fs::remove_file(&path).map_err(|source| StartError::io("remove", &path, source))?;
        return Ok(false);
    }
    tracing::warn!(pid, data = %layout.data.display(), "stopping a PostgreSQL server that has no owner");
    for (signal, limit) in [(Signal::INT, FAST_LIMIT), (Signal::QUIT, IMMEDIATE_LIMIT), (Signal::KILL, IMMEDIATE_LIMIT)]
    {
        if let Err(error) = process::signal(pid, signal) {
            tracing::warn!(pid, %error, "cannot signal the server");
        }
        if process::wait_until(limit, || !process::is_alive(pid)) {
            return Ok(true);
        }
    }
    Err(StartError::LeftOver { data: layout.data.clone(), pid })
}

/// What a server writes about itself into its data folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: u32,
    /// Whether it accepts connections.
    pub(crate) ready: bool,
    socket_directory: Option<PathBuf>,
}

impl PidFile {
    const NAME: &str = "postmaster.pid";

    pub(crate) fn read(data: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(data.join(Self::NAME)).ok()?)
    }

    /// Lines: pid, data folder, start time, port, socket directory, listen address, shared memory, status.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        Some(Self {
            pid: lines.first()?.parse().ok()?,
            ready: lines.get(7) == Some(&"ready"),
            socket_directory: lines.get(4).filter(|line| !line.is_empty()).map(PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_files() {
        let whole = "4711\n/d/postgres\n1700000000\n5432\n/d/postgres.socket\n\n  1055  42\nready   \n";
        let file = PidFile::parse(whole).unwrap();
        assert_eq!(file, PidFile { pid: 4711, ready: true, socket_directory: Some("/d/postgres.socket".into()) });
        assert!(!PidFile::parse(&whole.replace("ready   ", "starting")).unwrap().ready);
        assert!(!PidFile::parse("4711\n/d/postgres\n").unwrap().ready);
        for broken in ["", "\n", "no\n", "-1\n"] {
            assert_eq!(PidFile::parse(broken), None, "{broken:?}");
        }
    }
}
