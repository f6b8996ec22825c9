//! Rule 6 over random rights: what stands in metadata installs, and what installs stands in metadata.

use cargoman_composer::constraint::Constraint;
use cargoman_composer::name::PackageName;
use cargoman_composer::stability::Stability;
use cargoman_composer::version::Version as NormalizedVersion;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{Access, Dist, Package, Source, Tenant, TenantId, Version};
use cargoman_licence::{
    Collection, CollectionId, Customer, CustomerStatus, Freeze, Grant, GrantStatus, Lapsed, PackageGlob, Scope, Target,
    TenantPolicy, Token,
};
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::cache::Known;
use crate::cache::collections::Held;
use crate::request::route::File;
use crate::request::segment::segment;

fn day_number(day: u8) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + i64::from(day) * 86_400, 0).unwrap()
}

fn pay() -> PackageName {
    PackageName::parse("acme/pay").unwrap()
}

fn tenant() -> Tenant {
    Tenant {
        id: TenantId(Uuid::from_u128(1)),
        slug: "acme".to_owned(),
        canonical_url: "https://acme.example".to_owned(),
        suspended: None,
        vendors: Vec::new(),
        source: Source::Hide,
        policy: Default::default(),
        messages: Default::default(),
        outage: Default::default(),
        dist_redirects: false,
    }
}

/// Versions of few numbers, days and references, so that many share a commit or a date.
fn a_version() -> impl Strategy<Value = Version> {
    let pretty =
        prop::sample::select(vec!["1.0.0", "1.1.0", "2.0.0-beta1", "2.0.0", "dev-main", "1.x-dev", "dev-feature/x"]);
    let taken_down = prop::option::weighted(0.2, Just("malware".to_owned()));
    (pretty, 0_u8..4, any::<bool>(), 0_u8..3, taken_down).prop_map(|(pretty, day, yanked, reference, taken_down)| {
        Version {
            version: NormalizedVersion::parse(pretty).unwrap(),
            aliases: Vec::new(),
            published_at: day_number(day),
            yanked,
            taken_down,
            deprecated: None,
            reference: format!("{reference:040x}"),
            dist: Dist { sha256: Digest::of(pretty.as_bytes()), sha1: String::new(), size: 1 },
            metadata: Default::default(),
            past: Vec::new(),
        }
    })
}

fn a_grant() -> impl Strategy<Value = Grant> {
    let target = prop::sample::select(vec![
        Target::Package(pay()),
        Target::Package(PackageName::parse("acme/other").unwrap()),
        Target::Collection(CollectionId("coll_names".to_owned())),
        Target::Collection(CollectionId("coll_pattern".to_owned())),
        Target::Collection(CollectionId("coll_gone".to_owned())),
    ]);
    let suspended = GrantStatus::Suspended { reason: Some("unpaid".to_owned()), since: Some(day_number(2)) };
    let unknown = GrantStatus::Suspended { reason: None, since: None };
    let status = prop::sample::select(vec![GrantStatus::Active, GrantStatus::Active, suspended, unknown]);
    let constraint = prop::sample::select(vec!["*", "^1.0", "^2.0", "dev-main", ">=1.1"]);
    let stability = prop::sample::select(vec![None, Some(Stability::Beta), Some(Stability::Dev)]);
    (target, constraint, stability, prop::option::of(0_u8..4), status).prop_map(
        |(target, constraint, stability, until, status)| Grant {
            constraint: Constraint::parse(constraint).unwrap(),
            minimum_stability: stability,
            updates_until: until.map(day_number),
            status,
            ..Grant::on("grant_1", target)
        },
    )
}

fn a_freeze() -> impl Strategy<Value = Freeze> {
    (prop::collection::vec(prop::sample::select(vec!["1.0.0", "2.0.0", "dev-main"]), 0..3), 0_u8..5).prop_map(
        |(versions, since)| {
            let mut freeze = Freeze::new(day_number(since));
            for version in versions {
                freeze.add(&pay(), &NormalizedVersion::parse(version).unwrap(), None);
            }
            freeze
        },
    )
}

/// Suspended, expired or neither; frozen or not; and what the tenant leaves.
fn a_customer() -> impl Strategy<Value = (Customer, TenantPolicy)> {
    let status = prop::sample::select(vec![
        CustomerStatus::Active,
        CustomerStatus::Active,
        CustomerStatus::Suspended { reason: None },
    ]);
    let left = || prop::sample::select(vec![Lapsed::Forbid, Lapsed::KeepMetadata, Lapsed::Keep]);
    let days = || prop::option::weighted(0.3, 0_u8..5);
    (status, days(), days(), prop::option::weighted(0.3, a_freeze()), left(), left()).prop_map(
        |(status, expires, lapsed, frozen, lapsed_suspended, lapsed_expired)| {
            let customer = Customer {
                id: "cust_1".to_owned(),
                name: "Shop".to_owned(),
                status,
                expires_at: expires.map(day_number),
                minimum_stability: None,
                lapsed_at: lapsed.map(day_number),
                frozen,
                source_shown: None,
            };
            (customer, TenantPolicy { minimum_stability: None, lapsed_suspended, lapsed_expired })
        },
    )
}

fn an_access() -> impl Strategy<Value = Access> {
    let scopes = prop::sample::select(vec![vec![], vec!["acme/*"], vec!["acme/other"]]);
    (prop::collection::vec(a_grant(), 0..4), scopes, a_customer()).prop_map(|(grants, scopes, (customer, policy))| {
        Access {
            token: Token {
                id: "tok_id_1".to_owned(),
                last_four: "abcd".to_owned(),
                scope: Scope::Download,
                package_scopes: scopes.into_iter().map(|scope| PackageGlob::parse(scope).unwrap()).collect(),
                expires_at: None,
                revoked_at: None,
            },
            customer,
            grants,
            policy,
        }
    })
}

/// One collection that names the package, one that has it by pattern and shows `^1` of it alone.
fn held() -> Held {
    let collection = |id: &str, member: &str, constraint: Option<&str>| {
        let id = CollectionId(id.to_owned());
        let value = Collection {
            id: id.clone(),
            packages: vec![PackageGlob::parse(member).unwrap()].into(),
            constraint: constraint.map(|text| Constraint::parse(text).unwrap()),
            minimum_stability: None,
        };
        (id, Known::sample(1, value))
    };
    let collections =
        vec![collection("coll_names", "acme/pay", None), collection("coll_pattern", "acme/*", Some("^1"))];
    Held { collections, directory: None }
}

fn given(grant: &Grant) -> bool {
    match &grant.target {
        Target::Package(name) => *name == pay(),
        Target::Collection(id) => id.0 != "coll_gone",
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// In metadata if and only if the dist answers, but for yanked versions and where a lapse leaves metadata alone; and 404
    /// exactly without a grant (rule 7).
    #[test]
    fn metadata_and_dists_agree(access in an_access(), versions in prop::collection::vec(a_version(), 0..8)) {
        let mut seen = std::collections::HashSet::new();
        let versions: Vec<Version> =
            versions.into_iter().filter(|version| seen.insert(version.version.normalized().to_owned())).collect();
        let package = Package { name: pay(), abandoned: None, source_url: None, source: None, versions };
        let package = KeptPackage::try_from(package).unwrap();
        let (tenant, held) = (tenant(), held());
        let bearer = Bearer { tenant: &tenant, access: &access, held: &held, token_id: "", rights: None, now: day_number(100) };
        let shown = bearer.visible(&package, None);
        prop_assert_eq!(bearer.sees(&package), !shown.is_empty());
        let mut of_files =
            [bearer.visible(&package, Some(File::Stable)), bearer.visible(&package, Some(File::Dev))].concat();
        of_files.sort_unstable();
        prop_assert_eq!(&of_files, &shown);
        let entered = enter(&bearer).is_ok();
        let policy = access.policy;
        let metadata_alone = [policy.lapsed_suspended, policy.lapsed_expired].contains(&Lapsed::KeepMetadata);
        for (position, version) in (0..).zip(&package.versions) {
            let named = segment(version.version.normalized());
            let answer = dist(&bearer, &package, (&named, &version.reference));
            let in_metadata = shown.contains(&position);
            if answer.is_ok() {
                prop_assert!(in_metadata || version.yanked);
            } else {
                prop_assert!(!in_metadata || metadata_alone);
            }
            prop_assert!(!in_metadata || (!version.yanked && version.taken_down.is_none()));
            prop_assert!(answer.is_err() || version.taken_down.is_none());
            let has_grant = access.grants.iter().any(given);
            prop_assert_eq!(answer == Err(Refusal::NotFound), !has_grant);
            if !entered || !bearer.covers(&pay()) {
                prop_assert!(answer.is_err() && !in_metadata);
            }
        }
    }
}
