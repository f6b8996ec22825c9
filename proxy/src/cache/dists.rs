//! Archives on disk, by tenant and digest.
//!
//! A file is filled once however many wait, checked against its digest before it gets its name, and checked again when it was not
//! filled by this process or does not look the way it was left. What does not match is removed and fetched anew; it is never sent.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use futures::StreamExt;
use ring::digest::{Context, SHA256};
use tokio::time::{Instant, timeout_at};

use super::Lost;
use crate::link::control_plane::ControlPlane;
use crate::observe::counters::{Counters, Event};

/// Names one archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DistKey {
    pub(crate) tenant: TenantId,
    pub(crate) sha256: Digest,
}

/// Why a fill failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FillError {
    /// The control plane did not give the bytes.
    #[error("the control plane gave no archive: {0}")]
    Source(String),
    /// It gives them too slowly.
    #[error("the control plane gives the archive too slowly; look at its storage and at the network between")]
    Slow,
    /// It gave other bytes.
    #[error("the archive is not the one its digest names ({0})")]
    Mismatch(&'static str),
    /// The disk failed.
    #[error("the cache directory failed: {0}")]
    Disk(#[from] io::Error),
}

/// What a file looked like when its bytes were last checked. Its time of change tells of any write, and of its being removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

struct Stored {
    size: u64,
    checked: Mutex<Option<Look>>,
}

/// The archives of this edge, bounded in bytes.
pub(crate) struct Dists {
    directory: PathBuf,
    control_plane: Arc<ControlPlane>,
    cache: moka::future::Cache<DistKey, Arc<Stored>>,
    /// Those that were asked for last are kept open.
    open: moka::sync::Cache<DistKey, Arc<Opened>, ahash::RandomState>,
    counters: Arc<Counters>,
}

/// A file whose bytes were checked when it looked like this.
struct Opened {
    file: Arc<File>,
    look: Look,
}

/// Files that are kept open at most: a process may have 1,024 where nobody allowed it more, connections included.
const MOST_OPEN: u64 = 256;

impl Dists {
    /// Opens the cache in `directory`, making it if need be. [`Self::adopt`] takes in what lies there already.
    pub(crate) fn new(
        directory: &Path,
        bytes: u64,
        control_plane: Arc<ControlPlane>,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let unfinished = unfinished(directory);
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir_all(&unfinished)?;
        let root = directory.to_owned();
        let open = moka::sync::Cache::builder().max_capacity(MOST_OPEN).build_with_hasher(ahash::RandomState::new());
        let closing = moka::sync::Cache::clone(&open);
        let cache = moka::future::Cache::builder()
            // In KiB, rounded up: moka counts in 32 bits per entry.
            .max_capacity(bytes.div_ceil(1 << 10))
            .weigher(|_, stored: &Arc<Stored>| u32::try_from(stored.size.div_ceil(1 << 10)).unwrap_or(u32::MAX))
            .eviction_listener(move |key: Arc<DistKey>, _, cause| {
                closing.invalidate(&*key);
                if cause.was_evicted() {
                    let _ = fs::remove_file(file_of(&root, &key));
                }
            })
            .build();
        Ok(Self { directory: directory.to_owned(), control_plane, cache, open, counters })
    }

    /// Takes in the files that an earlier process left. Nothing is believed of them but their names and sizes.
    pub(crate) async fn adopt(&self) {
        let directory = self.directory.clone();
        let found = tokio::task::spawn_blocking(move || scan(&directory)).await.unwrap_or_default();
        for (key, size) in found {
            let entry = async { Arc::new(Stored { size, checked: Mutex::new(None) }) };
            self.cache.get_with(key, entry).await;
        }
    }

    /// The file of an archive of `size` bytes, filled if it is not there.
    pub(crate) async fn open(&self, key: DistKey, size: u64) -> Result<Arc<File>, Lost> {
        if let Some(file) = self.opened(key).await {
            self.counters.count(Event::DistThere);
            return Ok(file);
        }
        let there = self.cache.contains_key(&key);
        let file = self.open_or_fill(key, size).await;
        self.counters.count(match (&file, there) {
            (Err(Lost), _) => Event::DistMissing,
            (Ok(_), true) => Event::DistThere,
            (Ok(_), false) => Event::DistFetched,
        });
        file
    }

    /// Bytes of disk that are taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.cache.weighted_size() << 10
    }

    async fn open_or_fill(&self, key: DistKey, size: u64) -> Result<Arc<File>, Lost> {
        // The second round is for a file that was there and turned out wrong, or was evicted in between.
        for _ in 0..2 {
            let stored = self.stored(key, size).await?;
            let path = file_of(&self.directory, &key);
            let opened = tokio::task::spawn_blocking(move || open_checked(&path, &key.sha256, size, &stored)).await;
            match opened {
                Ok(Ok(opened)) => {
                    let file = Arc::clone(&opened.file);
                    self.open.insert(key, Arc::new(opened));
                    return Ok(file);
                }
                Ok(Err(error)) => {
                    tracing::warn!(target: "cargoman::edge", %error, sha256 = %key.sha256, "dropped a cached archive")
                }
                Err(error) => tracing::error!(target: "cargoman::edge", %error, "checking an archive failed"),
            }
            self.cache.invalidate(&key).await;
        }
        Err(Lost)
    }

    /// A file that is open and looks as it did when its bytes were checked.
    async fn opened(&self, key: DistKey) -> Option<Arc<File>> {
        let opened = self.open.get(&key)?;
        // It counts as asked for, so that eviction spares it; it is evicted from here when it is evicted there.
        self.cache.get(&key).await?;
        let same = look(&opened.file).is_ok_and(|look| look == opened.look);
        if !same {
            self.open.invalidate(&key);
        }
        same.then(|| Arc::clone(&opened.file))
    }

    async fn stored(&self, key: DistKey, size: u64) -> Result<Arc<Stored>, Lost> {
        let (directory, control_plane) = (self.directory.clone(), Arc::clone(&self.control_plane));
        // A task of its own: when the client that came first goes away, the others still get their file.
        let filling = async move {
            let fill = tokio::spawn(async move { fill(&directory, &control_plane, key, size).await });
            match fill.await {
                Ok(Ok(stored)) => Ok(Arc::new(stored)),
                Ok(Err(error)) => {
                    tracing::warn!(target: "cargoman::edge", %error, sha256 = %key.sha256, "an archive could not be fetched");
                    Err(Lost)
                }
                Err(error) => {
                    tracing::error!(target: "cargoman::edge", %error, "fetching an archive failed");
                    Err(Lost)
                }
            }
        };
        self.cache.try_get_with(key, filling).await.map_err(|lost| *lost)
    }
}

fn unfinished(directory: &Path) -> PathBuf {
    directory.join("unfinished")
}

fn file_of(directory: &Path, key: &DistKey) -> PathBuf {
    let hex = key.sha256.to_hex();
    let fan: String = hex.chars().take(2).collect();
    directory.join(key.tenant.to_string()).join(fan).join(hex)
}

async fn fill(directory: &Path, control_plane: &ControlPlane, key: DistKey, size: u64) -> Result<Stored, FillError> {
    let temporary = Temporary(unfinished(directory).join(uuid::Uuid::now_v7().simple().to_string()));
    let mut file = File::options().write(true).create_new(true).open(&temporary.0)?;
    let mut pace = Pace::begin(Instant::now());
    let source = timeout_at(pace.until(), control_plane.dist(key.tenant, &key.sha256)).await;
    let mut source = source.map_err(|_| FillError::Slow)?.map_err(|error| FillError::Source(error.to_string()))?;
    let mut sum = Context::new(&SHA256);
    let mut length = 0_u64;
    while let Some(chunk) = timeout_at(pace.until(), source.next()).await.map_err(|_| FillError::Slow)? {
        let chunk = chunk.map_err(|error| FillError::Source(error.to_string()))?;
        pace.came(chunk.len() as u64, Instant::now());
        length += chunk.len() as u64;
        if length > size {
            return Err(FillError::Mismatch("it is longer"));
        }
        let written = tokio::task::spawn_blocking(move || {
            sum.update(&chunk);
            file.write_all(&chunk).map(|()| (sum, file))
        });
        (sum, file) = written.await.map_err(io::Error::other)??;
    }
    if length != size {
        return Err(FillError::Mismatch("it is shorter"));
    }
    if sum.finish().as_ref() != key.sha256.as_bytes() {
        return Err(FillError::Mismatch("other bytes"));
    }
    let path = file_of(directory, &key);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::rename(&temporary.0, &path)?;
    // After the name: a rename changes the inode's time of change.
    let look = look(&file)?;
    Ok(Stored { size, checked: Mutex::new(Some(look)) })
}

/// How fast an archive must come: somebody waits for it, and a storage that is held up must not hold him up.
struct Pace {
    until: Instant,
    came: u64,
}

impl Pace {
    /// In this time...
    const WINDOW: Duration = Duration::from_millis(2_500);
    /// ... at least so many bytes, or the rest.
    const LEAST: u64 = 128 << 10;

    fn begin(now: Instant) -> Self {
        Self { until: now + Self::WINDOW, came: 0 }
    }

    fn came(&mut self, bytes: u64, now: Instant) {
        self.came += bytes;
        if self.came >= Self::LEAST {
            *self = Self::begin(now);
        }
    }

    /// When it counts as held up.
    fn until(&self) -> Instant {
        self.until
    }
}

/// A file that goes away unless it was renamed.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn look(file: &File) -> io::Result<Look> {
    let metadata = file.metadata()?;
    Ok(Look {
        inode: metadata.ino(),
        size: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

fn open_checked(path: &Path, sha256: &Digest, size: u64, stored: &Stored) -> Result<Opened, FillError> {
    let file = File::open(path)?;
    let now = look(&file)?;
    let checked = *stored.checked.lock().unwrap_or_else(PoisonError::into_inner);
    if checked == Some(now) {
        return Ok(Opened { file: Arc::new(file), look: now });
    }
    if now.size != size || sum(&file)? != *sha256 {
        let _ = fs::remove_file(path);
        return Err(FillError::Mismatch("the file changed on disk"));
    }
    *stored.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    Ok(Opened { file: Arc::new(file), look: now })
}

fn sum(file: &File) -> io::Result<Digest> {
    use std::os::unix::fs::FileExt;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 256 << 10];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut buffer, at)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        context.update(bytes);
        at += read as u64;
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    Ok(Digest::from_bytes(out))
}

fn scan(directory: &Path) -> Vec<(DistKey, u64)> {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for tenant in entries(directory) {
        let Some(id) = tenant.file_name().to_str().and_then(|name| uuid::Uuid::try_parse(name).ok()) else { continue };
        for file in entries(&tenant.path()).flat_map(|fan| entries(&fan.path())) {
            let Some(sha256) = file.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(metadata) = file.metadata() else { continue };
            found.push((DistKey { tenant: TenantId(id), sha256 }, metadata.len()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_trickles_is_held_up() {
        let start = Instant::now();
        let after = |windows: u32| start + Pace::WINDOW * windows;
        let mut pace = Pace::begin(start);
        pace.came(Pace::LEAST - 1, start);
        assert_eq!(pace.until(), after(1));
        pace.came(1, after(1));
        assert_eq!(pace.until(), after(2));
        pace.came(10 * Pace::LEAST, after(2));
        pace.came(1, after(2));
        assert_eq!(pace.until(), after(3), "what came before does not count for later");
    }
}
