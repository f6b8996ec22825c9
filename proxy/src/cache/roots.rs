//! Root files, by rights: every command of Composer begins with one, and it is made from all packages that somebody may read.
//!
//! One is shown again as long as nothing it was made from has changed. Never is it shown to somebody of other rights; one with
//! words in it only to whom the same words are said.

use std::sync::{Arc, Mutex, PoisonError};

use ahash::RandomState;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{Host, Tenant, TenantId};
use cargoman_licence::CollectionId;
use chrono::NaiveDate;
use quick_cache::sync::Cache;

use super::collections::Held;
use super::room::{self, ByWeight, Weighed};
use super::stamps::{Ground, Stamp, Stamps};
use super::views::{Edition, View, edition};

/// Whose root file it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RootKey {
    tenant: TenantId,
    rights: Digest,
    /// Whom its words are said to; none: whether there are words at all, and the file where there are none.
    addressee: Option<Digest>,
}

impl RootKey {
    /// Of everybody with these rights.
    pub(crate) fn of_rights(tenant: TenantId, rights: Digest) -> Self {
        Self { tenant, rights, addressee: None }
    }

    /// Of those of them who are addressed alike.
    pub(crate) fn of(self, addressee: Digest) -> Self {
        Self { addressee: Some(addressee), ..self }
    }
}

/// What a root file stands on, beside the rights: as of `stamp` for the packages.
#[derive(Clone)]
pub(crate) struct Grounds {
    host: Arc<Host>,
    collections: Vec<(CollectionId, Edition)>,
    directory: Option<Edition>,
    /// What is said of it may change from day to day.
    day: NaiveDate,
    stamp: Stamp,
}

impl Grounds {
    pub(crate) fn new(host: Arc<Host>, held: &Held, day: NaiveDate, stamp: Stamp) -> Self {
        let collections = held.collections.iter().map(|(id, known)| (id.clone(), edition(known))).collect();
        Self { host, collections, directory: held.directory.as_ref().map(edition), day, stamp }
    }

    fn hold(&self, tenant: &Tenant, held: &Held, day: NaiveDate, stamps: &Stamps) -> bool {
        let Host::Tenant(then) = &*self.host else { return false };
        self.day == day
            && self.directory == held.directory.as_ref().map(edition)
            && self.collections.len() == held.collections.len()
            && self
                .collections
                .iter()
                .zip(&held.collections)
                .all(|((id, then), (now, known))| id == now && *then == edition(known))
            && stamps.holds(self.stamp, &[stamps.place(&Ground::Packages(tenant.id))])
            && (std::ptr::eq(then, tenant) || then == tenant)
    }

    fn bytes(&self) -> usize {
        let ids: usize = self.collections.iter().map(|(id, _)| id.0.len()).sum();
        ids + self.collections.len() * size_of::<(CollectionId, Edition)>()
    }
}

/// What is kept under a key.
struct Kept {
    grounds: Grounds,
    root: Root,
}

#[derive(Clone)]
enum Root {
    Made(Arc<View>),
    /// It says something, to each in his own words.
    Addressed,
}

/// Root files, bounded in bytes.
pub(crate) struct Roots {
    cache: Cache<RootKey, Weighed<Arc<Kept>>, ByWeight, RandomState>,
}

impl Roots {
    /// Room for so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        Self { cache: room::cache(bytes) }
    }

    /// The file that would be made again from what is known now. `addressee` is asked for only where it matters.
    pub(crate) fn get(
        &self,
        key: RootKey,
        (tenant, held): (&Tenant, &Held),
        day: NaiveDate,
        stamps: &Stamps,
        addressee: impl FnOnce() -> Digest,
    ) -> Option<Arc<View>> {
        let there = |key: &RootKey| {
            let kept = self.cache.get(key)?.value;
            kept.grounds.hold(tenant, held, day, stamps).then(|| kept.root.clone())
        };
        match there(&key)? {
            Root::Made(view) => Some(view),
            Root::Addressed => match there(&key.of(addressee()))? {
                Root::Made(view) => Some(view),
                Root::Addressed => None,
            },
        }
    }

    /// Keeps one; with the addressee of its words, where it has some.
    pub(crate) fn put(&self, key: RootKey, grounds: Grounds, view: &Arc<View>, addressee: Option<Digest>) {
        match addressee {
            None => self.insert(key, grounds, Root::Made(Arc::clone(view))),
            Some(addressee) => {
                self.insert(key.clone(), grounds.clone(), Root::Addressed);
                self.insert(key.of(addressee), grounds, Root::Made(Arc::clone(view)));
            }
        }
    }

    fn insert(&self, key: RootKey, grounds: Grounds, root: Root) {
        let of_view = if let Root::Made(view) = &root { view.bytes() } else { 0 };
        let bytes = size_of::<Kept>() + grounds.bytes() + of_view;
        self.cache.insert(key, Weighed::new::<RootKey>(Arc::new(Kept { grounds, root }), bytes));
    }

    /// Frees the room of everything.
    pub(crate) fn clear(&self) {
        self.cache.clear();
    }

    /// Bytes that are taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// Room for so many bytes from now on.
    pub(crate) fn resize(&self, bytes: u64) {
        self.cache.set_capacity(bytes);
    }
}

/// The root file that was chosen while facts were looked up for a request: with it, no package is looked up.
#[derive(Default)]
pub(crate) struct Chosen(Mutex<Option<Arc<View>>>);

impl Chosen {
    /// What is known has changed: this is the choice now.
    pub(crate) fn set(&self, view: Option<Arc<View>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = view;
    }

    /// The last choice.
    pub(crate) fn take(&self) -> Option<Arc<View>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
