//! Decides when two customers have the same rights to a package: then what one gains or loses the other does too, and it is
//! worked out once for both.
//!
//! An instant counts only by how many references of the package were published up to it: every rule that looks at an instant
//! asks that and nothing else.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use cargoman_composer::stability::Stability;
use cargoman_licence::{
    Access, CollectionId, Freeze, FrozenVersions, Grant, GrantStatus, Lapse, LapseKind, Lapsed, Target,
};
use chrono::{DateTime, Utc};

use crate::store::licence_facts::PackageFacts;

/// The instants at which a package grew, in order.
pub(super) struct Timeline(Vec<DateTime<Utc>>);

impl Timeline {
    pub(super) fn of(package: &PackageFacts) -> Self {
        let mut instants: Vec<_> = package.facts().map(|(_, reference, _)| reference.published_at).collect();
        instants.sort_unstable();
        Self(instants)
    }

    /// How many references there were at an instant.
    fn up_to(&self, at: DateTime<Utc>) -> usize {
        self.0.partition_point(|published| *published <= at)
    }
}

/// A customer's rights to one package, without what is his alone.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Rights<'a> {
    lapses: Vec<(LapseKind, Lapsed, Option<usize>)>,
    frozen: Option<Frozen<'a>>,
    minimum: Option<Stability>,
    /// In one order, once each: which grant came first decides nothing.
    grants: Vec<GrantRights<'a>>,
}

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct GrantRights<'a> {
    constraint: &'a str,
    minimum: Option<Stability>,
    until: usize,
    suspended: Option<Option<usize>>,
    collection: Option<&'a CollectionId>,
}

impl<'a> Rights<'a> {
    /// The rights to a package that these of a customer's grants are on.
    pub(super) fn of(
        access: &'a Access,
        lapses: &[Lapse],
        grants: &[&'a Grant],
        package: &PackageFacts,
        timeline: &Timeline,
    ) -> Self {
        let mut grants: Vec<_> = grants.iter().map(|grant| GrantRights::of(grant, timeline)).collect();
        grants.sort_unstable();
        grants.dedup();
        let lapse = |lapse: &Lapse| (lapse.kind, lapse.left, lapse.since.map(|since| timeline.up_to(since)));
        let frozen = |freeze: &'a Freeze| Frozen {
            since: timeline.up_to(freeze.since),
            versions: freeze.packages.get(&package.name),
        };
        Self {
            lapses: lapses.iter().map(lapse).collect(),
            frozen: access.customer.frozen.as_ref().map(frozen),
            minimum: access.customer.minimum_stability,
            grants,
        }
    }
}

impl<'a> GrantRights<'a> {
    fn of(grant: &'a Grant, timeline: &Timeline) -> Self {
        let suspended = match &grant.status {
            GrantStatus::Active => None,
            GrantStatus::Suspended { since, .. } => Some(since.map(|since| timeline.up_to(since))),
        };
        let collection = match &grant.target {
            Target::Package(_) => None,
            Target::Collection(id) => Some(id),
        };
        Self {
            constraint: grant.constraint.as_str(),
            minimum: grant.minimum_stability,
            // Without a limit it is as one that everything came before.
            until: grant.updates_until.map_or(timeline.0.len(), |until| timeline.up_to(until)),
            suspended,
            collection,
        }
    }
}

/// What a frozen customer is held at in one package.
#[derive(PartialEq, Eq)]
struct Frozen<'a> {
    since: usize,
    versions: Option<&'a FrozenVersions>,
}

impl Hash for Frozen<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.since.hash(state);
        self.versions.map(HashMap::len).hash(state);
    }
}
