//! Decides how much a repository may cost: bytes, objects, refs, seconds.

use serde::{Deserialize, Serialize};

/// Bounds of a sync. Every default is what production uses.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Refs a remote may advertise.
    pub refs: usize,
    /// Bytes of a ref advertisement.
    pub advertisement_bytes: u64,
    /// Bytes of a received pack.
    pub pack_bytes: u64,
    /// Objects in a received pack.
    pub pack_objects: usize,
    /// Packages of a monorepo.
    pub members: usize,
    /// Bytes of a composer.json.
    pub manifest_bytes: usize,
    /// Bytes of an archive's content, unpacked.
    pub archive_bytes: u64,
    /// Entries of an archive, folders included.
    pub archive_entries: usize,
    /// Seconds to connect.
    pub connect_seconds: u64,
    /// Seconds for all that is received from a remote.
    pub network_seconds: u64,
    /// Seconds for the whole sync; also the bound on processor time.
    pub total_seconds: u64,
    /// Slowest acceptable remote in bytes per second…
    pub minimum_rate: u64,
    /// …measured over so many seconds.
    pub rate_seconds: u64,
    /// Bytes of address space of the worker.
    pub address_space_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            refs: 50_000,
            advertisement_bytes: 16 << 20,
            pack_bytes: 2 << 30,
            pack_objects: 5_000_000,
            members: 1_000,
            manifest_bytes: 1 << 20,
            archive_bytes: 256 << 20,
            archive_entries: 50_000,
            connect_seconds: 10,
            network_seconds: 300,
            total_seconds: 900,
            minimum_rate: 1024,
            rate_seconds: 30,
            address_space_bytes: 4 << 30,
        }
    }
}
