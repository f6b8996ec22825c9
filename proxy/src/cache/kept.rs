//! Every fact the edge keeps, one cache per kind.

use super::access::{Accesses, Sharing, accesses};
use super::collections::{Collections, Directories, collections, directories};
use super::packages::{Packages, packages};
use super::tenants::{Tenants, tenants};

/// The caches of facts.
pub(crate) struct Kept {
    pub(crate) tenants: Tenants,
    pub(crate) accesses: Accesses,
    pub(crate) sharing: Sharing,
    pub(crate) collections: Collections,
    pub(crate) directories: Directories,
    pub(crate) packages: Packages,
}

impl Kept {
    /// Room for so many bytes of accesses and packages, and of hosts, collections and directories together.
    pub(crate) fn new(small: u64, of_accesses: u64, of_packages: u64) -> Self {
        let small = small / 3;
        Self {
            tenants: tenants(small),
            accesses: accesses(of_accesses),
            sharing: Sharing::default(),
            collections: collections(small),
            directories: directories(small),
            packages: packages(of_packages),
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
