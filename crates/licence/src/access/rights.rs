//! Which accesses see the same. Two with equal [`Rights`] see and install the same versions of every package, as long as the
//! collections their grants name are the same: so what was worked out for one holds for the other. What must never happen is that
//! something a rule of this crate looks at is missing here; more than that only costs sharing.

use std::collections::BTreeSet;

use cargoman_composer::constraint::Constraint;
use cargoman_composer::name::PackageName;
use cargoman_composer::stability::Stability;
use cargoman_composer::version::Version;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Access;
use crate::decide::token_fault;
use crate::{CustomerStatus, Freeze, Grant, GrantStatus, PackageGlob, Target, TenantPolicy};

/// All of an access that its rights depend on, at one instant. Compare it as it is serialized.
#[derive(Debug, Serialize)]
pub struct Rights<'a> {
    token_is_good: bool,
    package_scopes: &'a [PackageGlob],
    status: &'a CustomerStatus,
    lapsed_at: Option<DateTime<Utc>>,
    /// Only once it has come: until then it says nothing.
    expired_at: Option<DateTime<Utc>>,
    frozen: Option<Frozen<'a>>,
    minimum_stability: Option<Stability>,
    source_shown: Option<bool>,
    grants: Vec<Given<'a>>,
    policy: &'a TenantPolicy,
}

/// A freeze in one order.
#[derive(Debug, Serialize)]
struct Frozen<'a> {
    since: DateTime<Utc>,
    packages: Vec<(&'a PackageName, Vec<Held<'a>>)>,
}

/// A version with the references of it that count.
type Held<'a> = (&'a Version, &'a Option<BTreeSet<String>>);

/// A grant without what it is called.
type Given<'a> = (&'a Target, &'a Constraint, Option<Stability>, Option<DateTime<Utc>>, &'a GrantStatus);

impl<'a> Rights<'a> {
    /// The rights of an access at `now`.
    #[must_use]
    pub fn of(access: &'a Access, now: DateTime<Utc>) -> Self {
        let Access { token, customer, grants, policy } = access;
        Self {
            token_is_good: token_fault(access, now).is_none(),
            package_scopes: &token.package_scopes,
            status: &customer.status,
            lapsed_at: customer.lapsed_at,
            expired_at: customer.expires_at.filter(|at| *at <= now),
            frozen: customer.frozen.as_ref().map(Frozen::of),
            minimum_stability: customer.minimum_stability,
            source_shown: customer.source_shown,
            grants: grants.iter().map(given).collect(),
            policy,
        }
    }
}

impl<'a> Frozen<'a> {
    fn of(freeze: &'a Freeze) -> Self {
        let packages = freeze.packages.iter().map(|(package, versions)| {
            let mut versions: Vec<_> = versions.iter().collect();
            versions.sort_unstable();
            (package, versions)
        });
        Self { since: freeze.since, packages: packages.collect() }
    }
}

fn given(grant: &Grant) -> Given<'_> {
    (&grant.target, &grant.constraint, grant.minimum_stability, grant.updates_until, &grant.status)
}

impl Access {
    /// The next instant after `now` at which time alone changes what it sees, if there is one.
    #[must_use]
    pub fn unchanged_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let instants = [self.token.expires_at, self.token.revoked_at, self.customer.expires_at];
        instants.into_iter().flatten().filter(|at| *at > now).min()
    }
}
