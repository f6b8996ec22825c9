//! A random world in plain words: a customer, his token, his grants, and the versions asked about. Days are numbers, names are
//! texts; nothing here comes from the crate under test.

use crate::random::Random;

pub(crate) const PACKAGES: [&str; 3] = ["acme/pay", "acme/cart", "other/pay"];
pub(crate) const VERSIONS: [&str; 11] = [
    "1.0.0",
    "1.0.0-beta1",
    "1.1.0",
    "2.0.0-RC1",
    "2.0.0-alpha1",
    "2.0.0",
    "2.1.0",
    "3.0.0-beta2",
    "dev-main",
    "1.x-dev",
    "dev-feature/x",
];
pub(crate) const CONSTRAINTS: [&str; 11] =
    ["*", "*", "^1.0", "^2.0", ">=1.1 <2.1", "2.0.0", "dev-main", "^1.0 || ^3.0", "!=1.0.0", "^2.0@dev", "1.x-dev"];
const STABILITIES: [&str; 5] = ["stable", "RC", "beta", "alpha", "dev"];
const MEMBERS: [&[&str]; 5] = [&["acme/*"], &["acme/pay"], &["other/pay", "acme/cart"], &["*/pay"], &[]];
const SCOPES: [&[&str]; 4] = [&["acme/*"], &["acme/pay", "acme/cart"], &["other/*"], &["acme/*", "*/pay"]];
const COLLECTIONS: [&str; 3] = ["coll_a", "coll_b", "coll_missing"];
const REFERENCES: [&str; 2] = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"];
const LEFT: [Left; 3] = [Left::Forbid, Left::KeepMetadata, Left::Keep];

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Left {
    Forbid,
    KeepMetadata,
    Keep,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Status {
    Active,
    Suspended,
    Expired,
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) now: i64,
    pub(crate) webhook: bool,
    pub(crate) token_scopes: &'static [&'static str],
    pub(crate) token_expires: Option<i64>,
    pub(crate) token_revoked: Option<i64>,
    pub(crate) status: Status,
    pub(crate) lapsed_at: Option<i64>,
    pub(crate) expires_at: Option<i64>,
    pub(crate) frozen: Option<Frozen>,
    pub(crate) customer_stability: Option<&'static str>,
    pub(crate) tenant_stability: Option<&'static str>,
    pub(crate) left_suspended: Left,
    pub(crate) left_expired: Left,
    pub(crate) grants: Vec<Given>,
    pub(crate) collections: Vec<Collected>,
}

#[derive(Debug, Clone)]
pub(crate) struct Frozen {
    pub(crate) since: i64,
    /// Package, version, reference.
    pub(crate) pairs: Vec<(&'static str, &'static str, Option<&'static str>)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) package: Option<&'static str>,
    pub(crate) collection: Option<&'static str>,
    pub(crate) constraint: &'static str,
    pub(crate) stability: Option<&'static str>,
    pub(crate) until: Option<i64>,
    pub(crate) suspended: bool,
    pub(crate) suspended_at: Option<i64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Collected {
    pub(crate) id: &'static str,
    pub(crate) packages: &'static [&'static str],
    pub(crate) constraint: Option<&'static str>,
    pub(crate) stability: Option<&'static str>,
}

/// A (version, reference) that is asked about.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// What a branch also goes by.
    pub(crate) alias: Option<&'static str>,
    pub(crate) reference: &'static str,
    pub(crate) published: i64,
    pub(crate) yanked: bool,
    pub(crate) taken_down: bool,
}

fn day(random: &mut Random) -> i64 {
    i64::try_from(random.below(10)).unwrap()
}

/// A customer of few packages, versions and days, so that most things meet.
pub(crate) fn world(random: &mut Random) -> World {
    let stability = |random: &mut Random| random.pick(&STABILITIES);
    let grants = random.below(5);
    World {
        now: 5 + day(random) / 2,
        webhook: random.percent(3),
        token_scopes: random.maybe(25, |random| random.pick(&SCOPES)).unwrap_or_default(),
        token_expires: random.maybe(8, day),
        token_revoked: random.maybe(5, day),
        status: random.pick(&[Status::Active, Status::Active, Status::Active, Status::Suspended, Status::Expired]),
        lapsed_at: random.maybe(85, day),
        expires_at: random.maybe(25, day),
        frozen: random.maybe(25, frozen),
        customer_stability: random.maybe(30, stability),
        tenant_stability: random.maybe(30, stability),
        left_suspended: random.pick(&LEFT),
        left_expired: random.pick(&LEFT),
        grants: (0..grants).map(|_| given(random)).collect(),
        collections: COLLECTIONS[..2].iter().map(|id| collected(id, random)).collect(),
    }
}

fn frozen(random: &mut Random) -> Frozen {
    let mut pairs = Vec::new();
    for package in PACKAGES {
        for version in VERSIONS {
            for _ in 0..2 {
                if random.percent(45) {
                    pairs.push((package, version, random.maybe(40, |random| random.pick(&REFERENCES))));
                }
            }
        }
    }
    Frozen { since: day(random) + 2, pairs }
}

fn given(random: &mut Random) -> Given {
    let on_package = random.percent(65);
    Given {
        package: on_package.then(|| random.pick(&PACKAGES)),
        collection: (!on_package).then(|| random.pick(&COLLECTIONS)),
        constraint: random.pick(&CONSTRAINTS),
        stability: random.maybe(40, |random| random.pick(&STABILITIES)),
        until: random.maybe(40, day),
        suspended: random.percent(20),
        suspended_at: random.maybe(85, day),
    }
}

fn collected(id: &'static str, random: &mut Random) -> Collected {
    Collected {
        id,
        packages: random.pick(&MEMBERS),
        constraint: random.maybe(40, |random| random.pick(&CONSTRAINTS)),
        stability: random.maybe(30, |random| random.pick(&STABILITIES)),
    }
}

/// Every version of every package, once each, with random dates.
pub(crate) fn asked(random: &mut Random) -> Vec<Asked> {
    let mut asked = Vec::new();
    for package in PACKAGES {
        for version in VERSIONS {
            asked.push(Asked {
                package,
                version,
                alias: if version == "dev-main" { random.maybe(60, |_| "2.x-dev") } else { None },
                reference: random.pick(&REFERENCES),
                published: day(random),
                yanked: random.percent(10),
                taken_down: random.percent(5),
            });
        }
    }
    asked
}
