//! What a starting edge takes over from the run before. It must never take facts from a file that is not whole and its own, and
//! grant itself no time that it cannot prove.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cargoman_credential::Digest;
use cargoman_edge_protocol::link::Position;
use cargoman_edge_protocol::{Change, Key, Revision, TenantId};
use chrono::{DateTime, Utc};
use rustix::fs::OFlags;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::record::{Chain, Record, VERSION};
use crate::cache::kept::Kept;
use crate::cache::stamps::{Stamp, Stamps};
use crate::cache::{Facts, Known, Standing};
use crate::link::reading::Grounded;

/// Where the clocks stand, and which machine, folder and run of the machine this is.
#[derive(Debug, Clone)]
pub(crate) struct Clocks {
    pub(crate) boot: String,
    /// Which machine, and which folder on it.
    pub(crate) home: String,
    pub(crate) since_boot: Duration,
    pub(crate) wall: DateTime<Utc>,
}

/// What the run before left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// Up to where the facts are right.
    pub(crate) position: Option<Position>,
    /// End of the lease on this machine's clock, and how long after it tenants may be served.
    pub(crate) lease: Option<(Duration, Duration)>,
    /// How many facts there are.
    pub(crate) facts: usize,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("line {0} does not follow the one before: the file was damaged or written by somebody else")]
    Broken(usize),
    #[error("it is of another release")]
    Version,
    #[error("it is no regular file")]
    NoFile,
}

/// The lease as the file has it.
struct SavedLease {
    until_boot_ms: u64,
    until: DateTime<Utc>,
    grace_s: u64,
}

/// What the file says, before any of it is believed.
#[derive(Default)]
struct Contents {
    boot: String,
    home: String,
    position: Option<Position>,
    events: Vec<(i64, Change)>,
    facts: Vec<(Key, Revision, i64, Box<RawValue>)>,
    lease: Option<SavedLease>,
    /// The latest instant that stands in it.
    at: Option<DateTime<Utc>>,
    closed: bool,
}

/// Reads the file into the caches.
pub(super) fn load(
    path: &Path,
    chain: Chain,
    clocks: &Clocks,
    revoked: &[(TenantId, Digest)],
    facts: &Kept,
    stamps: &Stamps,
) -> Result<Loaded, LoadError> {
    let contents = read(path, chain)?;
    let Some(position) = contents.position else { return Ok(Loaded::default()) };
    stamps.resume(position);
    for (seq, change) in &contents.events {
        stamps.apply(*seq, change);
    }
    let lease = contents.lease(clocks);
    let count = contents.facts.len();
    let revoked: HashSet<(TenantId, String)> =
        revoked.iter().map(|(tenant, digest)| (*tenant, digest.to_hex())).collect();
    for (key, revision, seq, value) in contents.facts {
        // Whatever the file says: it may be an older copy of itself, or lack its end.
        if let Key::Access { tenant, digest } = &key
            && revoked.contains(&(*tenant, digest.to_hex()))
        {
            continue;
        }
        put(facts, stamps, key, (revision, stamps.stamp_of_disk(seq)), &value);
    }
    Ok(Loaded { position: Some(position), lease, facts: count })
}

fn read(path: &Path, mut chain: Chain) -> Result<Contents, LoadError> {
    // Opening a pipe would otherwise wait for somebody to write to it.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = std::fs::File::options().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(LoadError::NoFile);
    }
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut contents = Contents::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        file.read_until(b'\n', &mut line)?;
        let Some(whole) = line.strip_suffix(b"\n") else {
            // The end; or a line that a kill cut short, which nobody was told of yet.
            break;
        };
        let text = std::str::from_utf8(whole).map_err(|_| LoadError::Broken(number))?;
        let record = chain.read(text).ok_or(LoadError::Broken(number))?;
        if number == 1 && !matches!(record, Record::Begin { version: VERSION, .. }) {
            return Err(LoadError::Version);
        }
        contents.take(record);
    }
    Ok(contents)
}

impl Contents {
    fn take(&mut self, record: Record) {
        self.closed = false;
        match record {
            Record::Begin { boot, home, .. } => (self.boot, self.home) = (boot, home),
            Record::Fact { key, revision, seq, value } => self.facts.push((key, revision, seq, value)),
            Record::Event { position, change } => {
                if self.position.is_none_or(|known| known.epoch != position.epoch || known.seq < position.seq) {
                    self.position = Some(position);
                }
                self.events.extend(change.map(|change| (position.seq, change)));
            }
            Record::Lease { until_boot_ms, until, grace_s, at } => {
                self.lease = Some(SavedLease { until_boot_ms, until, grace_s });
                self.at = self.at.max(Some(at));
            }
            Record::Dropped => {
                let (boot, home) = (std::mem::take(&mut self.boot), std::mem::take(&mut self.home));
                *self = Self { boot, home, at: self.at, ..Self::default() };
            }
            Record::Left => self.lease = None,
            Record::Closed { at } => {
                self.at = self.at.max(Some(at));
                self.closed = true;
            }
        }
    }

    /// The lease, as far as it can be proved: not in a copy of the folder, not when the wall clock went back, and not when a power cut may have taken the end
    /// of the file with it.
    fn lease(&self, clocks: &Clocks) -> Option<(Duration, Duration)> {
        let saved = self.lease.as_ref()?;
        if self.home != clocks.home || self.at.is_none_or(|at| clocks.wall < at) {
            return None;
        }
        let grace = Duration::from_secs(saved.grace_s);
        if self.boot == clocks.boot {
            return Some((Duration::from_millis(saved.until_boot_ms), grace));
        }
        let over = saved.until + chrono::Duration::from_std(grace).unwrap_or(chrono::Duration::days(365_000));
        let left = (over - clocks.wall).to_std().ok().filter(|_| self.closed)?;
        // A lease that ended at the machine's start, with as much grace as brings it to the same end.
        Some((Duration::from_nanos(1), clocks.since_boot + left))
    }
}

fn put(facts: &Kept, stamps: &Stamps, key: Key, of: (Revision, Stamp), value: &RawValue) {
    match key {
        Key::Host { host } => put_one(&facts.tenants, stamps, host, of, value),
        Key::Access { tenant, digest } => put_one(&facts.accesses, stamps, (tenant, digest), of, value),
        Key::Package { tenant, name } => put_one(&facts.packages, stamps, (tenant, name), of, value),
        Key::Collection { tenant, collection } => {
            put_one(&facts.collections, stamps, (tenant, collection), of, value);
        }
        Key::Directory { tenant } => put_one(&facts.directories, stamps, tenant, of, value),
    }
}

fn put_one<K, V>(facts: &Facts<K, V>, stamps: &Stamps, key: K, (revision, stamp): (Revision, Stamp), value: &RawValue)
where
    K: Grounded<V> + std::hash::Hash + Eq + Clone + Send + Sync + 'static,
    V: DeserializeOwned + Send + Sync + 'static,
{
    // One that cannot be read any more is asked for again.
    let Ok(value) = serde_json::from_str::<V>(value.get()) else { return };
    let places = key.grounds(Some(&value)).map(|ground| stamps.place(&ground));
    facts.put(key, Known { revision, value: Arc::new(value), standing: Standing::on(stamp, places) });
}
