//! The saved state: every fact that may be used, and every event that says otherwise, in one file that only grows until it is
//! written anew. From it an edge serves that starts while the control plane is away.
//!
//! An event is in the file before it is acknowledged. Otherwise a revocation could be called effective, the edge be killed, and
//! come back with the revoked token. Where that cannot be kept (a full disk) the file is removed, and an edge that cannot even remove
//! it does not start. Tokens that the log of revoked ones names are not believed, whatever the file says.

mod load;
mod record;
mod waiting;

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cargoman_credential::Digest;
use cargoman_edge_protocol::link::Position;
use cargoman_edge_protocol::{Change, Key, TenantId};
use chrono::{DateTime, Utc};
use serde::Serialize;

pub(crate) use self::load::{Clocks, Loaded};
use self::record::{Chain, Record, VERSION};
use self::waiting::Waiting;
use crate::cache::Known;
use crate::cache::kept::Kept;
use crate::cache::stamps::Stamps;
use crate::link::reading::Grounded;

/// The file's name in the state folder.
const NAME: &str = "facts";
/// The one that is being written anew.
const NEW: &str = "facts.new";
/// After writing it anew failed, it is tried again; nor is it written oftener because it lacks something.
const RECOVERY: Duration = Duration::from_secs(60);

/// A file smaller than this is never written anew.
const SMALL: u64 = 16 << 20;

/// The saved state of one edge.
pub(crate) struct Saved {
    folder: PathBuf,
    beginning: Chain,
    boot: String,
    home: String,
    files: Mutex<Files>,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Files {
    /// None when there is no file to be believed.
    current: Option<Open>,
    /// The one that will take its place.
    next: Option<Open>,
    /// Bytes of the current one when it was new.
    fresh: u64,
    /// When it was last written anew.
    written: Option<Instant>,
    /// When writing it anew last failed.
    failed: Option<Instant>,
}

struct Open {
    file: File,
    chain: Chain,
    bytes: u64,
}

impl Open {
    fn write(&mut self, record: &Record) -> std::io::Result<()> {
        self.bytes += self.chain.write(&mut self.file, record)? as u64;
        Ok(())
    }
}

impl Saved {
    /// The state in `folder`, proved by the edge's credential. What can be used of it goes into `facts`; the file goes on being
    /// written from there. `revoked`: tokens that are not believed, whatever the file says.
    ///
    /// # Errors
    /// When what the run before left can neither be replaced nor removed.
    pub(crate) fn open(
        folder: &Path,
        credential: &str,
        clocks: &Clocks,
        revoked: &[(TenantId, Digest)],
        facts: &Kept,
        stamps: &Stamps,
    ) -> std::io::Result<(Self, Loaded)> {
        let beginning = Chain::new(credential);
        let path = folder.join(NAME);
        let loaded = match load::load(&path, beginning.clone(), clocks, revoked, facts, stamps) {
            Ok(loaded) => loaded,
            Err(load::LoadError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Loaded::default(),
            Err(error) => {
                tracing::warn!(
                    target: "cargoman::edge", %error, file = %path.display(),
                    "the saved state is not used; it is made anew from the control plane"
                );
                Loaded::default()
            }
        };
        let (boot, home) = (clocks.boot.clone(), clocks.home.clone());
        let saved =
            Self { folder: folder.to_owned(), beginning, boot, home, files: Mutex::default(), waiting: Arc::default() };
        // Until the state is written anew, after what was loaded is safe in its place, the old file stays as it is.
        saved.rewrite(
            facts,
            stamps,
            loaded.position,
            loaded.lease.map(|(until, grace)| LeaseRecord {
                until,
                grace,
                since_boot: clocks.since_boot,
                wall: clocks.wall,
            }),
        );
        if saved.lock().current.is_none() {
            // The old file would not hold what is acknowledged from now on.
            remove(&path)?;
        }
        Ok((saved, loaded))
    }

    /// A fact that is written soon. Nobody waits for that: [`Self::fact`] looks itself whether anything happened to it meanwhile.
    pub(crate) fn soon<V: Serialize + Send + Sync + 'static>(
        self: &Arc<Self>,
        key: Key,
        known: Known<V>,
        stamps: Arc<Stamps>,
    ) {
        let saved = Arc::clone(self);
        self.waiting.add(move || saved.fact(&key, &known, &stamps));
    }

    /// A fact, if it may be used again. That is looked at when nothing else can be written: a fact that an event has overtaken must
    /// not get into a file that does not hold the event.
    pub(crate) fn fact<V: Serialize>(&self, key: &Key, known: &Known<V>, stamps: &Stamps) {
        let record = match fact(key, known) {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(target: "cargoman::edge", %error, "a fact cannot be written");
                return;
            }
        };
        let mut files = self.lock();
        if known.standing.holds(stamps) {
            self.write_to(&mut files, &record);
        }
    }

    /// An event; after this it may be acknowledged.
    pub(crate) fn event(&self, position: Position, change: Option<&Change>) {
        self.write(&Record::Event { position, change: change.cloned() });
    }

    /// Everything is dropped.
    pub(crate) fn dropped(&self) {
        self.write(&Record::Dropped);
    }

    /// A lease was granted.
    pub(crate) fn lease(&self, lease: &LeaseRecord) {
        self.write(&lease.record());
    }

    /// The edge is no member any more.
    pub(crate) fn left(&self) {
        self.write(&Record::Left);
    }

    /// The program ends: everything to the disk.
    pub(crate) fn close(&self, wall: DateTime<Utc>) {
        self.write(&Record::Closed { at: wall });
        let mut files = self.lock();
        let synced = files.current.take().map(|open| open.file.sync_all());
        if let Some(Err(error)) = synced {
            tracing::warn!(target: "cargoman::edge", %error, "the saved state may not survive a power cut");
        }
    }

    /// Whether the file has grown so much, or lacks so much, that it should be written anew.
    pub(crate) fn is_overgrown(&self) -> bool {
        let files = self.lock();
        files.next.is_none()
            && files.failed.is_none_or(|failed| failed.elapsed() > RECOVERY)
            && files.current.as_ref().is_none_or(|open| {
                let missed = self.waiting.missed() && files.written.is_none_or(|at| at.elapsed() > RECOVERY);
                missed || (open.bytes > SMALL && open.bytes > 3 * files.fresh)
            })
    }

    /// Writes the file anew with what may be used now; what is noted meanwhile goes into both.
    pub(crate) fn rewrite(
        &self,
        facts: &Kept,
        stamps: &Stamps,
        position: Option<Position>,
        lease: Option<LeaseRecord>,
    ) {
        self.waiting.begin_anew();
        let written = self.start_next(position, lease.as_ref()).and_then(|()| {
            self.copy(&facts.tenants, stamps)?;
            self.copy(&facts.accesses, stamps)?;
            self.copy(&facts.collections, stamps)?;
            self.copy(&facts.directories, stamps)?;
            self.copy(&facts.packages, stamps)?;
            self.put_next_in_place()
        });
        if let Err(error) = written {
            {
                let mut files = self.lock();
                (files.next, files.failed) = (None, Some(Instant::now()));
            }
            // What is half written takes room from what must be written. Best effort: it is never read.
            let _ = std::fs::remove_file(self.folder.join(NEW));
            tracing::warn!(
                target: "cargoman::edge", %error, folder = %self.folder.display(),
                "the state cannot be saved; after a restart nothing is served until the control plane answers"
            );
        }
    }

    fn start_next(&self, position: Option<Position>, lease: Option<&LeaseRecord>) -> std::io::Result<()> {
        let path = self.folder.join(NEW);
        // Whatever lies there is not ours any more.
        remove(&path)?;
        let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        let mut open = Open { file, chain: self.beginning.clone(), bytes: 0 };
        open.write(&Record::Begin { version: VERSION, boot: self.boot.clone(), home: self.home.clone() })?;
        if let Some(position) = position {
            open.write(&Record::Event { position, change: None })?;
        }
        if let Some(lease) = lease {
            open.write(&lease.record())?;
        }
        self.lock().next = Some(open);
        Ok(())
    }

    fn copy<K, V>(&self, facts: &crate::cache::Facts<K, V>, stamps: &Stamps) -> std::io::Result<()>
    where
        K: Grounded<V> + std::hash::Hash + Eq + Clone + Send + Sync + 'static,
        V: Serialize + Send + Sync + 'static,
    {
        for (key, known) in facts.held(stamps) {
            let record = fact(&key.key(), &known)?;
            match &mut self.lock().next {
                Some(next) => next.write(&record)?,
                // Everything was dropped meanwhile.
                None => return Err(std::io::Error::other("what was being saved was dropped")),
            }
        }
        Ok(())
    }

    fn put_next_in_place(&self) -> std::io::Result<()> {
        let mut files = self.lock();
        let Some(next) = files.next.take() else { return Ok(()) };
        // On the disk before anything is acknowledged that only the new one holds: after a power cut the old one, which may have been
        // closed in order, must not be there again.
        next.file.sync_all()?;
        std::fs::rename(self.folder.join(NEW), self.folder.join(NAME))?;
        File::open(&self.folder)?.sync_all()?;
        (files.fresh, files.written) = (next.bytes, Some(Instant::now()));
        files.current = Some(next);
        Ok(())
    }

    fn write(&self, record: &Record) {
        self.write_to(&mut self.lock(), record);
    }

    fn write_to(&self, files: &mut Files, record: &Record) {
        if matches!(record, Record::Dropped) {
            // Half of what is being copied is worth nothing now.
            files.next = None;
        }
        if files.next.as_mut().is_some_and(|next| next.write(record).is_err()) {
            files.next = None;
        }
        let failed = files.current.as_mut().and_then(|current| current.write(record).err());
        if let Some(error) = failed {
            files.current = None;
            let removed = remove(&self.folder.join(NAME));
            tracing::error!(target: "cargoman::edge", %error, ?removed, "the saved state cannot be written and was removed");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is not there is removed already.
fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn fact<V: Serialize>(key: &Key, known: &Known<V>) -> Result<Record, serde_json::Error> {
    let seq = known.standing.stamp.seq();
    Ok(Record::Fact {
        key: key.clone(),
        revision: known.revision,
        seq,
        value: serde_json::value::to_raw_value(&*known.value)?,
    })
}

/// A lease, and when it is written down.
pub(crate) struct LeaseRecord {
    /// Its end, since the machine's start.
    pub(crate) until: Duration,
    /// How long after it tenants may be served.
    pub(crate) grace: Duration,
    pub(crate) since_boot: Duration,
    pub(crate) wall: DateTime<Utc>,
}

impl LeaseRecord {
    fn record(&self) -> Record {
        let ahead = chrono::Duration::from_std(self.until.saturating_sub(self.since_boot)).unwrap_or_default();
        let behind = chrono::Duration::from_std(self.since_boot.saturating_sub(self.until)).unwrap_or_default();
        Record::Lease {
            until_boot_ms: u64::try_from(self.until.as_millis()).unwrap_or(u64::MAX),
            until: self.wall + ahead - behind,
            grace_s: self.grace.as_secs(),
            at: self.wall,
        }
    }
}
