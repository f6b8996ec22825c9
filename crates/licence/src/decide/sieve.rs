//! One grant, made ready for one package: inside it every part must hold.

use cargoman_composer::constraint::Constraint;
use cargoman_composer::name::PackageName;
use cargoman_composer::stability::Stability;
use chrono::{DateTime, Utc};

use super::{Failed, VersionFacts};
use crate::{Access, Collection, Collections, Grant, Lapse, Lapsed, Target};

/// A grant that concerns the package asked about, with what does not depend on the version worked out.
pub(super) struct Sieve<'a> {
    pub(super) grant: &'a Grant,
    pub(super) collection: Option<&'a Collection>,
    /// First set one of grant, customer, tenant.
    pub(super) minimum: Stability,
    /// The grant's suspension.
    pub(super) lapse: Option<Lapse>,
    /// One before it shows exactly the same: renewals and bundles leave many alike, and who only wants to know whether need not
    /// ask each.
    pub(super) repeats: bool,
}

/// What a grant that concerns a package came by.
pub(super) enum Concern<'a> {
    ByName,
    In(&'a Collection),
}

/// How, if at all, `grant` is on `package`.
pub(super) fn concerns<'a>(grant: &Grant, collections: &Collections<'a>, package: &PackageName) -> Option<Concern<'a>> {
    match &grant.target {
        Target::Package(name) => (name == package).then_some(Concern::ByName),
        Target::Collection(id) => collections(id).filter(|found| found.packages.contains(package)).map(Concern::In),
    }
}

impl<'a> Sieve<'a> {
    /// The grant as it applies to `package`, if it does.
    pub(super) fn of(
        grant: &'a Grant,
        access: &Access,
        collections: &Collections<'a>,
        package: &PackageName,
    ) -> Option<Self> {
        let collection = match concerns(grant, collections, package)? {
            Concern::ByName => None,
            Concern::In(collection) => Some(collection),
        };
        let chosen = grant.minimum_stability.or(access.customer.minimum_stability).or(access.policy.minimum_stability);
        let minimum = chosen.unwrap_or(Stability::Stable);
        Some(Self { grant, collection, minimum, lapse: grant.lapse(&access.policy), repeats: false })
    }

    /// Whether the other shows exactly what this one shows, with the same dists.
    pub(super) fn shows_as(&self, other: &Self) -> bool {
        let limits = |sieve: &Self| {
            sieve
                .collection
                .map_or((None, None), |collection| (collection.constraint.as_ref(), collection.minimum_stability))
        };
        self.minimum == other.minimum
            && self.grant.updates_until == other.grant.updates_until
            && self.lapse == other.lapse
            && self.grant.constraint == other.grant.constraint
            && limits(self) == limits(other)
    }

    /// Whether the grant shows the version. What costs most is asked last.
    pub(super) fn shows(&self, facts: VersionFacts<'_>) -> bool {
        self.stable_enough(facts)
            && self.stable_enough_for_collection(facts)
            && self.in_time(facts)
            && self.left(facts)
            && matches(&self.grant.constraint, facts)
            && self.in_collection_constraint(facts)
    }

    /// Every part that leaves the version out; none exactly when [`Self::shows`].
    pub(super) fn failed(&self, facts: VersionFacts<'_>) -> Failed {
        Failed {
            constraint: !matches(&self.grant.constraint, facts),
            stability: !self.stable_enough(facts),
            updates_until: !self.in_time(facts),
            collection_constraint: !self.in_collection_constraint(facts),
            collection_stability: !self.stable_enough_for_collection(facts),
            suspended: !self.left(facts),
        }
    }

    /// The suspension that withholds the dists of what the grant still shows.
    pub(super) fn withholds_dists(&self) -> Option<&Lapse> {
        self.lapse.as_ref().filter(|lapse| lapse.left != Lapsed::Keep)
    }

    /// The grant's limit, where the version is after it.
    pub(super) fn limit_passed(&self, published_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.grant.updates_until.filter(|until| published_at > *until)
    }

    fn stable_enough(&self, facts: VersionFacts<'_>) -> bool {
        facts.version.stability() <= self.minimum
    }

    fn stable_enough_for_collection(&self, facts: VersionFacts<'_>) -> bool {
        let minimum = self.collection.and_then(|collection| collection.minimum_stability);
        minimum.is_none_or(|minimum| facts.version.stability() <= minimum)
    }

    fn in_time(&self, facts: VersionFacts<'_>) -> bool {
        self.limit_passed(facts.published_at).is_none()
    }

    fn left(&self, facts: VersionFacts<'_>) -> bool {
        self.lapse.as_ref().is_none_or(|lapse| lapse.leaves(facts.published_at))
    }

    fn in_collection_constraint(&self, facts: VersionFacts<'_>) -> bool {
        let constraint = self.collection.and_then(|collection| collection.constraint.as_ref());
        constraint.is_none_or(|constraint| matches(constraint, facts))
    }
}

/// A branch matches by its own name or by one of its aliases.
fn matches(constraint: &Constraint, facts: VersionFacts<'_>) -> bool {
    let by_alias = || facts.aliases.iter().any(|alias| constraint.matches(alias));
    constraint.matches(facts.version) || (facts.version.stability() == Stability::Dev && by_alias())
}
