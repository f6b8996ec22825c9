//! What the edge keeps: facts by key, rendered documents by view, archives by digest.
//!
//! A fact here is only ever a reason to ask "is this revision still right?"; no answer is made from one that was not confirmed after
//! the request came in. Nothing negative is kept. Keys are structs, never joined texts.

pub(crate) mod access;
pub(crate) mod collections;
pub(crate) mod dists;
pub(crate) mod packages;
pub(crate) mod tenants;
pub(crate) mod views;

use std::hash::Hash;
use std::sync::Arc;

use cargoman_edge_protocol::Revision;

/// A fact at a revision.
#[derive(Debug)]
pub(crate) struct Known<V> {
    pub(crate) revision: Revision,
    pub(crate) value: Arc<V>,
}

impl<V> Clone for Known<V> {
    fn clone(&self) -> Self {
        Self { revision: self.revision, value: Arc::clone(&self.value) }
    }
}

/// What was asked for could not be had; the reason was logged where it arose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not to be had now")]
pub(crate) struct Lost;

/// Facts of one kind, bounded in bytes.
pub(crate) struct Facts<K, V> {
    cache: moka::sync::Cache<K, Known<V>>,
}

impl<K, V> Facts<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Room for `bytes`; `weigh` says how many one fact takes.
    pub(crate) fn new(bytes: u64, weigh: fn(&V) -> usize) -> Self {
        let weigher = move |_: &K, known: &Known<V>| u32::try_from(weigh(&known.value)).unwrap_or(u32::MAX);
        Self { cache: moka::sync::Cache::builder().max_capacity(bytes).weigher(weigher).build() }
    }

    pub(crate) fn get(&self, key: &K) -> Option<Known<V>> {
        self.cache.get(key)
    }

    pub(crate) fn put(&self, key: K, known: Known<V>) {
        self.cache.insert(key, known);
    }

    pub(crate) fn forget(&self, key: &K) {
        self.cache.invalidate(key);
    }
}

/// Bytes that a fact takes as JSON: close enough to its size in memory, and counted without building the text.
pub(crate) fn json_size(value: &impl serde::Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}
