//! Which archives lie on disk, and which of them go when there is no room for all.
//!
//! What nobody asked for in the last weeks goes first. Of the rest, those go first that were asked for but once, so that somebody who
//! fetches everything does not push out what many use; but what is new keeps a part of the room, or it could never become old.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cargoman_edge_protocol::TenantId;

use super::DistKey;
use super::check::Look;

/// What was served within this is spared as long as anything else can go: four weeks, in seconds.
const SPARED: i64 = 28 * 24 * 3_600;
/// What was read so much later than written was served again, as far as the disk can tell; in seconds.
const LATER: i64 = 60;
/// What was asked for but once has this part of the room...
const PROBATION: u64 = 8;
/// ... and this part is made free at once, so that not every fill has to.
const AT_ONCE: u64 = 32;

/// An archive on disk.
#[derive(Debug)]
pub(super) struct Stored {
    size: u64,
    /// Seconds since 1970.
    served: AtomicI64,
    /// Whether it was asked for again after it was fetched.
    again: AtomicBool,
    checked: Mutex<Option<Look>>,
}

impl Stored {
    pub(super) fn new(size: u64, served: i64, checked: Option<Look>) -> Self {
        Self { size, served: AtomicI64::new(served), again: AtomicBool::new(false), checked: Mutex::new(checked) }
    }

    /// It is asked for.
    pub(super) fn serve(&self, now: i64) {
        self.served.fetch_max(now, Ordering::Relaxed);
        self.again.store(true, Ordering::Relaxed);
    }

    pub(super) fn checked(&self) -> Option<Look> {
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_checked(&self, look: Look) {
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some(look);
    }
}

/// Every archive on disk, bounded in bytes.
pub(super) struct Shelf {
    directory: PathBuf,
    bound: u64,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    stored: HashMap<DistKey, Arc<Stored>, ahash::RandomState>,
    taken: u64,
}

impl Shelf {
    pub(super) fn new(directory: &Path, bound: u64) -> Self {
        Self { directory: directory.to_owned(), bound, entries: Mutex::default() }
    }

    pub(super) fn get(&self, key: &DistKey) -> Option<Arc<Stored>> {
        self.entries().stored.get(key).cloned()
    }

    /// Takes one in that lies in its place; what is there already under its key stays. Gives the keys of those that went for it.
    pub(super) fn put(&self, key: DistKey, stored: Arc<Stored>, now: i64) -> Vec<DistKey> {
        {
            let mut entries = self.entries();
            if entries.stored.contains_key(&key) {
                return Vec::new();
            }
            // For one that there is no room for at all nothing else goes. Who waits for it has it open.
            if stored.size > self.bound {
                let _ = fs::remove_file(file_of(&self.directory, &key));
                return vec![key];
            }
            entries.taken += stored.size;
            entries.stored.insert(key, stored);
            if entries.taken <= self.bound {
                return Vec::new();
            }
        }
        self.shrink(self.bound - self.bound / AT_ONCE, Some(key), now)
    }

    /// Takes in what an earlier process left, as [`Self::put`], unless it is gone again by now.
    pub(super) fn adopt(&self, key: DistKey, stored: Arc<Stored>, now: i64) -> Vec<DistKey> {
        let there = fs::metadata(file_of(&self.directory, &key)).is_ok_and(|file| file.len() == stored.size);
        if there { self.put(key, stored, now) } else { Vec::new() }
    }

    /// Removes one whose file is not what it should be; another that took its place meanwhile stays.
    pub(super) fn remove(&self, key: &DistKey, stored: &Arc<Stored>) {
        let mut entries = self.entries();
        if entries.stored.get(key).is_some_and(|there| Arc::ptr_eq(there, stored)) {
            entries.stored.remove(key);
            entries.taken -= stored.size;
            let _ = fs::remove_file(file_of(&self.directory, key));
        }
    }

    /// Removes files until no more than `bytes` are taken, `but` for one. Gives their keys.
    pub(super) fn shrink(&self, bytes: u64, but: Option<DistKey>, now: i64) -> Vec<DistKey> {
        let (gone, unnamed) = self.unname(bytes, but, now);
        for path in unnamed {
            let _ = fs::remove_file(path);
        }
        gone
    }

    /// Takes away the names of those that go, and says where they lie now: freeing the room of a large file takes its time.
    fn unname(&self, bytes: u64, but: Option<DistKey>, now: i64) -> (Vec<DistKey>, Vec<PathBuf>) {
        let mut entries = self.entries();
        let there: Vec<Candidate> = entries
            .stored
            .iter()
            .filter(|(key, _)| Some(**key) != but)
            .map(|(key, stored)| candidate(*key, stored))
            .collect();
        let gone = victims(there, entries.taken.saturating_sub(bytes), self.bound / PROBATION, now);
        let mut unnamed = Vec::new();
        for key in &gone {
            if let Some(stored) = entries.stored.remove(key) {
                entries.taken -= stored.size;
            }
            // Under the lock, so that no fill puts a new file of that name in between.
            let aside = unfinished(&self.directory);
            if fs::rename(file_of(&self.directory, key), &aside).is_ok() {
                unnamed.push(aside);
            }
        }
        (gone, unnamed)
    }

    /// Bytes of disk that are taken.
    pub(super) fn taken(&self) -> u64 {
        self.entries().taken
    }

    /// Bytes that may be taken.
    pub(super) fn bound(&self) -> u64 {
        self.bound
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that may have to go.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    key: DistKey,
    size: u64,
    served: i64,
    again: bool,
}

fn candidate(key: DistKey, stored: &Stored) -> Candidate {
    let (served, again) = (stored.served.load(Ordering::Relaxed), stored.again.load(Ordering::Relaxed));
    Candidate { key, size: stored.size, served, again }
}

/// Which of them go so that `bytes` become free; what was served but once keeps `probation` bytes.
fn victims(mut there: Vec<Candidate>, bytes: u64, probation: u64, now: i64) -> Vec<DistKey> {
    there.sort_unstable_by_key(|one| (one.served, one.key.sha256));
    let (recent, old): (Vec<_>, Vec<_>) = there.into_iter().partition(|one| now - one.served < SPARED);
    let (again, once): (Vec<_>, Vec<_>) = recent.into_iter().partition(|one| one.again);
    let mut of_once: u64 = once.iter().map(|one| one.size).sum();
    let (mut again, mut once) = (again.into_iter().peekable(), once.into_iter().peekable());
    let mut old = old.into_iter();
    let mut freed = 0;
    let mut gone = Vec::new();
    while freed < bytes {
        let next = old.next().or_else(|| {
            let from_once = of_once > probation || again.peek().is_none();
            let next = if from_once { once.next() } else { again.next() };
            of_once -= next.filter(|_| from_once).map_or(0, |one| one.size);
            next
        });
        let Some(next) = next else { break };
        freed += next.size;
        gone.push(next.key);
    }
    gone
}

/// Where an archive lies.
pub(super) fn file_of(directory: &Path, key: &DistKey) -> PathBuf {
    let hex = key.sha256.to_hex();
    let fan: String = hex.chars().take(2).collect();
    directory.join(key.tenant.to_string()).join(fan).join(hex)
}

/// Where files lie that have no name yet, or none any more. The next process removes what is left there.
pub(super) fn unfinished_in(directory: &Path) -> PathBuf {
    directory.join("unfinished")
}

/// A place for one of them.
pub(super) fn unfinished(directory: &Path) -> PathBuf {
    unfinished_in(directory).join(uuid::Uuid::now_v7().simple().to_string())
}

/// What an earlier process left in `directory`. Nothing is believed of it but names, sizes and when it was read last, for which the
/// system keeps the day (`relatime`).
pub(super) fn scan(directory: &Path) -> Vec<(DistKey, Stored)> {
    use std::os::unix::fs::MetadataExt;
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for tenant in entries(directory) {
        let Some(id) = tenant.file_name().to_str().and_then(|name| uuid::Uuid::try_parse(name).ok()) else { continue };
        for file in entries(&tenant.path()).flat_map(|fan| entries(&fan.path())) {
            let Some(sha256) = file.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(metadata) = file.metadata() else { continue };
            let stored = Stored::new(metadata.len(), metadata.mtime().max(metadata.atime()), None);
            stored.again.store(metadata.atime() > metadata.mtime() + LATER, Ordering::Relaxed);
            found.push((DistKey { tenant: TenantId(id), sha256 }, stored));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use cargoman_credential::Digest;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const DAY: i64 = 24 * 3_600;

    fn key(number: u64) -> DistKey {
        DistKey { tenant: TenantId(uuid::Uuid::nil()), sha256: Digest::of(&number.to_be_bytes()) }
    }

    /// Of (name, days since it was served, whether again), each of 10 bytes.
    fn gone(there: &[(u64, i64, bool)], bytes: u64, probation: u64) -> Vec<u64> {
        let candidates = there.iter().map(|(number, days, again)| Candidate {
            key: key(*number),
            size: 10,
            served: NOW - days * DAY,
            again: *again,
        });
        let victims = victims(candidates.collect(), bytes, probation, NOW);
        victims.iter().map(|gone| there.iter().find(|(number, ..)| key(*number) == *gone).unwrap().0).collect()
    }

    #[test]
    fn what_goes_first() {
        // The old one, then those of one request by age, then the rest by age.
        let there = [(1, 40, true), (2, 20, true), (3, 1, true), (4, 5, false), (5, 0, false)];
        assert_eq!(gone(&there, 1, 0), [1]);
        assert_eq!(gone(&there, 20, 0), [1, 4]);
        assert_eq!(gone(&there, 50, 0), [1, 4, 5, 2, 3]);
        assert_eq!(gone(&there, 500, 0), [1, 4, 5, 2, 3]);
        assert_eq!(gone(&there, 0, 0), [0; 0]);
        // What is new keeps its part.
        assert_eq!(gone(&there, 40, 10), [1, 4, 2, 3]);
        assert_eq!(gone(&there, 50, 20), [1, 2, 3, 4, 5]);
    }

    /// Somebody fetches everything once: what others use stays.
    #[test]
    fn a_crawler_pushes_nothing_out() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path(), 1_000);
        assert_eq!(shelf.adopt(key(0), Arc::new(Stored::new(10, NOW, None)), NOW), []);
        assert!(shelf.get(&key(0)).is_none(), "it was gone when it was to be taken in");
        for number in 0..80 {
            let stored = Arc::new(Stored::new(10, NOW - 10 * DAY, None));
            stored.serve(NOW - 9 * DAY);
            assert_eq!(shelf.put(key(number), stored, NOW), []);
        }
        for number in 1_000..2_000 {
            shelf.put(key(number), Arc::new(Stored::new(10, NOW, None)), NOW);
            assert!(shelf.taken() <= 1_000);
            assert!(shelf.get(&key(number)).is_some(), "what was fetched just now is there");
        }
        assert!((0..80).all(|number| shelf.get(&key(number)).is_some()));
        let first = shelf.get(&key(0)).unwrap();
        shelf.remove(&key(0), &Arc::new(Stored::new(10, NOW, None)));
        assert!(shelf.get(&key(0)).is_some(), "another one");
        shelf.remove(&key(0), &first);
        shelf.remove(&key(0), &first);
        let large = Arc::new(Stored::new(1_001, NOW, None));
        assert_eq!((shelf.put(key(9_999), large, NOW), shelf.get(&key(9_999)).is_none()), (vec![key(9_999)], true));
        let all = shelf.shrink(0, None, NOW).len() as u64;
        assert!(all >= 79 && shelf.taken() == 0, "{all}");
    }
}
