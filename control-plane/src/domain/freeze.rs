//! Decides which versions a customer is held at when he is frozen. It asks the rule book what he sees, and never adds to that.

use std::collections::HashMap;

use cargoman_composer::name::PackageName;
use cargoman_licence::{Access, CustomerStatus, Freeze, View};
use chrono::{DateTime, Utc};

use crate::domain::package::normalized;
use crate::store::licence_facts::{Collections, PackageFacts, StoredVersion};

/// A version as an operator lists it: its package, and its text, pretty or normalized.
pub type Listed = (PackageName, String);

/// What a customer is held at from `now` on: the listed versions, or without a list all he sees or may install now.
///
/// His suspension and the end of his time are set aside: they stand beside the freeze, and whoever lifts them wants to find
/// what was granted, not nothing. Frozen again, he is held within what he was held at, since the first time.
///
/// # Errors
/// With the positions of those listed that he does not see now.
pub fn freeze(
    access: &Access,
    collections: &Collections,
    packages: &[PackageFacts],
    listed: Option<&[Listed]>,
    now: DateTime<Utc>,
) -> Result<Freeze, Vec<usize>> {
    let mut access = access.clone();
    access.customer.status = CustomerStatus::Active;
    access.customer.expires_at = None;
    let before = access.customer.frozen.clone();
    let mut freeze = Freeze::new(before.as_ref().map_or(now, |before| before.since));
    match listed {
        None => {
            for package in packages {
                let view = View::new(&access, &|id| collections.get(id), &package.name, now);
                freeze.add_all(&package.name, &view, package.facts().map(|(.., facts)| facts));
            }
        }
        Some(listed) => add_listed(&mut freeze, &access, collections, packages, listed, now)?,
    }
    if let Some(before) = before {
        keep_references(&mut freeze, &before);
    }
    Ok(freeze)
}

fn add_listed(
    freeze: &mut Freeze,
    access: &Access,
    collections: &Collections,
    packages: &[PackageFacts],
    listed: &[Listed],
    now: DateTime<Utc>,
) -> Result<(), Vec<usize>> {
    let mut visible: HashMap<(&PackageName, &str), &StoredVersion> = HashMap::new();
    for package in packages {
        let view = View::new(access, &|id| collections.get(id), &package.name, now);
        for (version, reference, facts) in package.facts() {
            if reference.current && view.sight(facts).visible {
                visible.insert((&package.name, &version.pretty), version);
                visible.insert((&package.name, version.version.normalized()), version);
            }
        }
    }
    let mut unseen = Vec::new();
    for (at, (package, version)) in listed.iter().enumerate() {
        let meant = normalized(version);
        let meant = meant.as_deref().and_then(|text| visible.get(&(package, text)));
        match visible.get(&(package, version.as_str())).or(meant) {
            Some(version) => freeze.add(package, &version.version, None),
            None => unseen.push(at),
        }
    }
    if unseen.is_empty() { Ok(()) } else { Err(unseen) }
}

/// Where the freeze before held single references of a version, so does the new one.
fn keep_references(freeze: &mut Freeze, before: &Freeze) {
    for (package, versions) in &mut freeze.packages {
        for (version, references) in versions {
            if let Some(held) = before.packages.get(package).and_then(|held| held.get(version)) {
                references.clone_from(held);
            }
        }
    }
}
