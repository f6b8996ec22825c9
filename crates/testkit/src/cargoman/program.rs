//! The process of a registry: started, read, signalled, waited for.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::deadline;
use crate::output;

/// The program under test: `CARGOMAN_BIN`, else `cargoman` in the target folder that the running test lies in.
#[track_caller]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CARGOMAN_BIN") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("the test's own path");
    // target/<profile>/deps/<test>; examples and the like lie one folder down as well.
    let path = test.ancestors().skip(1).take(2).map(|folder| folder.join("cargoman")).find(|path| path.is_file());
    path.unwrap_or_else(|| {
        panic!("no program `cargoman` near {}; run `cargo build -p cargoman-cli` or set CARGOMAN_BIN", test.display())
    })
}

/// A command that gets nothing of the test's environment but what tells programs and PostgreSQL where to be found.
pub(super) fn isolated(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env_clear();
    for name in ["PATH", "PG_BIN", "RUST_LOG", "RUST_BACKTRACE", "TMPDIR", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// The program under test as a command of its own: `constraint`, `customer list`, a second `up`. It gets nothing of the
/// test's environment.
#[track_caller]
pub fn command() -> Command {
    isolated(&binary())
}

/// One running program. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Program {
    child: Mutex<Option<Child>>,
    pid: u32,
    printed: Arc<Mutex<Vec<String>>>,
}

impl Program {
    /// Starts it; its standard error is appended to `log`.
    #[track_caller]
    pub(super) fn start(mut command: Command, log: &Path) -> Self {
        let log = File::options().append(true).create(true).open(log).expect("the log's own folder");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let spawned = command.spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot run {:?}: {error}", command.get_program()));
        let printed = Arc::new(Mutex::new(Vec::new()));
        if let Some(stdout) = child.stdout.take() {
            let printed = Arc::clone(&printed);
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    printed.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            });
        }
        Self { pid: child.id(), child: Mutex::new(Some(child)), printed }
    }

    /// Waits for the first line, which must be the ready line; gives the URLs of edge and control plane.
    pub(super) fn ready(&self, limit: Duration) -> Result<(String, String), String> {
        let start = std::time::Instant::now();
        loop {
            // First whether it ended, then what it printed: not the other way round, or a last line would be missed.
            let ended = self.ended();
            if let Some(line) = self.printed().first() {
                return super::parse_ready(line).ok_or_else(|| format!("no ready line: {line:?}"));
            }
            if let Some(status) = ended {
                return Err(format!("it ended with {status} before it was ready"));
            }
            if start.elapsed() > limit {
                return Err(format!("it was not ready within {limit:?}"));
            }
            std::thread::sleep(deadline::TICK);
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn printed(&self) -> Vec<String> {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// SIGKILL.
    pub(super) fn kill(self) {
        drop(self);
    }

    /// SIGTERM; how it ended, or `None` when it had to be killed after `limit`.
    pub(super) fn terminate(self, limit: Duration) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw)?;
        let _ = kill_process(pid, Signal::TERM);
        output::wait(&mut child, limit)
    }

    fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.try_wait().ok().flatten()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(child) = self.child.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
