//! From plain words to the types of the crate.

use std::collections::HashMap;

use cargoman_composer::constraint::Constraint;
use cargoman_composer::name::PackageName;
use cargoman_composer::version::Version;
use cargoman_licence::{
    Access, Collection, CollectionId, Customer, CustomerStatus, Decision, Freeze, Grant, GrantStatus, Lapsed, Members,
    PackageGlob, Scope, Sight, Target, TenantPolicy, Token, VersionFacts, View, decide,
};
use chrono::{DateTime, Duration, Utc};

use crate::world::{Asked, Collected, Frozen, Given, Left, Status, World};

/// What stands in for a world: an access with its collections.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    pub(crate) access: Access,
    pub(crate) collections: HashMap<CollectionId, Collection>,
    pub(crate) now: DateTime<Utc>,
}

/// One (version, reference) of a package.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) package: PackageName,
    pub(crate) version: Version,
    pub(crate) aliases: Vec<Version>,
    pub(crate) reference: String,
    pub(crate) published_at: DateTime<Utc>,
    pub(crate) yanked: bool,
    pub(crate) taken_down: Option<&'static str>,
}

impl Built {
    pub(crate) fn view(&self, package: &PackageName) -> View<'_> {
        View::new(&self.access, &|id| self.collections.get(id), package, self.now)
    }

    pub(crate) fn decide(&self, known: &Known) -> Decision {
        decide(&self.access, &|id| self.collections.get(id), &known.package, known.facts(), self.now)
    }

    pub(crate) fn sight(&self, known: &Known) -> Sight {
        self.view(&known.package).sight(known.facts())
    }

    /// The same with a change.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Access)) -> Self {
        let mut changed = self.clone();
        change(&mut changed.access);
        changed
    }
}

impl Known {
    pub(crate) fn facts(&self) -> VersionFacts<'_> {
        VersionFacts {
            version: &self.version,
            aliases: &self.aliases,
            reference: &self.reference,
            published_at: self.published_at,
            yanked: self.yanked,
            taken_down: self.taken_down,
        }
    }
}

pub(crate) fn day(number: i64) -> DateTime<Utc> {
    at("2025-01-01") + Duration::days(number)
}

/// `2025-01-15`, or an instant of RFC 3339.
pub(crate) fn at(text: &str) -> DateTime<Utc> {
    let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    DateTime::parse_from_rfc3339(&text).unwrap().to_utc()
}

pub(crate) fn name(text: &str) -> PackageName {
    PackageName::parse(text).unwrap()
}

pub(crate) fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

pub(crate) fn globs(texts: &[&str]) -> Vec<PackageGlob> {
    texts.iter().map(|text| PackageGlob::parse(text).unwrap()).collect()
}

/// A grant on a package.
pub(crate) fn grant(id: &str, package: &str, constraint: &str) -> Grant {
    Grant { constraint: Constraint::parse(constraint).unwrap(), ..Grant::on(id, name(package)) }
}

/// An active customer with a good token and these grants.
pub(crate) fn access(grants: Vec<Grant>) -> Access {
    let token = Token { id: "tok_id_1".to_owned(), last_four: "abcd".to_owned(), ..Token::of_no_one() };
    let customer = Customer {
        id: "cust_1".to_owned(),
        name: "Shop".to_owned(),
        status: CustomerStatus::Active,
        expires_at: None,
        minimum_stability: None,
        lapsed_at: None,
        frozen: None,
        source_shown: None,
    };
    Access { token, customer, grants, policy: TenantPolicy::default() }
}

pub(crate) fn build(world: &World) -> Built {
    let stability = |text: Option<&str>| text.map(|text| text.parse().unwrap());
    let mut access = access(world.grants.iter().zip(0..).map(given).collect());
    access.token.scope = if world.webhook { Scope::Webhook } else { Scope::Download };
    access.token.package_scopes = globs(world.token_scopes);
    access.token.expires_at = world.token_expires.map(day);
    access.token.revoked_at = world.token_revoked.map(day);
    access.customer.status = match world.status {
        Status::Active => CustomerStatus::Active,
        Status::Suspended => CustomerStatus::Suspended { reason: Some("unpaid".to_owned()) },
        Status::Expired => CustomerStatus::Expired,
    };
    access.customer.lapsed_at = world.lapsed_at.map(day);
    access.customer.expires_at = world.expires_at.map(day);
    access.customer.frozen = world.frozen.as_ref().map(frozen);
    access.customer.minimum_stability = stability(world.customer_stability);
    access.policy = TenantPolicy {
        minimum_stability: stability(world.tenant_stability),
        lapsed_suspended: left(world.left_suspended),
        lapsed_expired: left(world.left_expired),
    };
    let collections = world.collections.iter().map(collected).map(|found| (found.id.clone(), found)).collect();
    Built { access, collections, now: day(world.now) }
}

pub(crate) fn known(asked: &Asked) -> Known {
    Known {
        package: name(asked.package),
        version: version(asked.version),
        aliases: asked.alias.map(version).into_iter().collect(),
        reference: asked.reference.to_owned(),
        published_at: day(asked.published),
        yanked: asked.yanked,
        taken_down: asked.taken_down.then_some("malware"),
    }
}

fn given((given, number): (&Given, u32)) -> Grant {
    let target = match (given.package, given.collection) {
        (Some(package), _) => Target::Package(name(package)),
        (None, id) => Target::Collection(CollectionId(id.unwrap().to_owned())),
    };
    Grant {
        constraint: Constraint::parse(given.constraint).unwrap(),
        minimum_stability: given.stability.map(|text| text.parse().unwrap()),
        updates_until: given.until.map(day),
        status: match given.suspended {
            true => GrantStatus::Suspended { reason: Some("card".to_owned()), since: given.suspended_at.map(day) },
            false => GrantStatus::Active,
        },
        ..Grant::on(format!("grant_{number}"), target)
    }
}

fn collected(collected: &Collected) -> Collection {
    Collection {
        id: CollectionId(collected.id.to_owned()),
        packages: Members::from(globs(collected.packages)),
        constraint: collected.constraint.map(|text| Constraint::parse(text).unwrap()),
        minimum_stability: collected.stability.map(|text| text.parse().unwrap()),
    }
}

fn frozen(frozen: &Frozen) -> Freeze {
    let mut freeze = Freeze::new(day(frozen.since));
    for (package, text, reference) in &frozen.pairs {
        freeze.add(&name(package), &version(text), *reference);
    }
    freeze
}

fn left(left: Left) -> Lapsed {
    match left {
        Left::Forbid => Lapsed::Forbid,
        Left::KeepMetadata => Lapsed::KeepMetadata,
        Left::Keep => Lapsed::Keep,
    }
}
