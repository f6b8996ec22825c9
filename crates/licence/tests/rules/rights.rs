//! Accesses of equal rights see the same, and time changes nothing before it says so.

use cargoman_licence::{Access, Rights, Sight};
use chrono::{DateTime, Duration, Utc};

use crate::build::{Built, Known, build, known};
use crate::random::Random;
use crate::{count, seed, world};

fn key(access: &Access, now: DateTime<Utc>) -> String {
    serde_json::to_string(&Rights::of(access, now)).unwrap()
}

fn sights(built: &Built, known: &[Known]) -> Vec<Sight> {
    known.iter().map(|one| built.sight(one)).collect()
}

fn worlds() -> impl Iterator<Item = (Random, Built, Vec<Known>)> {
    let mut random = Random::new(seed());
    (0..count(2_000)).map(move |_| {
        let mut random = Random::new(random.next());
        let built = build(&world::world(&mut random));
        let known = world::asked(&mut random).iter().map(known).collect();
        (random, built, known)
    })
}

/// Whatever is taken over from another access: where it shows, the rights are others.
#[test]
fn what_shows_is_in_the_key() {
    let changes: [fn(&mut Access, &Access); 14] = [
        |access, other| access.token.scope = other.token.scope,
        |access, other| access.token.package_scopes.clone_from(&other.token.package_scopes),
        |access, other| access.token.expires_at = other.token.expires_at,
        |access, other| access.token.revoked_at = other.token.revoked_at,
        |access, other| access.customer.status.clone_from(&other.customer.status),
        |access, other| access.customer.expires_at = other.customer.expires_at,
        |access, other| access.customer.lapsed_at = other.customer.lapsed_at,
        |access, other| access.customer.minimum_stability = other.customer.minimum_stability,
        |access, other| access.customer.frozen.clone_from(&other.customer.frozen),
        |access, other| access.policy = other.policy,
        |access, other| access.grants.clone_from(&other.grants),
        |access, _| drop(access.grants.pop()),
        |access, _| access.grants.iter_mut().for_each(|grant| grant.updates_until = None),
        |access, other| access.clone_from(other),
    ];
    let (mut equal, mut other_sights) = (0, 0);
    for (mut random, built, known) in worlds() {
        let other = build(&world::world(&mut random)).access;
        for change in changes {
            let changed = built.with(|access| change(access, &other));
            let same_key = key(&built.access, built.now) == key(&changed.access, changed.now);
            let same_sight = sights(&built, &known) == sights(&changed, &known);
            assert!(same_sight || !same_key, "{:#?}\n{:#?}", built.access, changed.access);
            equal += u32::from(same_key);
            other_sights += u32::from(!same_sight);
        }
    }
    assert!(equal > count(2_000) && other_sights > count(200), "the worlds are too plain: {equal}, {other_sights}");
}

#[test]
fn names_are_not() {
    for (_, built, _) in worlds().take(200) {
        let named = built.with(|access| {
            access.token.id.push('x');
            access.token.last_four.push('x');
            access.customer.id.push('x');
            access.customer.name.push('x');
            access.grants.iter_mut().for_each(|grant| grant.id.push('x'));
        });
        assert_eq!(key(&built.access, built.now), key(&named.access, named.now));
    }
}

#[test]
fn time_changes_nothing_before_it_says_so() {
    for (mut random, built, known) in worlds() {
        let later = built.now + Duration::hours(i64::try_from(random.below(24 * 30)).unwrap());
        if built.access.unchanged_until(built.now).is_some_and(|until| until <= later) {
            continue;
        }
        let moved = Built { now: later, ..built.clone() };
        assert_eq!(sights(&built, &known), sights(&moved, &known), "{:#?}", built.access);
        assert_eq!(key(&built.access, built.now), key(&built.access, later));
    }
}
