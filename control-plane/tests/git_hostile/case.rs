//! How a case is run and judged.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cargoman_control_plane::git::child::{End, Worker};
use cargoman_control_plane::git::protocol::{Failed, FailureCode, Limits, Request, SkipCode};
use tokio::sync::mpsc;

use crate::repository::Repository;
use crate::run::{Answer, Place, collect};
use crate::script::{self, Asked, Script};

/// What a sync of a hostile repository must come to.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// It fails with one of these.
    Fails(&'static [FailureCode]),
    /// It ends well, `refs/tags/1.0.0` is a version, and this ref is not, for this reason.
    Skips(&'static str, SkipCode),
    /// It ends well, and `refs/tags/1.0.0` is a version.
    Ends,
}

/// A server that means harm.
pub(crate) struct Case {
    /// Of threats.md.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) script: Script,
    pub(crate) expected: Expected,
}

impl Case {
    pub(crate) fn new(
        id: &'static str,
        name: &'static str,
        codes: &'static [FailureCode],
        script: impl Fn(&Asked, &mut std::net::TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { id, name, script: Arc::new(script), expected: Expected::Fails(codes) }
    }
}

/// Bounds in which a case is over soon, and which it has no reason to reach unless it says so.
pub(crate) fn limits() -> Limits {
    Limits {
        connect_seconds: 2,
        network_seconds: 3,
        total_seconds: 30,
        rate_seconds: 1,
        archive_bytes: 64 << 20,
        // A fraction of what production gives: whoever makes the worker ask for more is caught here (G-S3).
        address_space_bytes: 1536 << 20,
        ..Limits::default()
    }
}

/// What is said to the worker of a server on this port.
pub(crate) fn request(place: &Place, port: u16) -> Request {
    Request { limits: limits(), ..place.request(&format!("http://127.0.0.1:{port}/acme/pay.git")) }
}

/// Runs the worker as production does.
pub(crate) fn run(request: &Request) -> (Result<End, Failed>, Answer, Duration) {
    let worker = Worker::new(PathBuf::from(env!("CARGO_BIN_EXE_git-worker")), Vec::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let begin = Instant::now();
    let (end, events) = runtime.block_on(async {
        let (sender, mut receiver) = mpsc::channel(16);
        let collecting = async {
            let mut events = Vec::new();
            while let Some(event) = receiver.recv().await {
                events.push(event);
            }
            events
        };
        tokio::join!(worker.run(request, sender), collecting)
    });
    (end, collect(events.into_iter()), begin.elapsed())
}

/// Runs all cases of a table, says each one's outcome, and fails with all that went wrong.
pub(crate) fn judge(cases: Vec<Case>) {
    let honest = Repository::with_package("acme/pay");
    honest.tag("1.0.0");
    let wrong: Vec<String> = cases
        .into_iter()
        .filter_map(|case| {
            let place = Place::new();
            let port = script::serve(case.script);
            let verdict = verdict(&request(&place, port), &case.expected).and_then(|words| {
                recovers(&place, &honest)?;
                Ok(words)
            });
            match verdict {
                Ok(words) => {
                    println!("{} {}: {words}", case.id, case.name);
                    None
                }
                Err(words) => Some(format!("{} {}: {words}", case.id, case.name)),
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Runs a request and compares what comes of it.
pub(crate) fn verdict(request: &Request, expected: &Expected) -> Result<String, String> {
    let (end, answer, elapsed) = run(request);
    let seconds = elapsed.as_secs();
    if seconds > request.limits.total_seconds {
        return Err(format!("took {seconds} s: {end:?}"));
    }
    match (&end, expected) {
        (Err(failed), Expected::Fails(codes)) if codes.contains(&failed.code) => {
            let shown = failed.message.chars().all(|char| !char.is_control()) && failed.message.len() < 1000;
            if !shown || failed.message.is_empty() || failed.remedy.is_empty() {
                return Err(format!("is badly said: {failed:?}"));
            }
            Ok(format!("{:?}, {}", failed.code, failed.message))
        }
        (Ok(End::Finished), Expected::Ends | Expected::Skips(..)) => {
            if !answer.versions.iter().any(|version| version.name == "refs/tags/1.0.0") {
                return Err(format!("the good version is missing: {answer:?}"));
            }
            if let Some(other) = answer.versions.iter().find(|version| version.metadata["name"] != "acme/pay") {
                return Err(format!("a version of another package: {other:?}"));
            }
            let Expected::Skips(name, code) = expected else { return Ok("ended".to_owned()) };
            match answer.skipped.iter().find(|skipped| skipped.name == *name) {
                Some(skipped) if skipped.code == *code => Ok(format!("skipped, {}", skipped.reason)),
                other => Err(format!("{name} was not skipped as {code:?}: {other:?}")),
            }
        }
        _ => Err(format!("expected {expected:?}, got {end:?} after {elapsed:?}")),
    }
}

/// The mirror takes an honest repository after whatever came before.
fn recovers(place: &Place, honest: &Repository) -> Result<(), String> {
    let (end, answer, _) = run(&place.request(&honest.url()));
    match end {
        Ok(End::Finished) if answer.pretty().contains(&"1.0.0") => Ok(()),
        other => Err(format!("an honest sync fails afterwards: {other:?}")),
    }
}
