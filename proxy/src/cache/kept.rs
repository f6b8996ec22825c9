//! Every fact the edge keeps, one cache per kind, within one bound.

use super::access::{Accesses, accesses};
use super::collections::{Collections, Directories, collections, directories};
use super::packages::{Packages, packages};
use super::tenants::{Tenants, tenants};

/// The caches of facts.
pub(crate) struct Kept {
    pub(crate) tenants: Tenants,
    pub(crate) accesses: Accesses,
    pub(crate) collections: Collections,
    pub(crate) directories: Directories,
    pub(crate) packages: Packages,
}

impl Kept {
    /// Room for `bytes` of facts.
    pub(crate) fn new(bytes: u64) -> Self {
        let share = bytes / 16;
        Self {
            tenants: tenants(share),
            accesses: accesses(share * 4),
            collections: collections(share),
            directories: directories(share),
            packages: packages(share * 9),
        }
    }

    /// Frees the room of everything.
    pub(crate) fn clear(&self) {
        self.tenants.clear();
        self.accesses.clear();
        self.collections.clear();
        self.directories.clear();
        self.packages.clear();
    }
}
