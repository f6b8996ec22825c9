//! Pure: who gains and who loses what between two worlds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cargoman_composer::name::PackageName;
use cargoman_composer::version::Version;
use cargoman_licence::{Access, CollectionId, Grant, Lapse, Sight, Target, View, refusal};
use chrono::{DateTime, Utc};

use super::World;
use super::rights::{Rights, Timeline};
use crate::domain::id::CustomerId;
use crate::store::licence_facts::PackageFacts;

/// Customers who gain or lose something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// By id.
    pub customers: BTreeMap<CustomerId, CustomerChange>,
}

/// What one customer gains and loses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerChange {
    /// For people.
    pub name: String,
    /// By package; customers with equal rights share each.
    pub packages: Vec<Arc<PackageChange>>,
}

/// What is gained and lost of one package, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageChange {
    /// Which.
    pub package: PackageName,
    /// Newly in metadata or newly installable.
    pub gained: Vec<ChangedVersion>,
    /// No longer in metadata or no longer installable.
    pub lost: Vec<ChangedVersion>,
}

/// A version by its two names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedVersion {
    /// As its author writes it.
    pub pretty: String,
    /// As compared.
    pub normalized: String,
}

impl CustomerChange {
    /// Whether he gains anything.
    #[must_use]
    pub fn gains(&self) -> bool {
        self.packages.iter().any(|change| !change.gained.is_empty())
    }

    /// Whether he loses anything.
    #[must_use]
    pub fn loses(&self) -> bool {
        self.packages.iter().any(|change| !change.lost.is_empty())
    }
}

/// Who gains and loses what from `before` to `after`, both as of `now`. Customers with equal rights to a package are worked out
/// once, so that ten thousand of them cost little more than one.
#[must_use]
pub fn changes(before: &World, after: &World, now: DateTime<Utc>) -> Changes {
    let (old, new) = (Side::of(before, now), Side::of(after, now));
    let mut changes = Changes::default();
    let names: BTreeSet<_> = before.packages.keys().chain(after.packages.keys()).collect();
    for name in names {
        let (old, new) = (Looked::at(&old, name), Looked::at(&new, name));
        let customers: BTreeSet<_> = old.holders().chain(new.holders()).collect();
        let mut known: HashMap<Turn<'_>, Option<Arc<PackageChange>>> = HashMap::new();
        for customer in customers {
            let key = (old.rights(customer), new.rights(customer));
            let change = known.entry(key).or_insert_with(|| {
                let change = compare(name, &old.sights(customer), &new.sights(customer));
                (!change.gained.is_empty() || !change.lost.is_empty()).then(|| Arc::new(change))
            });
            if let (Some(change), Some(access)) = (change, old.access(customer).or_else(|| new.access(customer))) {
                let nothing = || CustomerChange { name: access.customer.name.clone(), packages: Vec::new() };
                changes.customers.entry(*customer).or_insert_with(nothing).packages.push(Arc::clone(change));
            }
        }
    }
    changes
}

/// Somebody's rights to a package before and after.
type Turn<'w> = (Option<Rights<'w>>, Option<Rights<'w>>);

/// One world with its grants by package.
struct Side<'w> {
    world: &'w World,
    now: DateTime<Utc>,
    lapses: HashMap<CustomerId, Vec<Lapse>>,
    grants: HashMap<&'w PackageName, BTreeMap<CustomerId, Vec<&'w Grant>>>,
}

impl<'w> Side<'w> {
    fn of(world: &'w World, now: DateTime<Utc>) -> Self {
        let mut members: HashMap<&CollectionId, Vec<&PackageName>> = HashMap::new();
        for (id, collection) in world.collections.iter() {
            let inside = world.packages.keys().filter(|name| collection.packages.contains(name));
            members.insert(id, inside.collect());
        }
        let mut lapses = HashMap::new();
        let mut grants: HashMap<&PackageName, BTreeMap<CustomerId, Vec<&Grant>>> = HashMap::new();
        // Whoever is refused everything has as little as one who was given nothing.
        for (id, access) in world.customers.iter().filter(|(_, access)| refusal(access, now).is_none()) {
            lapses.insert(*id, access.customer.lapses(&access.policy, now));
            for grant in &access.grants {
                let mut on = |name| grants.entry(name).or_default().entry(*id).or_default().push(grant);
                match &grant.target {
                    Target::Package(name) => on(name),
                    Target::Collection(id) => members.get(id).into_iter().flatten().copied().for_each(on),
                }
            }
        }
        Self { world, now, lapses, grants }
    }
}

/// One package in one world. A package that is not there shows nothing to anyone.
struct Looked<'s, 'w> {
    side: &'s Side<'w>,
    package: Option<(&'w PackageFacts, Timeline)>,
    holders: Option<&'s BTreeMap<CustomerId, Vec<&'w Grant>>>,
}

impl<'s, 'w> Looked<'s, 'w> {
    fn at(side: &'s Side<'w>, name: &PackageName) -> Self {
        let package = side.world.packages.get(name).map(|package| (&**package, Timeline::of(package)));
        let holders = side.grants.get(name).filter(|_| package.is_some());
        Self { side, package, holders }
    }

    /// Customers with a grant on it.
    fn holders(&self) -> impl Iterator<Item = &'s CustomerId> + use<'s, 'w> {
        self.holders.into_iter().flat_map(BTreeMap::keys)
    }

    fn access(&self, customer: &CustomerId) -> Option<&'w Access> {
        self.side.world.customers.get(customer)
    }

    fn rights(&self, customer: &CustomerId) -> Option<Rights<'w>> {
        let grants = self.holders?.get(customer)?;
        let (package, timeline) = self.package.as_ref()?;
        let lapses = self.side.lapses.get(customer)?;
        Some(Rights::of(self.access(customer)?, lapses, grants, package, timeline))
    }

    /// What the customer sees of each version at each reference; what he does not see at all is left out.
    fn sights(&self, customer: &CustomerId) -> Vec<Seen<'w>> {
        let (Some((package, _)), Some(access)) = (&self.package, self.access(customer)) else { return Vec::new() };
        let world = self.side.world;
        let lookup = |id: &CollectionId| world.collections.get(id);
        let view = View::new(access, &lookup, &package.name, self.side.now);
        let seen = package.facts().map(|(version, reference, facts)| {
            let sight = view.sight(facts);
            // Metadata shows a branch at its newest commit alone.
            let sight = Sight { visible: sight.visible && reference.current, ..sight };
            Seen { version: &version.version, pretty: &version.pretty, reference: &reference.reference, sight }
        });
        seen.filter(|seen| seen.sight != Sight::default()).collect()
    }
}

struct Seen<'w> {
    version: &'w Version,
    pretty: &'w str,
    reference: &'w str,
    sight: Sight,
}

fn compare(package: &PackageName, before: &[Seen<'_>], after: &[Seen<'_>]) -> PackageChange {
    PackageChange { package: package.clone(), gained: more(before, after), lost: more(after, before) }
}

/// Versions of which `to` shows something that `from` does not; newest first, once each.
fn more(from: &[Seen<'_>], to: &[Seen<'_>]) -> Vec<ChangedVersion> {
    let known: HashMap<_, _> = from.iter().map(|seen| ((seen.version, seen.reference), seen.sight)).collect();
    let mut versions: Vec<ChangedVersion> = Vec::new();
    for seen in to {
        let old = known.get(&(seen.version, seen.reference)).copied().unwrap_or_default();
        let more = (seen.sight.visible && !old.visible) || (seen.sight.installable && !old.installable);
        // References of one version stand together.
        let noted = versions.last().is_some_and(|last| last.normalized == seen.version.normalized());
        if more && !noted {
            let normalized = seen.version.normalized().to_owned();
            versions.push(ChangedVersion { pretty: seen.pretty.to_owned(), normalized });
        }
    }
    versions
}

#[cfg(test)]
mod tests;
