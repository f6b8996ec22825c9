//! Decides whether a fact in a cache may still be used: whether anything happened to it since it was read.
//!
//! An event stores its number in a fixed array, at the places of the keys it names; a fact carries the number it was read at and
//! the places it stands on. A fill that began before an invalidation carries a smaller number than the one in the array, so it is
//! never used after it, whenever it arrives. Two keys at one place cost a needless question, never a wrong answer.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use cargoman_composer::name::PackageName;
use cargoman_credential::Digest;
use cargoman_edge_protocol::link::{Position, Seq};
use cargoman_edge_protocol::{AsOf, Change, TenantId};
use cargoman_licence::CollectionId;

/// Places for keys. 128 Ki numbers take 1 MiB.
const PLACES: usize = 1 << 17;

/// What a fact stands on, or an event names.
#[derive(Debug, Hash)]
pub(crate) enum Ground<'a> {
    /// A tenant with his settings.
    Tenant(TenantId),
    /// Whose hosts are.
    Hosts,
    /// A customer with his grants.
    Customer(TenantId, &'a str),
    /// A token.
    Token(TenantId, &'a Digest),
    /// A package.
    Package(TenantId, &'a PackageName),
    /// Every package of a tenant.
    Packages(TenantId),
    /// A collection.
    Collection(TenantId, &'a CollectionId),
    /// The names of all packages.
    Directory(TenantId),
}

/// Where a ground is noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u32);

/// When a fact was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    generation: u64,
    seq: Seq,
}

impl Stamp {
    /// Of a fact that must be confirmed before it is used.
    pub(crate) const UNSURE: Self = Self { generation: 0, seq: 0 };

    /// The number it was read at.
    pub(crate) fn seq(self) -> Seq {
        self.seq
    }

    /// Which knowledge it belongs to: another one after everything was dropped.
    pub(crate) fn generation(self) -> u64 {
        self.generation
    }
}

/// What happened last to every ground.
pub(crate) struct Stamps {
    hasher: RandomState,
    /// Raised when everything is dropped; 0 before the first welcome.
    generation: AtomicU64,
    /// Counts streams: what was asked for before the present one began may be of another history.
    stream: AtomicU64,
    epoch: AtomicI64,
    /// Facts read before this event are not to be trusted: what came before it was never heard.
    floor: AtomicI64,
    last: Box<[AtomicI64]>,
    /// The last event that was heard, for whoever watches.
    heard: AtomicI64,
}

/// Taken when a question is sent, so that what was dropped meanwhile is not kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking {
    generation: u64,
    stream: u64,
}

impl Stamps {
    /// Nothing happened yet, and nothing can be kept before [`Self::begin`].
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            generation: AtomicU64::new(0),
            stream: AtomicU64::new(0),
            epoch: AtomicI64::new(-1),
            floor: AtomicI64::new(0),
            last: (0..PLACES).map(|_| AtomicI64::new(0)).collect(),
            heard: AtomicI64::new(0),
        }
    }

    /// Drops everything: nothing that is kept, and nothing that is being asked for, is used any more.
    pub(crate) fn drop_all(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.epoch.store(-1, Ordering::SeqCst);
    }

    /// From now on events after `position` are heard, and what is read as of it can be kept.
    pub(crate) fn begin(&self, position: Position) {
        self.heard.store(position.seq, Ordering::SeqCst);
        if self.epoch.load(Ordering::SeqCst) == position.epoch {
            return;
        }
        let floor = position.seq;
        self.floor.store(floor, Ordering::SeqCst);
        for last in &self.last {
            last.store(0, Ordering::Relaxed);
        }
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.epoch.store(position.epoch, Ordering::SeqCst);
    }

    /// As [`Self::begin`] for facts from the disk, which were read before `position` and heard all that came until then.
    pub(crate) fn resume(&self, position: Position) {
        self.begin(position);
        self.floor.store(0, Ordering::SeqCst);
    }

    /// A new stream begins: what was asked for until now is not kept.
    pub(crate) fn new_stream(&self) {
        self.stream.fetch_add(1, Ordering::SeqCst);
    }

    /// The number of the last event that was heard.
    pub(crate) fn heard(&self) -> Seq {
        self.heard.load(Ordering::Relaxed)
    }

    /// Takes an event in.
    pub(crate) fn apply(&self, seq: Seq, change: &Change) {
        for ground in grounds(change).into_iter().flatten() {
            if let Some(last) = self.last.get(self.place(&ground).0 as usize) {
                last.fetch_max(seq, Ordering::SeqCst);
            }
        }
        // Last: what is stamped with it must not hold against what it names.
        self.heard.store(seq, Ordering::SeqCst);
    }

    /// The stamp of what is made now from facts that hold: nothing that was heard until now happened to them later.
    pub(crate) fn reached(&self) -> Stamp {
        let generation = self.generation.load(Ordering::SeqCst);
        Stamp { generation, seq: self.heard.load(Ordering::SeqCst) }
    }

    /// A question is about to be sent.
    pub(crate) fn asking(&self) -> Asking {
        Asking { generation: self.generation.load(Ordering::SeqCst), stream: self.stream.load(Ordering::SeqCst) }
    }

    /// The stamp of what was answered.
    pub(crate) fn stamp(&self, asking: Asking, as_of: Option<AsOf>) -> Stamp {
        match as_of {
            Some(AsOf { epoch, seq })
                if epoch == self.epoch.load(Ordering::SeqCst)
                    && asking.stream == self.stream.load(Ordering::SeqCst) =>
            {
                Stamp { generation: asking.generation, seq }
            }
            _ => Stamp::UNSURE,
        }
    }

    /// The stamp of a fact from the disk.
    pub(crate) fn stamp_of_disk(&self, seq: Seq) -> Stamp {
        Stamp { generation: self.generation.load(Ordering::SeqCst), seq }
    }

    /// Whether nothing happened to a fact since it was read.
    pub(crate) fn holds(&self, stamp: Stamp, places: &[Place]) -> bool {
        stamp.generation != 0
            && stamp.generation == self.generation.load(Ordering::SeqCst)
            && stamp.seq >= self.floor.load(Ordering::SeqCst)
            && places.iter().all(|place| {
                self.last.get(place.0 as usize).is_some_and(|last| stamp.seq >= last.load(Ordering::SeqCst))
            })
    }

    /// Where a ground is noted.
    pub(crate) fn place(&self, ground: &Ground<'_>) -> Place {
        let hash = self.hasher.hash_one(ground);
        Place(u32::try_from(hash % PLACES as u64).unwrap_or_default())
    }
}

fn grounds(change: &Change) -> [Option<Ground<'_>>; 2] {
    let one = match change {
        Change::Tenant { tenant } => Ground::Tenant(*tenant),
        Change::Hosts { tenant } => return [Some(Ground::Hosts), Some(Ground::Tenant(*tenant))],
        Change::Customer { tenant, customer } => Ground::Customer(*tenant, customer),
        Change::Token { tenant, digest, .. } => Ground::Token(*tenant, digest),
        // Adding or removing a package changes the directory, which says so itself.
        Change::Package { tenant, name } => {
            return [Some(Ground::Package(*tenant, name)), Some(Ground::Packages(*tenant))];
        }
        Change::Collection { tenant, collection } => Ground::Collection(*tenant, collection),
        Change::Directory { tenant } => Ground::Directory(*tenant),
    };
    [Some(one), None]
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const TENANT: TenantId = TenantId(Uuid::nil());

    fn position(epoch: i64, seq: Seq) -> Position {
        Position { epoch, seq, event: Uuid::nil() }
    }

    fn as_of(epoch: i64, seq: Seq) -> Option<AsOf> {
        Some(AsOf { epoch, seq })
    }

    #[test]
    fn a_fill_that_began_before_an_invalidation_is_not_kept() {
        let stamps = Stamps::new();
        stamps.begin(position(1, 5));
        let name = PackageName::parse("acme/pay").unwrap();
        let places = [stamps.place(&Ground::Package(TENANT, &name))];
        let asking = stamps.asking();
        let early = stamps.stamp(asking, as_of(1, 7));
        assert!(stamps.holds(early, &places));
        stamps.apply(8, &Change::Package { tenant: TENANT, name: name.clone() });
        assert!(!stamps.holds(early, &places), "read before the event");
        assert!(!stamps.holds(stamps.stamp(asking, as_of(1, 7)), &places), "answered after it, but from before it");
        assert!(stamps.holds(stamps.stamp(asking, as_of(1, 8)), &places));
    }

    #[test]
    fn what_is_dropped_stays_dropped() {
        let stamps = Stamps::new();
        assert!(!stamps.holds(stamps.stamp(stamps.asking(), as_of(1, 7)), &[]), "before the first welcome");
        stamps.begin(position(1, 5));
        let (asking, kept) = (stamps.asking(), stamps.stamp(stamps.asking(), as_of(1, 7)));
        stamps.drop_all();
        assert!(!stamps.holds(kept, &[]));
        stamps.begin(position(2, 3));
        assert!(!stamps.holds(stamps.stamp(asking, as_of(2, 9)), &[]), "asked before the drop");
        assert!(!stamps.holds(stamps.stamp(stamps.asking(), as_of(1, 9)), &[]), "of another epoch");
        assert!(!stamps.holds(stamps.stamp(stamps.asking(), as_of(2, 2)), &[]), "older than what is heard");
        assert!(stamps.holds(stamps.stamp(stamps.asking(), as_of(2, 3)), &[]));
        assert!(!stamps.holds(Stamp::UNSURE, &[]));
    }

    #[test]
    fn what_was_asked_for_under_another_stream_is_not_kept() {
        let stamps = Stamps::new();
        stamps.begin(position(1, 5));
        let asking = stamps.asking();
        let kept = stamps.stamp(asking, as_of(1, 5));
        stamps.new_stream();
        assert!(!stamps.holds(stamps.stamp(asking, as_of(1, 9)), &[]));
        assert!(stamps.holds(kept, &[]), "what came before stays");
    }

    #[test]
    fn other_grounds_are_left_alone() {
        let stamps = Stamps::new();
        stamps.begin(position(1, 0));
        let stamp = stamps.stamp(stamps.asking(), as_of(1, 1));
        stamps.apply(9, &Change::Customer { tenant: TENANT, customer: "cust_1".to_owned() });
        assert!(!stamps.holds(stamp, &[stamps.place(&Ground::Customer(TENANT, "cust_1"))]));
        let other = TenantId(Uuid::from_u128(1));
        let others = [Ground::Customer(TENANT, "cust_2"), Ground::Customer(other, "cust_1"), Ground::Tenant(TENANT)];
        let held = others.iter().filter(|ground| stamps.holds(stamp, &[stamps.place(ground)])).count();
        assert!(held >= 2, "three places in 128 Ki");
    }
}
