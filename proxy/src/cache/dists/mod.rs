//! Archives on disk, by tenant and digest.
//!
//! A file is filled once however many wait, checked against its digest before it gets its name, and checked again when it was not
//! filled by this process or does not look the way it was left. What does not match is removed and fetched anew. Small archives are
//! sent once they are checked; of large ones the beginning goes out while the rest comes, and the end only when all of it is right:
//! nobody ever gets a whole archive with a wrong byte in it.

mod archive;
mod check;
mod fill;
mod shelf;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ahash::RandomState;
use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use http::HeaderValue;
use quick_cache::sync::Cache;
use tokio::sync::watch;

pub(crate) use self::archive::Archive;
use self::archive::Filled;
use self::check::{Opened, open_checked};
use self::fill::{Begun, FillError};
use self::shelf::{Shelf, Stored, file_of};
use super::Lost;
use crate::link::control_plane::ControlPlane;
use crate::observe::counters::{Counters, Event};
use crate::observe::traces;

/// Names one archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DistKey {
    pub(crate) tenant: TenantId,
    pub(crate) sha256: Digest,
}

/// What is wanted of an archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) key: DistKey,
    /// Of the whole archive, in bytes.
    pub(crate) size: u64,
    /// Whether every byte of it will be sent. A part of it must not be whole before the archive is.
    pub(crate) all: bool,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

/// Archives up to this size are sent once they are whole: that takes no longer than their first bytes.
const SMALL: u64 = 512 << 10;

/// Files that are kept open at most: a process may have 1,024 where nobody allowed it more, connections included.
const MOST_OPEN: usize = 256;

/// The archives of this edge, bounded in bytes.
pub(crate) struct Dists {
    shared: Arc<Shared>,
    counters: Arc<Counters>,
}

struct Shared {
    directory: PathBuf,
    control_plane: Arc<ControlPlane>,
    shelf: Shelf,
    /// Those that were asked for last are kept open.
    open: Cache<DistKey, Arc<Opened>, quick_cache::UnitWeighter, RandomState>,
    filling: Mutex<HashMap<DistKey, Filling, RandomState>>,
}

/// A file on its way.
#[derive(Clone)]
struct Filling {
    /// There once it has begun.
    file: Arc<OnceLock<Arc<File>>>,
    progress: watch::Receiver<Filled>,
}

impl Dists {
    /// Opens the cache in `directory`, making it if need be. [`Self::adopt`] takes in what lies there already.
    pub(crate) fn new(
        directory: &Path,
        bytes: u64,
        control_plane: Arc<ControlPlane>,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let unfinished = shelf::unfinished_in(directory);
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir_all(&unfinished)?;
        let unit = quick_cache::UnitWeighter;
        let open = Cache::with(MOST_OPEN, MOST_OPEN as u64, unit, RandomState::new(), Default::default());
        let (directory, shelf) = (directory.to_owned(), Shelf::new(directory, bytes));
        let shared = Shared { directory, control_plane, shelf, open, filling: Mutex::default() };
        Ok(Self { shared: Arc::new(shared), counters })
    }

    /// Takes in the files that an earlier process left.
    pub(crate) async fn adopt(&self, now: i64) {
        let shared = Arc::clone(&self.shared);
        let adopting = tokio::task::spawn_blocking(move || {
            for (key, stored) in shelf::scan(&shared.directory) {
                shared.close(&shared.shelf.adopt(key, Arc::new(stored), now));
            }
        });
        if let Err(error) = adopting.await {
            tracing::error!(target: "cargoman::edge", %error, "the archives on disk could not be taken in");
        }
    }

    /// An archive, filled or on its way if it was not there.
    pub(crate) async fn open(&self, wanted: Wanted) -> Result<Archive, Lost> {
        if let Some(file) = self.shared.opened(wanted) {
            self.counters.count(Event::DistThere);
            return Ok(Archive::whole(file));
        }
        let there = self.shared.shelf.get(&wanted.key).is_some();
        let archive = Box::pin(self.shared.open_or_fill(wanted)).await;
        self.counters.count(match (&archive, there) {
            (Err(Lost), _) => Event::DistMissing,
            (Ok(_), true) => Event::DistThere,
            (Ok(_), false) => Event::DistFetched,
        });
        archive
    }

    /// An address of the storage itself for an archive; none when the control plane gives none now: then the archive is given from here.
    pub(crate) async fn address(&self, key: DistKey) -> Option<HeaderValue> {
        let asked = self.shared.control_plane.dist_address(key.tenant, &key.sha256).await;
        let address = asked
            .map_err(|error| error.to_string())
            .and_then(|address| HeaderValue::try_from(address).map_err(|error| error.to_string()));
        address
            .inspect_err(|error| {
                tracing::warn!(target: "cargoman::edge", %error, "no address of the storage; the archive is given from here");
            })
            .ok()
    }

    /// Bytes of disk that are taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.shelf.taken()
    }
}

impl Shared {
    /// A file that is open and looks as it did when its bytes were checked.
    fn opened(&self, wanted: Wanted) -> Option<Arc<File>> {
        let opened = self.open.get(&wanted.key)?;
        if !opened.is_as_checked() {
            self.open.remove(&wanted.key);
            return None;
        }
        opened.stored.serve(wanted.now);
        Some(Arc::clone(&opened.file))
    }

    async fn open_or_fill(self: &Arc<Self>, wanted: Wanted) -> Result<Archive, Lost> {
        // The other rounds are for a file that was there and turned out wrong, was evicted in between, or came in between.
        for _ in 0..3 {
            match self.shelf.get(&wanted.key) {
                None => {
                    if let Some(archive) = self.filled(wanted).await? {
                        return Ok(archive);
                    }
                }
                Some(stored) => {
                    if let Some(file) = self.checked(wanted, stored).await {
                        return Ok(Archive::whole(file));
                    }
                }
            }
        }
        Err(Lost)
    }

    /// The file that lies on disk, if its bytes are right; if not, it is not there any more.
    async fn checked(self: &Arc<Self>, wanted: Wanted, stored: Arc<Stored>) -> Option<Arc<File>> {
        let path = file_of(&self.directory, &wanted.key);
        let Wanted { key, size, now, .. } = wanted;
        let asked = Arc::clone(&stored);
        let opening = tokio::task::spawn_blocking(move || open_checked(&path, &key.sha256, size, stored)).await;
        match opening {
            Ok(Ok(opened)) => {
                opened.stored.serve(now);
                let file = Arc::clone(&opened.file);
                self.open.insert(key, opened);
                return Some(file);
            }
            Ok(Err(error)) => {
                tracing::warn!(target: "cargoman::edge", %error, sha256 = %key.sha256, "dropped a cached archive")
            }
            Err(error) => tracing::error!(target: "cargoman::edge", %error, "checking an archive failed"),
        }
        self.shelf.remove(&key, &asked);
        None
    }

    /// The file that is being filled, by whoever came first; none when it lies on disk by now.
    async fn filled(self: &Arc<Self>, wanted: Wanted) -> Result<Option<Archive>, Lost> {
        let Some(Filling { file, mut progress }) = self.join(wanted) else { return Ok(None) };
        let enough = |filled: &Filled| match filled {
            Filled::Nothing => false,
            Filled::To(to) => wanted.all && wanted.size > SMALL && *to > 0,
            Filled::Whole | Filled::Failed => true,
        };
        let state = *progress.wait_for(enough).await.map_err(|_| Lost)?;
        let file = file.get().map(Arc::clone).ok_or(Lost)?;
        match state {
            Filled::Whole => Ok(Some(Archive::whole(file))),
            Filled::Failed | Filled::Nothing => Err(Lost),
            Filled::To(_) => Ok(Some(Archive::growing(file, progress))),
        }
    }

    /// Joins a fill, or begins one; none when it is over. It is a task of its own: when the client that came first goes away, the others
    /// still get their file. Nothing is waited for, so that many who come at once are one.
    fn join(self: &Arc<Self>, wanted: Wanted) -> Option<Filling> {
        let mut fillings = self.filling();
        if let Some(filling) = fillings.get(&wanted.key) {
            return Some(filling.clone());
        }
        // It is taken in before it stops being filled.
        if self.shelf.get(&wanted.key).is_some() {
            return None;
        }
        let (sender, progress) = watch::channel(Filled::Nothing);
        let filling = Filling { file: Arc::default(), progress };
        fillings.insert(wanted.key, filling.clone());
        let ending = Ending { shared: Arc::clone(self), key: wanted.key, sender, file: Arc::clone(&filling.file) };
        tokio::spawn(traces::carried(async move { ending.run(wanted).await }));
        Some(filling)
    }

    /// A file to fill. A disk that is full is made emptier, once.
    fn begin(&self, wanted: Wanted) -> Result<Begun, Lost> {
        let mut begun = fill::begin(&self.directory, wanted.size);
        if begun.as_ref().is_err_and(FillError::is_full) {
            let room = wanted.size.max(self.shelf.bound() / 32);
            let gone = self.shelf.shrink(self.shelf.taken().saturating_sub(room), None, wanted.now);
            tracing::warn!(target: "cargoman::edge", archives = gone.len(), "the disk of the cache is full; removed what was used least");
            self.close(&gone);
            begun = fill::begin(&self.directory, wanted.size);
        }
        begun.map_err(|error| {
            tracing::warn!(target: "cargoman::edge", %error, sha256 = %wanted.key.sha256, "an archive could not be fetched");
            Lost
        })
    }

    /// Takes an archive in; for others it may have to be made room.
    fn put(&self, key: DistKey, stored: Arc<Stored>, now: i64) {
        let gone = self.shelf.put(key, stored, now);
        self.close(&gone);
    }

    fn close(&self, gone: &[DistKey]) {
        for key in gone {
            self.open.remove(key);
        }
    }

    fn filling(&self) -> MutexGuard<'_, HashMap<DistKey, Filling, RandomState>> {
        self.filling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a fill, which comes whatever happens to it: nobody waits for one that is not under way.
struct Ending {
    shared: Arc<Shared>,
    key: DistKey,
    sender: watch::Sender<Filled>,
    file: Arc<OnceLock<Arc<File>>>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.filling().remove(&self.key);
        self.sender.send_if_modified(|state| {
            let ended = *state == Filled::Whole;
            if !ended {
                *state = Filled::Failed;
            }
            !ended
        });
    }
}

impl Ending {
    async fn run(self, wanted: Wanted) {
        let Self { shared, key, sender, file: there } = &self;
        let beginning = Arc::clone(shared);
        let begun = match tokio::task::spawn_blocking(move || beginning.begin(wanted)).await {
            Ok(Ok(begun)) => begun,
            Ok(Err(Lost)) => return,
            Err(error) => {
                tracing::error!(target: "cargoman::edge", %error, "making a file failed");
                return;
            }
        };
        let file = Arc::clone(there.get_or_init(|| Arc::clone(&begun.file)));
        match fill::fill(&shared.directory, &shared.control_plane, (*key, wanted.size), begun, sender).await {
            Ok(look) => {
                let stored = Arc::new(Stored::new(wanted.size, wanted.now, Some(look)));
                shared.open.insert(*key, Arc::new(Opened { file, look, stored: Arc::clone(&stored) }));
                let (shared, key) = (Arc::clone(shared), *key);
                // Away from the threads that serve: others may have to be removed for it.
                let putting = tokio::task::spawn_blocking(move || shared.put(key, stored, wanted.now)).await;
                if let Err(error) = putting {
                    tracing::error!(target: "cargoman::edge", %error, "an archive was fetched but not taken in");
                }
                sender.send_replace(Filled::Whole);
            }
            Err(error) => {
                tracing::warn!(target: "cargoman::edge", %error, sha256 = %key.sha256, "an archive could not be fetched");
            }
        }
    }
}
