//! Decides how the control plane runs its git worker: as a child process with an empty environment, killed when it overstays,
//! its events checked and passed on one by one. Must never trust the child to end, to be brief, or to be well-formed.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use super::account::{Account, make_folder};
use super::protocol::{Event, Failed, FailureCode, Request};
use super::text::printable;
use crate::crash;

/// One event may hold all refs of a large repository.
const LONGEST_LINE: u64 = 64 << 20;
const MOST_LOG_BYTES: u64 = 64 << 10;
/// The worker stops by itself at its own limit; this much later it is killed.
const GRACE: Duration = Duration::from_secs(30);

/// The program that does git work.
#[derive(Debug, Clone)]
pub struct Worker {
    program: PathBuf,
    arguments: Vec<OsString>,
    grace: Duration,
    account: Option<Account>,
}

/// How a sync ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All refs are settled.
    Finished,
    /// Nothing has changed since the previous sync.
    Unchanged,
}

impl Worker {
    /// This very program, called with `git-worker`.
    ///
    /// # Errors
    /// When the system does not tell what program this is.
    pub fn of_this_program() -> io::Result<Self> {
        Ok(Self::new(std::env::current_exe()?, vec!["git-worker".into()]))
    }

    /// Another program that calls [`super::worker::run`].
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { program, arguments, grace: GRACE, account: None }
    }

    /// As another user than we are.
    #[must_use]
    pub fn as_account(self, account: Account) -> Self {
        Self { account: Some(account), ..self }
    }

    /// Makes a folder in which it works.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let (account, folder) = (self.account, folder.to_owned());
        tokio::task::spawn_blocking(move || make_folder(account, &folder)).await.map_err(io::Error::other)?
    }

    /// With another time between the worker's own limit and its killing.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Runs one request to its end. Every event but the last line goes to `events`; when its receiver goes away, or the future
    /// is dropped, the child is killed.
    ///
    /// # Errors
    /// What the worker says went wrong, or [`FailureCode::Died`] when it ends without a word.
    pub async fn run(&self, request: &Request, events: mpsc::Sender<Event>) -> Result<End, Failed> {
        let mut child = self.start().map_err(|error| Failed::machine("starting the git worker", error))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Failed::machine("starting the git worker", "it has no pipes"));
        };
        let limit = Duration::from_secs(request.limits.total_seconds).saturating_add(self.grace);
        let conversation = async {
            let (answer, sent, ()) =
                tokio::join!(receive(BufReader::new(stdout), &events), send(stdin, request), log(stderr));
            // A worker that fails before reading everything says why; the broken pipe is only its echo.
            match answer {
                Err(failed) if failed.code == FailureCode::Died => sent.and(Err(failed)),
                answer => answer,
            }
        };
        let answer = tokio::time::timeout(limit, conversation).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(Failed::limit(format!("the sync took longer than {} seconds and was stopped", limit.as_secs())))
        });
        end(&mut child, answer).await
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        if let Some(wanted) = std::env::var_os(crash::VARIABLE).filter(|_| cfg!(debug_assertions)) {
            command.env(crash::VARIABLE, wanted);
        }
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
            .env("HOME", "/nonexistent")
            .env("PATH", "/nonexistent")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }
}

/// Sees to it that the child is gone, and adds how it went when it left no word.
async fn end(child: &mut Child, answer: Result<End, Failed>) -> Result<End, Failed> {
    let silent = matches!(&answer, Err(failed) if failed.code == FailureCode::Died);
    // After its last line a good child exits at once; one that does not is killed.
    let status = match tokio::time::timeout(Duration::from_secs(5), child.wait()).await {
        Ok(Ok(status)) if answer.is_ok() || silent => Some(status),
        _ => {
            child.kill().await.map_err(|error| Failed::machine("stopping the git worker", error))?;
            None
        }
    };
    match (answer, status) {
        (Err(failed), Some(status)) if silent => {
            Err(Failed { message: format!("{} ({status})", failed.message), ..failed })
        }
        (answer, _) => answer,
    }
}

async fn send(mut stdin: ChildStdin, request: &Request) -> Result<(), Failed> {
    let text = serde_json::to_vec(request).map_err(|error| Failed::machine("writing the request", error))?;
    let written = async {
        stdin.write_all(&text).await?;
        stdin.shutdown().await
    };
    match written.await {
        // It has ended already; its own words or its exit say why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failed::machine("writing the request", error)),
    }
}

async fn receive(mut stdout: impl AsyncBufRead + Unpin, events: &mpsc::Sender<Event>) -> Result<End, Failed> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut stdout).take(LONGEST_LINE).read_until(b'\n', &mut line).await;
        read.map_err(|error| Failed::machine("listening to the git worker", error))?;
        if line.last() != Some(&b'\n') {
            return Err(died("the git worker ended without an answer"));
        }
        match serde_json::from_slice(&line) {
            Ok(Event::Finished) => return Ok(End::Finished),
            Ok(Event::Unchanged) => return Ok(End::Unchanged),
            Ok(Event::Failed(failed)) => return Err(failed),
            Ok(event) => {
                if events.send(event).await.is_err() {
                    return Err(died("the sync was called off"));
                }
            }
            Err(error) => return Err(died(format!("the git worker said something that cannot be read: {error}"))),
        }
    }
}

/// The worker's log lines, as ours: bounded, and harmless to look at.
async fn log(stderr: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(stderr.take(MOST_LOG_BYTES)).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        tracing::info!(target: "cargoman::git_worker", "{}", printable(&line));
    }
    // What comes beyond the bound finds a closed pipe.
}

fn died(message: impl Into<String>) -> Failed {
    Failed::new(
        FailureCode::Died,
        message,
        "look at the log of the control plane, and at memory limits; sync it again once the cause is mended",
    )
}
