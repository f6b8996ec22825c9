//! How much of the memory each cache gets.
//!
//! One bound holds for all of them together. Each has a share of it that nobody takes away; what one does not need of its share,
//! those who are full may have, so that a registry with few packages and many tokens uses its memory as well as one with many
//! packages and few tokens. Never do the rooms together exceed the bound.

use std::hash::Hash;

use ahash::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

/// What an entry takes beside key and value: its places in tables and lists, and what allocators round up.
const OVERHEAD: usize = 96;

/// A value with what it takes in memory, worked out once: a cache asks often.
#[derive(Debug, Clone)]
pub(crate) struct Weighed<V> {
    pub(crate) value: V,
    bytes: u64,
}

impl<V> Weighed<V> {
    /// `bytes` are those behind the value, wherever they lie.
    pub(crate) fn new<K>(value: V, bytes: usize) -> Self {
        let own = size_of::<K>() + size_of::<V>() + OVERHEAD;
        Self { value, bytes: own.saturating_add(bytes) as u64 }
    }
}

/// As heavy as it says.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ByWeight;

impl<K, V> Weighter<K, Weighed<V>> for ByWeight {
    fn weight(&self, _: &K, weighed: &Weighed<V>) -> u64 {
        weighed.bytes
    }
}

/// A cache with room for `bytes`. Few parts, so that a large document finds room in one of them.
pub(crate) fn cache<K: Hash + Eq + Clone, V: Clone>(bytes: u64) -> Cache<K, Weighed<V>, ByWeight, RandomState> {
    let mut options = OptionsBuilder::new();
    let options = options.estimated_items_capacity(ESTIMATE).weight_capacity(bytes).shards(PARTS);
    // It fails only for shares outside of 0 to 1, which are not set here.
    match options.build() {
        Ok(options) => Cache::with_options(options, ByWeight, RandomState::new(), DefaultLifecycle::default()),
        Err(_) => Cache::with(ESTIMATE, bytes, ByWeight, RandomState::new(), DefaultLifecycle::default()),
    }
}

/// Tables grow with what is in them.
const ESTIMATE: usize = 256;
const PARTS: usize = 4;

/// Rooms for caches that have these shares (in parts of their sum) and take so many bytes now.
pub(crate) fn divide<const N: usize>(bound: u64, shares: [u64; N], taken: [u64; N]) -> [u64; N] {
    let all: u64 = shares.iter().sum::<u64>().max(1);
    let own = shares.map(|share| bound / all * share);
    let mut rooms = own;
    let mut spare = 0;
    let mut wanting = 0;
    for (room, taken) in rooms.iter_mut().zip(taken) {
        // A quarter more than it takes now, and some at least, so that it can grow until rooms are divided again.
        let needed = (taken + taken / 4).max(*room / 8);
        if needed < *room {
            spare += *room - needed;
            *room = needed;
        } else {
            wanting += *room;
        }
    }
    for (room, own) in rooms.iter_mut().zip(own) {
        let gets = |of: u64| (u128::from(spare) * u128::from(of) / u128::from(wanting.max(1))) as u64;
        match *room == own {
            true if wanting > 0 => *room += gets(own),
            _ if wanting == 0 => *room = own,
            _ => {}
        }
    }
    rooms
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn table() {
        // Nobody is full: each has its own.
        assert_eq!(divide(800, [1, 1], [0, 0]), [400, 400]);
        // One is full: it gets what the other does not need.
        assert_eq!(divide(800, [1, 1], [0, 400]), [50, 750]);
        assert_eq!(divide(800, [1, 1], [160, 400]), [200, 600]);
        // Both are full.
        assert_eq!(divide(800, [1, 1], [400, 400]), [400, 400]);
        // Shares that were given away are taken back once they are needed.
        assert_eq!(divide(800, [1, 1], [400, 750]), [400, 400]);
    }

    proptest! {
        #[test]
        fn never_above_the_bound(bound in 0_u64..1 << 40, taken in prop::array::uniform4(0_u64..1 << 40)) {
            let shares = [8, 4, 2, 2];
            let rooms = divide(bound, shares, taken);
            prop_assert!(rooms.iter().sum::<u64>() <= bound, "{rooms:?}");
            for ((room, share), taken) in rooms.into_iter().zip(shares).zip(taken) {
                prop_assert!(room >= (bound / 16 * share).min(taken), "{rooms:?}");
            }
        }
    }
}
