//! A PostgreSQL that can be killed, held, made to refuse, and set back.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cargoman_local_postgres::{Durability, LocalPostgres, Running, Settings};
use rustix::process::{Pid, Signal, kill_process};

use crate::postgres::psql;

/// A PostgreSQL of one's own.
#[derive(Debug)]
pub struct Database {
    settings: Settings,
    server: Option<LocalPostgres>,
    url: String,
}

impl Database {
    pub(super) fn start(data: &Path) -> Self {
        let settings = Settings {
            durability: Durability::Full,
            binaries: std::env::var_os("PG_BIN").map(PathBuf::from),
            start_timeout: Duration::from_secs(60),
            ..Settings::new(data)
        };
        let server = LocalPostgres::start(&settings).unwrap_or_else(|error| panic!("no PostgreSQL: {error}"));
        Self { url: server.url().to_owned(), server: Some(server), settings }
    }

    /// Where it is reached; the same over restarts.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends all its processes at once, without a word.
    pub fn kill9(&mut self) {
        let processes = self.processes();
        for process in processes {
            kill_process(process, Signal::KILL).ok();
        }
        // What it left is cleared away by the next start.
        drop(self.server.take());
    }

    /// Stops it in order.
    #[track_caller]
    pub fn stop(&mut self) {
        self.server.take().expect("it runs").stop().unwrap_or_else(|error| panic!("it does not stop: {error}"));
    }

    /// Starts it again on the same data.
    #[track_caller]
    pub fn restart(&mut self) {
        let server = LocalPostgres::start(&self.settings).unwrap_or_else(|error| panic!("no PostgreSQL: {error}"));
        assert_eq!(server.url(), self.url, "the same address");
        self.server = Some(server);
    }

    /// Holds all its processes.
    pub fn pause(&self) {
        self.processes().into_iter().for_each(|process| kill_process(process, Signal::STOP).unwrap_or_default());
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.processes().into_iter().for_each(|process| kill_process(process, Signal::CONT).unwrap_or_default());
    }

    /// Copies its data; it must not run.
    #[track_caller]
    pub fn back_up(&self, to: &Path) {
        copy(&self.settings.data, to);
    }

    /// Puts a copy in the place of its data; it must not run.
    #[track_caller]
    pub fn set_back(&self, from: &Path) {
        std::fs::remove_dir_all(&self.settings.data).expect("our own folder");
        copy(from, &self.settings.data);
    }

    /// Ends all connections and takes no new ones, until [`Self::accept`]. The server itself goes on.
    #[track_caller]
    pub fn refuse(&self) {
        let server = self.server.as_ref().expect("it runs");
        let directory = server.socket_directory();
        std::fs::rename(directory, away(directory)).expect("the socket's folder");
        let running = Running { pid: server.pid(), socket_directory: away(directory) };
        let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where pid <> pg_backend_pid()";
        psql(&running.url("postgres"), end).unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Takes connections again.
    #[track_caller]
    pub fn accept(&self) {
        let directory = self.server.as_ref().expect("it runs").socket_directory();
        std::fs::rename(away(directory), directory).expect("the socket's folder");
    }

    /// Runs SQL; rows come as lines, fields joined by `|`.
    #[track_caller]
    pub fn query(&self, sql: &str) -> String {
        psql(&self.url, sql).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Copies its data as they are at one moment, while it runs: a start from the copy recovers as after a crash.
    #[track_caller]
    pub fn back_up_running(&self, to: &Path) {
        self.pause();
        copy(&self.settings.data, to);
        self.resume();
        // Of the server that goes on.
        let _ = std::fs::remove_file(to.join("postmaster.pid"));
    }

    /// The first one and its children.
    fn processes(&self) -> Vec<Pid> {
        let first = self.server.as_ref().expect("it runs").pid();
        let mut found = vec![first];
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse::<u32>().ok());
            if parent == Some(first) {
                found.push(pid);
            }
        }
        found.into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).collect()
    }
}

/// With owners and modes.
#[track_caller]
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).stdin(Stdio::null()).status();
    assert!(copied.is_ok_and(|status| status.success()), "cannot copy {}", from.display());
}

/// Where the socket's folder is while connections are refused.
fn away(directory: &Path) -> PathBuf {
    directory.with_extension("away")
}
