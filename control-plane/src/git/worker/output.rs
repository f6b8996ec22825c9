//! Decides how events reach the parent: one JSON line each, flushed at once, progress not more often than people can read.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::super::failure::Result;
use super::super::protocol::{Event, Failed, Phase};

const PROGRESS_EVERY: Duration = Duration::from_millis(250);

pub(super) struct Output<W> {
    sink: W,
    last_progress: Option<(Phase, Instant)>,
}

impl<W: Write> Output<W> {
    pub(super) fn new(sink: W) -> Self {
        Self { sink, last_progress: None }
    }

    pub(super) fn send(&mut self, event: &Event) -> Result<()> {
        let mut line = serde_json::to_vec(event).map_err(|error| Failed::machine("writing an event", error))?;
        line.push(b'\n');
        let written = self.sink.write_all(&line).and_then(|()| self.sink.flush());
        written.map_err(|error| Failed::machine("writing an event", error))
    }

    pub(super) fn progress(&mut self, phase: Phase, done: u64, total: u64) -> Result<()> {
        let now = Instant::now();
        if self.last_progress.is_some_and(|(last, at)| last == phase && now.duration_since(at) < PROGRESS_EVERY) {
            return Ok(());
        }
        self.last_progress = Some((phase, now));
        self.send(&Event::Progress { phase, done, total })
    }

    pub(super) fn fail(&mut self, failed: Failed) -> ExitCode {
        tracing::error!(code = ?failed.code, message = failed.message, "the sync failed");
        // When the parent does not listen any more, nobody is left to tell.
        let _ = self.send(&Event::Failed(failed));
        ExitCode::FAILURE
    }
}
