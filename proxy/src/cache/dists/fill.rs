//! Fetches an archive onto the disk. It gets its name only after its bytes were checked against its digest.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use ring::digest::{Context, SHA256};
use rustix::fs::{FallocateFlags, fallocate};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::DistKey;
use super::archive::Filled;
use super::check::{Look, look};
use super::shelf::{file_of, unfinished};
use crate::link::control_plane::ControlPlane;

/// What is held back until all was checked: a zip without its end, which holds its directory, is none.
const HELD_BACK: u64 = 64 << 10;

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

impl FillError {
    /// Whether it would have found room on a larger disk.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Disk(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

/// A file that will be an archive.
pub(super) struct Begun {
    temporary: Temporary,
    pub(super) file: Arc<File>,
}

/// A file with room for `size` bytes.
pub(super) fn begin(directory: &Path, size: u64) -> Result<Begun, FillError> {
    let temporary = Temporary(unfinished(directory));
    let file = File::options().read(true).write(true).create_new(true).open(&temporary.0)?;
    match fallocate(&file, FallocateFlags::KEEP_SIZE, 0, size.max(1)) {
        Ok(()) => {}
        Err(error)
            if matches!(io::Error::from(error).kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
        {
            return Err(FillError::Disk(error.into()));
        }
        // Not every file system can; then a full disk shows later.
        Err(_) => {}
    }
    Ok(Begun { temporary, file: Arc::new(file) })
}

/// Fetches the bytes into the file, telling how far it is, and gives it its name. What is not told yet is [`Filled::Whole`].
pub(super) async fn fill(
    directory: &Path,
    control_plane: &ControlPlane,
    (key, size): (DistKey, u64),
    begun: Begun,
    progress: &watch::Sender<Filled>,
) -> Result<Look, FillError> {
    let Begun { temporary, file } = begun;
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
        let to = Arc::clone(&file);
        let written = tokio::task::spawn_blocking(move || {
            sum.update(&chunk);
            (&*to).write_all(&chunk).map(|()| sum)
        });
        sum = written.await.map_err(io::Error::other)??;
        progress.send_replace(Filled::To(length.min(size.saturating_sub(HELD_BACK))));
    }
    if length != size {
        return Err(FillError::Mismatch("it is shorter"));
    }
    if sum.finish().as_ref() != key.sha256.as_bytes() {
        return Err(FillError::Mismatch("other bytes"));
    }
    name(directory, &key, &temporary.0)?;
    // After the name: a rename changes the inode's time of change.
    Ok(look(&file)?)
}

fn name(directory: &Path, key: &DistKey, temporary: &Path) -> io::Result<()> {
    let path = file_of(directory, key);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::rename(temporary, &path)
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
