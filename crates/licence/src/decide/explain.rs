//! Why, in full; and what a change would do before it is made.

use cargoman_composer::stability::Stability;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Decision, Failed, VersionFacts, View};
use crate::{CollectionId, EffectiveStatus, Lapse};

/// A decision with everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The answer.
    pub decision: Decision,
    /// The customer's state in force.
    pub status: EffectiveStatus,
    /// Every lapse in force, the suspension first.
    pub lapses: Vec<Lapse>,
    /// Whether the token is not narrowed to other packages.
    pub in_token_scope: bool,
    /// Every grant on the package, whether or not something before it decided.
    pub grants: Vec<Examined>,
}

/// What one grant says of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Examined {
    /// Id of the grant.
    pub grant: String,
    /// Its id in the vendor's shop.
    pub external_id: Option<String>,
    /// The collection it is on.
    pub collection: Option<CollectionId>,
    /// The least stable version it shows, whoever named it: grant, customer or tenant.
    pub minimum_stability: Stability,
    /// Its limit.
    pub updates_until: Option<DateTime<Utc>>,
    /// Its suspension.
    pub suspension: Option<Lapse>,
    /// Which parts leave the version out.
    pub failed: Failed,
    /// Whether it shows the version.
    pub shows: bool,
}

impl View<'_> {
    /// The decision on a version with every grant looked at and which part of each failed.
    #[must_use]
    pub fn explain(&self, facts: VersionFacts<'_>) -> Explanation {
        let examined = |sieve: &super::sieve::Sieve<'_>| {
            let failed = sieve.failed(facts);
            Examined {
                grant: sieve.grant.id.clone(),
                external_id: sieve.grant.external_id.clone(),
                collection: sieve.grant.target.collection().cloned(),
                minimum_stability: sieve.minimum,
                updates_until: sieve.grant.updates_until,
                suspension: sieve.lapse.clone(),
                failed,
                shows: failed.nothing(),
            }
        };
        Explanation {
            decision: self.decide(facts),
            status: self.status,
            lapses: self.bounds.lapses.clone(),
            in_token_scope: self.in_token_scope,
            grants: self.sieves.iter().map(examined).collect(),
        }
    }
}

/// What a change does: positions among the versions asked about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Difference {
    /// Newly in metadata or newly installable.
    pub gained: Vec<usize>,
    /// No longer in metadata or no longer installable.
    pub lost: Vec<usize>,
}

/// What is gained and lost between two views of a package: the dry run of a change.
pub fn difference<'v>(
    before: &View<'_>,
    after: &View<'_>,
    versions: impl IntoIterator<Item = VersionFacts<'v>>,
) -> Difference {
    let mut difference = Difference::default();
    for (position, facts) in versions.into_iter().enumerate() {
        let (old, new) = (before.sight(facts), after.sight(facts));
        if (new.visible && !old.visible) || (new.installable && !old.installable) {
            difference.gained.push(position);
        }
        if (old.visible && !new.visible) || (old.installable && !new.installable) {
            difference.lost.push(position);
        }
    }
    difference
}
