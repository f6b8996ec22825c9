//! What the edge keeps: facts by key, rendered documents by view, archives by digest.
//!
//! A fact here carries when it was read and what it stands on ([`stamps`]); nothing is answered from one that something happened
//! to since, or while the edge may not believe what it knows ([`crate::link::lease`]). Keys are structs, never joined texts.

pub(crate) mod access;
pub(crate) mod collections;
pub(crate) mod dists;
pub(crate) mod kept;
pub(crate) mod memory;
pub(crate) mod packages;
pub(crate) mod room;
pub(crate) mod roots;
pub(crate) mod stamps;
pub(crate) mod tenants;
pub(crate) mod views;

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

use ahash::RandomState;
use cargoman_edge_protocol::Revision;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;

use self::room::{ByWeight, Weighed};
use self::stamps::{Place, Stamp, Stamps};

/// A fact at a revision.
#[derive(Debug)]
pub(crate) struct Known<V> {
    pub(crate) revision: Revision,
    pub(crate) value: Arc<V>,
    pub(crate) standing: Standing,
}

/// When a fact was read, and what it stands on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) stamp: Stamp,
    places: [Place; 2],
}

impl Standing {
    /// Of something that stands on one ground or two.
    pub(crate) fn on(stamp: Stamp, places: [Place; 2]) -> Self {
        Self { stamp, places }
    }

    /// Whether nothing happened to it since it was read.
    pub(crate) fn holds(&self, stamps: &Stamps) -> bool {
        stamps.holds(self.stamp, &self.places)
    }
}

impl<V> Clone for Known<V> {
    fn clone(&self) -> Self {
        Self { revision: self.revision, value: Arc::clone(&self.value), standing: self.standing }
    }
}

#[cfg(test)]
impl<V> Known<V> {
    /// A fact for a test of what is made from it.
    pub(crate) fn sample(revision: i64, value: V) -> Self {
        let stamps = Stamps::new();
        let place = stamps.place(&stamps::Ground::Hosts);
        Self {
            revision: Revision(revision),
            value: Arc::new(value),
            standing: Standing::on(Stamp::UNSURE, [place, place]),
        }
    }
}

/// What was asked for could not be had; the reason was logged where it arose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not to be had now")]
pub(crate) struct Lost;

/// How many absent things of one kind are remembered. They have room of their own: whoever asks for made-up names pushes out no
/// fact.
const MOST_ABSENT: usize = 20_000;

/// Facts of one kind, bounded in bytes, and what is known to be absent, bounded in number.
pub(crate) struct Facts<K, V> {
    // A keyed hash, as what is hashed comes from strangers; a quick one, as every request hashes a handful.
    cache: Cache<K, Weighed<Known<V>>, ByWeight, RandomState>,
    absent: Cache<K, Standing, UnitWeighter, RandomState>,
    weigh: fn(&V) -> usize,
}

/// What a cache says of a key.
#[derive(Debug)]
pub(crate) enum Belief<V> {
    /// It can be used as it is; none: there is no such thing.
    Sure(Option<Known<V>>),
    /// It must be asked for; this is what was known of it last.
    Unsure(Option<Known<V>>),
}

impl<V> Belief<V> {
    /// What was known last, sure or not.
    pub(crate) fn known(&self) -> Option<&Known<V>> {
        match self {
            Self::Sure(known) | Self::Unsure(known) => known.as_ref(),
        }
    }
}

impl<K, V> Facts<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Room for `bytes`; `weigh` says how many one fact takes, its key left out.
    pub(crate) fn new(bytes: u64, weigh: fn(&V) -> usize) -> Self {
        Self {
            cache: room::cache(bytes),
            absent: Cache::with(MOST_ABSENT, MOST_ABSENT as u64, UnitWeighter, RandomState::new(), Default::default()),
            weigh,
        }
    }

    /// What was known last, however old.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<Known<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.cache.get(key).map(|weighed| weighed.value)
    }

    /// What can be said of a key. Without `stamps` nothing is sure.
    pub(crate) fn belief<Q>(&self, key: &Q, stamps: Option<&Stamps>) -> Belief<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        match (self.get(key), stamps) {
            (Some(known), Some(stamps)) if known.standing.holds(stamps) => Belief::Sure(Some(known)),
            (None, Some(stamps)) if self.absent.get(key).is_some_and(|standing| standing.holds(stamps)) => {
                Belief::Sure(None)
            }
            (known, _) => Belief::Unsure(known),
        }
    }

    pub(crate) fn put(&self, key: K, known: Known<V>) {
        let bytes = (self.weigh)(&known.value);
        self.cache.insert(key, Weighed::new::<K>(known, bytes));
    }

    /// There is no such thing.
    pub(crate) fn put_absent(&self, key: K, standing: Standing) {
        self.cache.remove(&key);
        self.absent.insert(key, standing);
    }

    /// Every fact that can still be used.
    pub(crate) fn held<'a>(&'a self, stamps: &'a Stamps) -> impl Iterator<Item = (K, Known<V>)> + 'a {
        self.cache.iter().map(|(key, weighed)| (key, weighed.value)).filter(|(_, known)| known.standing.holds(stamps))
    }

    /// Frees the room of everything at once.
    pub(crate) fn clear(&self) {
        self.cache.clear();
        self.absent.clear();
    }

    /// Bytes that are taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// Gives it room for so many bytes from now on.
    pub(crate) fn resize(&self, bytes: u64) {
        self.cache.set_capacity(bytes);
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
