//! Shared work comes to the same end as work done for each customer alone.

use std::time::Instant;

use cargoman_composer::stability::Stability;
use cargoman_licence::{
    Collection, Customer, CustomerStatus, Freeze, GrantStatus, Lapsed, PackageGlob, TenantPolicy, Token,
};
use cargoman_testkit::random::Random;
use chrono::Duration;
use uuid::Uuid;

use super::*;
use crate::store::licence_facts::{ReferenceFacts, StoredVersion};

/// The seed of the run, printed so that a failure can be had again.
fn random() -> Random {
    let seed = std::env::var("CARGOMAN_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_123);
    println!("seed {seed}");
    Random::new(seed)
}

fn day(n: usize) -> DateTime<Utc> {
    "2025-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + Duration::days(i64::try_from(n).unwrap())
}

fn name(n: usize) -> PackageName {
    PackageName::parse(&format!("acme/p{n}")).unwrap()
}

fn package(random: &mut Random, n: usize, versions: usize) -> PackageFacts {
    let mut found: Vec<_> = (0..versions)
        .map(|at| {
            let (text, references) = match at % 9 {
                8 => (format!("dev-b{at}"), 3),
                7 => (format!("{}.{at}.0-beta1", at % 3), 1),
                _ => (format!("{}.{at}.0", at % 3), 1),
            };
            let reference = |which| ReferenceFacts {
                reference: format!("{n:x}{at:x}{which:x}"),
                published_at: day(random.below(40)),
                current: which == 0,
            };
            StoredVersion {
                version: Version::parse(&text).unwrap(),
                pretty: text,
                aliases: Vec::new(),
                references: (0..references).map(reference).collect(),
                yanked: random.below(12) == 0,
                taken_down: (random.below(15) == 0).then(|| "malware".to_owned()),
            }
        })
        .collect();
    found.sort_by(|a, b| b.version.cmp(&a.version));
    PackageFacts { name: name(n), versions: found }
}

const CONSTRAINTS: [&str; 5] = ["*", "^1", "^2.3", "<2", "1.1.* || ^2.5"];

fn grant(random: &mut Random, id: usize, packages: usize) -> Grant {
    let target = match random.below(3) {
        0 => Target::Collection(CollectionId(format!("coll_{}", random.below(3)))),
        _ => Target::Package(name(random.below(packages))),
    };
    let mut grant = Grant::on(format!("grant_{id}"), target);
    grant.constraint = random.pick(&CONSTRAINTS).parse().unwrap();
    grant.minimum_stability = *random.pick(&[None, None, Some(Stability::Beta), Some(Stability::Dev)]);
    grant.updates_until = (random.below(2) == 0).then(|| day(random.below(45)));
    if random.below(6) == 0 {
        let since = (random.below(4) > 0).then(|| day(random.below(45)));
        grant.status = GrantStatus::Suspended { reason: None, since };
    }
    grant
}

fn customer(random: &mut Random, n: usize, packages: usize, world: &World) -> (CustomerId, Access) {
    let lapsed_at = (random.below(8) == 0).then(|| day(random.below(45)));
    let status = if lapsed_at.is_some() { CustomerStatus::Suspended { reason: None } } else { CustomerStatus::Active };
    let id = CustomerId(Uuid::from_u128(n as u128));
    let customer = Customer {
        id: id.to_string(),
        name: format!("customer {n}"),
        status,
        expires_at: (random.below(8) == 0).then(|| day(random.below(60))),
        minimum_stability: *random.pick(&[None, None, None, Some(Stability::Dev)]),
        lapsed_at,
        frozen: (random.below(8) == 0).then(|| freeze(random, world)),
        source_shown: None,
    };
    let grants = (0..random.below(4)).map(|at| grant(random, n * 10 + at, packages)).collect();
    (id, Access { token: Token::of_no_one(), customer, grants, policy: TenantPolicy::default() })
}

fn freeze(random: &mut Random, world: &World) -> Freeze {
    let mut freeze = Freeze::new(day(random.below(45)));
    for package in world.packages.values() {
        for version in package.versions.iter().filter(|_| random.below(3) == 0) {
            freeze.add(&package.name, &version.version, None);
        }
    }
    freeze
}

fn collection(random: &mut Random, n: usize, packages: usize) -> (CollectionId, Collection) {
    let id = CollectionId(format!("coll_{n}"));
    let mut globs: Vec<_> = (0..random.below(3)).map(|_| PackageGlob::exactly(&name(random.below(packages)))).collect();
    if random.below(3) == 0 {
        globs.push(PackageGlob::parse("acme/p1*").unwrap());
    }
    let constraint = (random.below(3) == 0).then(|| random.pick(&CONSTRAINTS).parse().unwrap());
    (id.clone(), Collection { id, packages: globs.into(), constraint, minimum_stability: None })
}

fn world(random: &mut Random, customers: usize) -> World {
    const PACKAGES: usize = 4;
    let mut world = World::default();
    world.packages = (0..PACKAGES).map(|n| (name(n), Arc::new(package(random, n, 12)))).collect();
    world.collections = Arc::new((0..3).map(|n| collection(random, n, PACKAGES)).collect());
    world.customers = Arc::new((0..customers).map(|n| customer(random, n, PACKAGES, &world)).collect());
    world
}

/// Another world, in which some of everything is otherwise.
fn edited(random: &mut Random, before: &World) -> World {
    let other = world(random, before.customers.len());
    let mut after = before.clone();
    let mut customers = (*before.customers).clone();
    for (id, access) in other.customers.iter() {
        match random.below(6) {
            0 => drop(customers.insert(*id, access.clone())),
            1 => drop(customers.remove(id)),
            _ => {}
        }
    }
    let lapsed = [Lapsed::Forbid, Lapsed::KeepMetadata, Lapsed::Keep];
    let policy = TenantPolicy {
        minimum_stability: None,
        lapsed_suspended: *random.pick(&lapsed),
        lapsed_expired: *random.pick(&lapsed),
    };
    customers.values_mut().for_each(|access| access.policy = policy);
    after.customers = Arc::new(customers);
    if random.below(2) == 0 {
        after.collections = other.collections;
    }
    for (name, package) in other.packages {
        match random.below(4) {
            0 => drop(after.packages.insert(name, package)),
            1 => drop(after.packages.remove(&name)),
            _ => {}
        }
    }
    after
}

/// Customer, package, version: whether each is gained or lost. Every customer asks for himself.
fn naive(before: &World, after: &World, now: DateTime<Utc>) -> BTreeSet<(CustomerId, String, String, bool)> {
    let seen = |world: &World, id: CustomerId| -> BTreeMap<(String, String, String), Sight> {
        let Some(access) = world.customers.get(&id) else { return BTreeMap::new() };
        let lookup = |id: &CollectionId| world.collections.get(id);
        let mut seen = BTreeMap::new();
        for package in world.packages.values() {
            let view = View::new(access, &lookup, &package.name, now);
            for (version, reference, facts) in package.facts() {
                let mut sight = view.sight(facts);
                sight.visible &= reference.current;
                let key = (package.name.to_string(), version.pretty.clone(), reference.reference.clone());
                seen.insert(key, sight);
            }
        }
        seen
    };
    let mut found = BTreeSet::new();
    for id in before.customers.keys().chain(after.customers.keys()) {
        let (old, new) = (seen(before, *id), seen(after, *id));
        for key in old.keys().chain(new.keys()) {
            let (a, b) = (old.get(key).copied().unwrap_or_default(), new.get(key).copied().unwrap_or_default());
            let (package, version, _) = key.clone();
            if (b.visible && !a.visible) || (b.installable && !a.installable) {
                found.insert((*id, package.clone(), version.clone(), true));
            }
            if (a.visible && !b.visible) || (a.installable && !b.installable) {
                found.insert((*id, package, version, false));
            }
        }
    }
    found
}

fn flat(changes: &Changes) -> BTreeSet<(CustomerId, String, String, bool)> {
    let mut found = BTreeSet::new();
    for (id, customer) in &changes.customers {
        for change in &customer.packages {
            for (versions, gained) in [(&change.gained, true), (&change.lost, false)] {
                for version in versions {
                    let new = found.insert((*id, change.package.to_string(), version.pretty.clone(), gained));
                    assert!(new, "{id} {version:?} stands twice");
                }
            }
        }
    }
    found
}

#[test]
fn against_everyone_alone() {
    let mut random = random();
    let mut changed = 0;
    for round in 0..300 {
        let before = world(&mut random, 12);
        let after = edited(&mut random, &before);
        let now = day(30 + random.below(30));
        let found = flat(&changes(&before, &after, now));
        assert_eq!(found, naive(&before, &after, now), "round {round}");
        changed += found.len();
        assert_eq!(changes(&after, &after, now), Changes::default(), "nothing changes nothing");
    }
    assert!(changed > 10_000, "there was something to find: {changed}");
}

/// The size that a tenant may have: the time is printed, and what is found is checked.
#[test]
fn ten_thousand_customers() {
    let mut random = random();
    let packages = (0..20).map(|n| (name(n), Arc::new(package(&mut random, n, 100)))).collect();
    let mut before = World { packages, ..World::default() };
    let customers = (0..10_000).map(|n| {
        let (id, mut access) = customer(&mut random, n, 20, &World::default());
        access.customer.frozen = None;
        access.grants = (0..20).map(|at| Grant { target: name(at).into(), ..grant(&mut random, at, 20) }).collect();
        (id, access)
    });
    before.customers = Arc::new(customers.collect());
    let mut after = before.clone();
    let narrowed = before.customers.iter().map(|(id, access)| {
        let mut access = access.clone();
        access.grants.iter_mut().for_each(|grant| grant.updates_until = Some(day(5)));
        (*id, access)
    });
    after.customers = Arc::new(narrowed.collect());
    let begun = Instant::now();
    let changes = changes(&before, &after, day(50));
    println!("10,000 customers x 20 packages x 100 versions: {:?}", begun.elapsed());
    assert!(changes.losing().len() > 5_000, "{}", changes.losing().len());
}
