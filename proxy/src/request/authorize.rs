//! Step 5: may this access do this, and which versions does it show.
//!
//! The rules themselves are `cargoman_licence::decide`; this file only asks them, and words the answer for each row of the table in
//! licences.md. A dist is decided here by (version, reference), never by reference alone and never by what metadata showed.

use cargoman_composer::name::PackageName;
use cargoman_composer::stability::Stability;
use cargoman_edge_protocol::{Access, Dist, Package, Tenant, Version};
use cargoman_licence::{
    Lapse, LapseKind, Rule, VersionFacts, View, decide, in_token_scope as in_scope, no_collections,
};
use chrono::{DateTime, Utc};

use super::refuse::Refusal;
use super::route::File;

/// Whether the bearer may read anything here at all.
pub(crate) fn enter(tenant: &Tenant, access: &Access, now: DateTime<Utc>) -> Result<(), Refusal> {
    if let Some(words) = &tenant.suspended {
        return Err(Refusal::TenantSuspended { words: words.clone() });
    }
    if !access.token.scope.reads() {
        return Err(Refusal::Scope { scope: access.token.scope.as_str() });
    }
    match cargoman_licence::refusal(access, now) {
        None => Ok(()),
        Some(Rule::Lapsed { lapse: Lapse { kind: LapseKind::Suspended, reason, .. } }) => {
            Err(Refusal::CustomerSuspended { reason })
        }
        Some(Rule::Lapsed { .. }) => Err(Refusal::CustomerExpired),
        Some(_) => Err(Refusal::Unauthorized),
    }
}

/// Whether the customer was given `package`, and the token is not narrowed to others.
pub(crate) fn covers(access: &Access, package: &PackageName) -> bool {
    has_grant(access, package) && in_scope(access, package)
}

/// Every package that the bearer may see something of, in order and once each.
pub(crate) fn covered(access: &Access) -> Vec<PackageName> {
    let mut names: Vec<PackageName> = access
        .grants
        .iter()
        .filter_map(|grant| grant.target.package())
        .filter(|name| in_scope(access, name))
        .cloned()
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Positions of the versions that stand in the bearer's metadata, in the package's order. `file` narrows to one of the two files.
pub(crate) fn visible(access: &Access, package: &Package, file: Option<File>, now: DateTime<Utc>) -> Vec<u32> {
    let wanted = |version: &Version| file.is_none_or(|file| file == file_of(version));
    let view = View::new(access, &no_collections, &package.name, now);
    let shown = |version: &Version| view.sight(facts(version, &version.reference, version.published_at)).visible;
    (0..)
        .zip(&package.versions)
        .filter(|(_, version)| wanted(version) && shown(version))
        .map(|(position, _)| position)
        .collect()
}

/// Which of the two files a version belongs to.
pub(crate) fn file_of(version: &Version) -> File {
    if version.version.stability() == Stability::Dev { File::Dev } else { File::Stable }
}

/// The archive at (`version`, `reference`), as in the path of a dist.
pub(crate) fn dist<'a>(
    tenant: &Tenant,
    access: &Access,
    package: &'a Package,
    (version, reference): (&str, &str),
    now: DateTime<Utc>,
) -> Result<&'a Dist, Refusal> {
    if !has_grant(access, &package.name) {
        return Err(Refusal::NotFound);
    }
    let version = package.versions.iter().find(|candidate| is_named(candidate, version)).ok_or(Refusal::NotFound)?;
    let (published_at, dist) = if version.reference == reference {
        (version.published_at, &version.dist)
    } else {
        let past = version.past.iter().find(|past| past.reference == reference).ok_or(Refusal::NotFound)?;
        (past.published_at, &past.dist)
    };
    let decision = decide(access, &no_collections, &package.name, facts(version, reference, published_at), now);
    if decision.installable { Ok(dist) } else { Err(hidden(tenant, &package.name, version, &decision.rule)) }
}

/// The path segment that names a version: as it is, or its MD5 where it would not be one plain segment.
pub(crate) fn segment(version: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+@-".contains(&byte);
    if version.bytes().all(plain) { version.to_owned() } else { md5_hex(version) }
}

/// Clients put the version itself or its MD5 into a mirror's URL, depending on the slash in it; both name it.
fn is_named(version: &Version, segment: &str) -> bool {
    let normalized = version.version.normalized();
    normalized == segment || (segment.len() == 32 && md5_hex(normalized) == segment)
}

fn md5_hex(text: &str) -> String {
    use md5::Digest as _;
    use std::fmt::Write as _;
    md5::Md5::digest(text.as_bytes()).iter().fold(String::with_capacity(32), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn facts<'a>(version: &'a Version, reference: &'a str, published_at: DateTime<Utc>) -> VersionFacts<'a> {
    VersionFacts {
        version: &version.version,
        aliases: &version.aliases,
        reference,
        published_at,
        yanked: version.yanked,
        taken_down: None,
    }
}

fn has_grant(access: &Access, package: &PackageName) -> bool {
    access.grants.iter().any(|grant| grant.target.package() == Some(package))
}

/// The refusal of a dist that is there, for a customer who has something of its package.
fn hidden(tenant: &Tenant, package: &PackageName, version: &Version, rule: &Rule) -> Refusal {
    let by_date_alone = if let Rule::Hidden { renewable, .. } = rule { *renewable } else { None };
    match by_date_alone {
        Some(until) => Refusal::BeyondUpdates {
            package: package.as_str().to_owned(),
            version: pretty(version),
            until,
            renew: tenant.canonical_url.clone(),
        },
        None => Refusal::NotGranted { package: package.as_str().to_owned() },
    }
}

fn pretty(version: &Version) -> String {
    let written = version.metadata.get("version").and_then(serde_json::Value::as_str);
    written.unwrap_or_else(|| version.version.normalized()).to_owned()
}

#[cfg(test)]
mod tests {
    use cargoman_composer::constraint::Constraint;
    use cargoman_composer::version::Version as NormalizedVersion;
    use cargoman_credential::Digest;
    use cargoman_edge_protocol::{Source, TenantId};
    use cargoman_licence::{Customer, CustomerStatus, Grant, PackageGlob, Scope, TenantPolicy, Token};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn segments() {
        for plain in ["1.0.0.0", "dev-main", "1.0.0.0-beta1", "dev-a+b", "2.x-dev"] {
            assert_eq!(segment(plain), plain);
        }
        // RFC 1321, appendix A.5.
        assert_eq!(md5_hex("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
        for odd in ["dev-feature/x", "dev-a#b", "dev-é", "dev-a%b", "dev-a b", "dev-a?b"] {
            assert_eq!(segment(odd), md5_hex(odd));
        }
    }

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
        }
    }

    /// Versions of few numbers, days and references, so that many share a commit or a date.
    fn a_version() -> impl Strategy<Value = Version> {
        let pretty = prop::sample::select(vec![
            "1.0.0",
            "1.1.0",
            "2.0.0-beta1",
            "2.0.0",
            "dev-main",
            "1.x-dev",
            "dev-feature/x",
        ]);
        (pretty, 0_u8..4, any::<bool>(), 0_u8..3).prop_map(|(pretty, day, yanked, reference)| Version {
            version: NormalizedVersion::parse(pretty).unwrap(),
            aliases: Vec::new(),
            published_at: day_number(day),
            yanked,
            taken_down: None,
            deprecated: None,
            reference: format!("{reference:040x}"),
            dist: Dist { sha256: Digest::of(pretty.as_bytes()), sha1: String::new(), size: 1 },
            metadata: serde_json::Map::new(),
            past: Vec::new(),
        })
    }

    fn a_grant() -> impl Strategy<Value = Grant> {
        let package = prop::sample::select(vec!["acme/pay", "acme/other"]);
        let constraint = prop::sample::select(vec!["*", "^1.0", "^2.0", "dev-main", ">=1.1"]);
        let stability = prop::sample::select(vec![None, Some(Stability::Beta), Some(Stability::Dev)]);
        (package, constraint, stability, prop::option::of(0_u8..4)).prop_map(
            |(package, constraint, stability, until)| Grant {
                constraint: Constraint::parse(constraint).unwrap(),
                minimum_stability: stability,
                updates_until: until.map(day_number),
                ..Grant::on(
                    format!("{package} {constraint} {stability:?} {until:?}"),
                    PackageName::parse(package).unwrap(),
                )
            },
        )
    }

    fn an_access() -> impl Strategy<Value = Access> {
        let scopes = prop::sample::select(vec![vec![], vec!["acme/*"], vec!["acme/other"]]);
        (prop::collection::vec(a_grant(), 0..4), scopes).prop_map(|(grants, scopes)| Access {
            token: Token {
                id: "tok_id_1".to_owned(),
                last_four: "abcd".to_owned(),
                scope: Scope::Download,
                package_scopes: scopes.into_iter().map(|scope| PackageGlob::parse(scope).unwrap()).collect(),
                expires_at: None,
                revoked_at: None,
            },
            customer: Customer {
                id: "cust_1".to_owned(),
                name: "Shop".to_owned(),
                status: CustomerStatus::Active,
                expires_at: None,
                minimum_stability: None,
                lapsed_at: None,
                frozen: None,
                source_shown: None,
            },
            grants,
            policy: TenantPolicy::default(),
        })
    }

    proptest! {
        /// Rule 6: in metadata if and only if the dist answers, but for yanked versions; and 404 exactly without a grant (rule 7).
        #[test]
        fn metadata_and_dists_agree(access in an_access(), versions in prop::collection::vec(a_version(), 0..8)) {
            let mut seen = std::collections::HashSet::new();
            let versions: Vec<Version> =
                versions.into_iter().filter(|version| seen.insert(version.version.normalized().to_owned())).collect();
            let package = Package { name: pay(), abandoned: None, source_url: None, source: None, versions };
            let now = day_number(100);
            let shown = visible(&access, &package, None, now);
            let mut of_files = [visible(&access, &package, Some(File::Stable), now), visible(&access, &package, Some(File::Dev), now)].concat();
            of_files.sort_unstable();
            prop_assert_eq!(&of_files, &shown);
            for (position, version) in (0..).zip(&package.versions) {
                let named = segment(version.version.normalized());
                let answer = dist(&tenant(), &access, &package, (&named, &version.reference), now);
                prop_assert_eq!(answer.is_ok() && !version.yanked, shown.contains(&position));
                let has_grant = access.grants.iter().any(|grant| grant.target.package() == Some(&pay()));
                prop_assert_eq!(answer == Err(Refusal::NotFound), !has_grant);
                if !covers(&access, &pay()) {
                    prop_assert!(answer.is_err() && !shown.contains(&position));
                }
            }
        }
    }
}
