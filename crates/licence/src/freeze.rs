//! The list of versions that a frozen customer is held at.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cargoman_composer::name::PackageName;
use cargoman_composer::version::Version;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{VersionFacts, View};

/// What a customer is held at: what stands here *and* is shown by his grants as they are now. So a grant that is taken away
/// takes its versions along, and nothing is added by freezing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Freeze {
    /// When. Nothing first seen later is shown, whatever the list says.
    pub since: DateTime<Utc>,
    /// The versions of each package: its normalized form, and the references of it that count; without those every reference
    /// first seen up to `since`.
    #[serde(default)]
    pub packages: BTreeMap<PackageName, FrozenVersions>,
}

/// The frozen versions of one package.
pub type FrozenVersions = HashMap<Version, Option<BTreeSet<String>>>;

impl Freeze {
    /// A freeze at an instant, with nothing in it.
    #[must_use]
    pub const fn new(since: DateTime<Utc>) -> Self {
        Self { since, packages: BTreeMap::new() }
    }

    /// Adds a version: with a reference that one, beside others already there; without one every reference up to the freeze.
    pub fn add(&mut self, package: &PackageName, version: &Version, reference: Option<&str>) {
        let versions = self.packages.entry(package.clone()).or_default();
        let references = versions.entry(version.clone()).or_insert_with(|| Some(BTreeSet::new()));
        match reference {
            None => *references = None,
            Some(reference) => {
                if let Some(references) = references {
                    references.insert(reference.to_owned());
                }
            }
        }
    }

    /// Adds what `view` has of `package`, for a freeze without a list: every visible version, and the yanked ones that it may
    /// still install, so that locks survive the freeze.
    pub fn add_all<'v>(
        &mut self,
        package: &PackageName,
        view: &View<'_>,
        versions: impl IntoIterator<Item = VersionFacts<'v>>,
    ) {
        for facts in versions {
            let sight = view.sight(facts);
            if sight.visible || sight.installable {
                self.add(package, facts.version, None);
            }
        }
    }

    /// Whether one (version, reference) of a package whose list is `versions` is held.
    pub(crate) fn holds(&self, versions: Option<&FrozenVersions>, facts: VersionFacts<'_>) -> bool {
        facts.published_at <= self.since
            && versions
                .and_then(|versions| versions.get(facts.version))
                .is_some_and(|references| references.as_ref().is_none_or(|them| them.contains(facts.reference)))
    }
}
