//! What was served, on disk until the control plane has counted it.
//!
//! An event is in the file before the answer that it stands for is whole, so that after any `kill -9` as many are counted as were
//! completed, at least, and at most as many as were begun. A write to a file outlives its process; a power cut may take the last
//! seconds. The disk it may use is bounded: beyond that a customer's `composer install` is worth more than its count.

mod pause;
mod segment;
mod send;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cargoman_edge_protocol::{MOST_USAGE_EVENTS, UsageEvent};
use tokio::sync::Notify;
use uuid::Uuid;

pub(crate) use segment::Batch;
pub(crate) use send::{Flush, Sender, sender};

/// A segment is closed when it is larger: with one more event it still fits into one request.
const MOST_SEGMENT_BYTES: u64 = 1 << 20;

/// A write into the system's memory takes microseconds.
const QUICK: Duration = Duration::from_millis(2);

/// The files of one edge, whose folder is locked by whoever made this.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    most_bytes: u64,
    inner: Mutex<Inner>,
    /// Rung when there is something to send that was not there before.
    filled: Notify,
    dropped: AtomicU64,
    /// Whether the last write took its time.
    slow: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    open: Option<segment::Open>,
    /// Oldest first, with their sizes.
    closed: VecDeque<(Uuid, u64)>,
    /// Of all files, those that were put aside too.
    bytes: u64,
}

impl Spool {
    /// Opens the spool in `folder`, with what an earlier run left there.
    pub(crate) fn open(folder: &Path, most_bytes: u64) -> io::Result<Self> {
        let refused = refused(folder);
        fs::create_dir_all(&refused)?;
        let closed: VecDeque<_> = segment::scan(folder)?.into();
        let aside = segment::scan(&refused)?;
        let bytes = closed.iter().chain(&aside).map(|(_, bytes)| bytes).sum();
        let spool = Self {
            folder: folder.to_owned(),
            most_bytes,
            inner: Mutex::new(Inner { open: None, closed, bytes }),
            filled: Notify::new(),
            dropped: AtomicU64::new(0),
            slow: AtomicBool::new(false),
        };
        spool.filled.notify_one();
        Ok(spool)
    }

    /// Keeps an event, or drops and counts it. Does one short write to a file; once it returns the event outlives the process.
    pub(crate) fn append(&self, event: &UsageEvent) {
        let Ok(mut line) = serde_json::to_vec(event) else { return self.dropped() };
        line.push(b'\n');
        let start = Instant::now();
        let mut inner = self.lock();
        if inner.bytes.saturating_add(line.len() as u64) > self.most_bytes {
            return self.dropped();
        }
        let appended = inner.append(&self.folder, &line);
        self.slow.store(start.elapsed() > QUICK, Ordering::Relaxed);
        if let Err(error) = appended {
            tracing::warn!(target: "cargoman::edge", %error, "the spool cannot be written");
            return self.dropped();
        }
        let (first, full) = inner.open.as_ref().map_or((false, false), |open| {
            (open.events == 1, open.events >= MOST_USAGE_EVENTS || open.bytes >= MOST_SEGMENT_BYTES)
        });
        if full {
            inner.close();
        }
        if first || full {
            self.filled.notify_one();
        }
    }

    /// Whether [`Self::append`] did not wait for the disk when it was called last.
    pub(crate) fn is_quick(&self) -> bool {
        !self.slow.load(Ordering::Relaxed)
    }

    /// Bytes of disk that are taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Events that could not be kept.
    pub(crate) fn lost(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn dropped(&self) {
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        if dropped.is_power_of_two() {
            tracing::warn!(target: "cargoman::edge", dropped, "uses are not counted: the spool is full or cannot be written");
        }
    }

    /// Closes the open segment, so that it can be sent; the next event begins a new one.
    fn close(&self) {
        self.lock().close();
    }

    /// Whether a segment is closed and waits.
    fn waits(&self) -> bool {
        !self.lock().closed.is_empty()
    }

    /// The oldest segment that can be sent.
    fn oldest(&self) -> Option<Uuid> {
        self.lock().closed.front().map(|(id, _)| *id)
    }

    fn read(&self, id: Uuid) -> io::Result<Batch> {
        segment::read(&self.folder, id)
    }

    /// Forgets a segment whose events are counted.
    fn sent(&self, id: Uuid) -> io::Result<()> {
        remove(&segment::path(&self.folder, id))?;
        let mut inner = self.lock();
        if let Some(bytes) = inner.take(id) {
            inner.bytes = inner.bytes.saturating_sub(bytes);
        }
        Ok(())
    }

    /// Puts a segment aside that will never be taken. Its bytes go on counting: a person has to look at it.
    fn put_aside(&self, id: Uuid) -> io::Result<()> {
        fs::rename(segment::path(&self.folder, id), segment::path(&refused(&self.folder), id))?;
        self.lock().take(id);
        Ok(())
    }

    /// Passes over a segment that cannot be read, until the next start.
    fn skip(&self, id: Uuid) {
        self.lock().take(id);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn append(&mut self, folder: &Path, line: &[u8]) -> io::Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(segment::Open::create(folder)?),
        };
        let appended = open.append(line);
        match appended {
            Ok(()) => self.bytes += line.len() as u64,
            Err(_) => self.close(),
        }
        appended
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.closed.push_back((open.id, open.bytes));
        }
    }

    fn take(&mut self, id: Uuid) -> Option<u64> {
        let at = self.closed.iter().position(|(closed, _)| *closed == id)?;
        self.closed.remove(at).map(|(_, bytes)| bytes)
    }
}

/// Where segments lie that the control plane refused.
fn refused(folder: &Path) -> PathBuf {
    folder.join("refused")
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
