//! What narrows a customer as a whole, beside his grants: lapses of which something is left, and a freeze.

use cargoman_composer::name::PackageName;
use chrono::{DateTime, Utc};

use super::{Rule, VersionFacts};
use crate::freeze::FrozenVersions;
use crate::{Access, Freeze, Lapse, Lapsed};

/// A customer's bounds on one package. All of them hold at once, so that a further state never widens.
pub(super) struct Bounds<'a> {
    /// In force, the suspension first.
    pub(super) lapses: Vec<Lapse>,
    frozen: Option<(&'a Freeze, Option<&'a FrozenVersions>)>,
}

impl<'a> Bounds<'a> {
    pub(super) fn of(access: &'a Access, package: &PackageName, now: DateTime<Utc>) -> Self {
        let frozen = access.customer.frozen.as_ref();
        Self {
            lapses: access.customer.lapses(&access.policy, now),
            frozen: frozen.map(|freeze| (freeze, freeze.packages.get(package))),
        }
    }

    /// Whether a version is inside all of them.
    pub(super) fn hold(&self, facts: VersionFacts<'_>) -> bool {
        self.lapses.iter().all(|lapse| lapse.leaves(facts.published_at))
            && self.frozen.is_none_or(|(freeze, versions)| freeze.holds(versions, facts))
    }

    /// The first that a version is outside of.
    pub(super) fn broken(&self, facts: VersionFacts<'_>) -> Option<Rule> {
        if let Some(lapse) = self.lapses.iter().find(|lapse| !lapse.leaves(facts.published_at)) {
            return Some(Rule::Lapsed { lapse: lapse.clone() });
        }
        let (freeze, _) = self.frozen.filter(|(freeze, versions)| !freeze.holds(*versions, facts))?;
        Some(Rule::Frozen { since: freeze.since })
    }

    /// The lapse that withholds dists.
    pub(super) fn withhold_dists(&self) -> Option<&Lapse> {
        self.lapses.iter().find(|lapse| lapse.left != Lapsed::Keep)
    }
}
