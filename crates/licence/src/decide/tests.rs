use cargoman_composer::constraint::Constraint;
use proptest::prelude::*;

use super::*;
use crate::{Customer, PackageGlob, Scope, Token};

fn at(text: &str) -> DateTime<Utc> {
    let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    DateTime::parse_from_rfc3339(&text).unwrap().to_utc()
}

fn grant(id: &str, constraint: &str) -> Grant {
    Grant {
        id: id.to_owned(),
        package: PackageName::parse("acme/pay").unwrap(),
        constraint: Constraint::parse(constraint).unwrap(),
        minimum_stability: None,
        updates_until: None,
    }
}

fn access(grants: Vec<Grant>) -> Access {
    Access {
        token: Token {
            id: "tok_id_1".to_owned(),
            last_four: "abcd".to_owned(),
            scope: Scope::Download,
            package_scopes: Vec::new(),
            expires_at: None,
            revoked_at: None,
        },
        customer: Customer {
            id: "cust_1".to_owned(),
            name: "Shop".to_owned(),
            status: CustomerStatus::Active,
            expires_at: None,
            minimum_stability: None,
        },
        grants,
    }
}

const NOW: &str = "2026-01-01";

/// The package of the worked examples in licences.md.
fn acme_pay() -> Vec<(Version, DateTime<Utc>)> {
    [
        ("1.0.0", "2024-01-10"),
        ("1.1.0", "2024-06-01"),
        ("2.0.0-beta1", "2024-09-01"),
        ("2.0.0", "2025-01-15"),
        ("2.1.0", "2025-08-01"),
        ("dev-main", "2025-09-01"),
    ]
    .into_iter()
    .map(|(version, date)| (Version::parse(version).unwrap(), at(date)))
    .collect()
}

fn seen(access: &Access) -> Vec<String> {
    let package = PackageName::parse("acme/pay").unwrap();
    acme_pay()
        .iter()
        .filter(|(version, published_at)| {
            let facts = VersionFacts { version, aliases: &[], published_at: *published_at, yanked: false };
            decide(access, &package, facts, at(NOW)).visible
        })
        .map(|(version, _)| version.normalized().to_owned())
        .collect()
}

#[test]
fn worked_examples() {
    let with = |constraint: &str, stability: Option<Stability>, until: Option<&str>| Grant {
        minimum_stability: stability,
        updates_until: until.map(at),
        ..grant("g", constraint)
    };
    let all = ["1.0.0.0", "1.1.0.0", "2.0.0.0-beta1", "2.0.0.0", "2.1.0.0", "dev-main"];
    for (name, grants, expected) in [
        ("*", vec![with("*", None, None)], vec![all[0], all[1], all[3], all[4]]),
        ("^1.0", vec![with("^1.0", None, None)], vec![all[0], all[1]]),
        ("beta", vec![with("*", Some(Stability::Beta), None)], all[..5].to_vec()),
        ("dev", vec![with("*", Some(Stability::Dev), None)], all.to_vec()),
        ("boundary", vec![with("*", None, Some("2025-01-15"))], vec![all[0], all[1], all[3]]),
        ("union", vec![with("^1.0", None, None), with("^2.0", None, Some("2025-02-01"))], vec![all[0], all[1], all[3]]),
        ("beta is below stable", vec![with("^2.0", None, Some("2024-12-31"))], vec![]),
        ("none", vec![], vec![]),
    ] {
        assert_eq!(seen(&access(grants)), expected, "{name}");
    }
}

#[test]
fn a_token_narrows() {
    let mut access = access(vec![grant("g", "*")]);
    access.token.package_scopes = vec![PackageGlob::parse("acme/other").unwrap()];
    assert!(seen(&access).is_empty());
    access.token.package_scopes.push(PackageGlob::parse("acme/p*").unwrap());
    assert_eq!(seen(&access).len(), 4);
}

#[test]
fn refused_whatever_is_granted() {
    let good = access(vec![grant("g", "*")]);
    let mut cases = vec![good.clone(); 6];
    cases[0].token.revoked_at = Some(at("2025-01-01"));
    cases[1].token.expires_at = Some(at(NOW));
    cases[2].token.scope = Scope::Webhook;
    cases[3].customer.status = CustomerStatus::Suspended { reason: None };
    cases[4].customer.status = CustomerStatus::Expired;
    cases[5].customer.expires_at = Some(at("2025-12-31"));
    for case in cases {
        assert!(refusal(&case, at(NOW)).is_some(), "{case:?}");
        assert!(seen(&case).is_empty(), "{case:?}");
    }
    assert_eq!(refusal(&good, at(NOW)), None);
}

#[test]
fn a_yanked_version_leaves_metadata_only() {
    let version = Version::parse("1.0.0").unwrap();
    let facts = VersionFacts { version: &version, aliases: &[], published_at: at("2024-01-10"), yanked: true };
    let package = PackageName::parse("acme/pay").unwrap();
    let decision = decide(&access(vec![grant("g", "*")]), &package, facts, at(NOW));
    assert_eq!(decision, Decision { visible: false, installable: true, rule: Rule::Yanked });
    assert!(!decide(&access(vec![grant("g", "^2")]), &package, facts, at(NOW)).installable);
}

#[test]
fn a_branch_matches_by_its_alias() {
    let version = Version::parse("dev-main").unwrap();
    let alias = [Version::parse("2.x-dev").unwrap()];
    let package = PackageName::parse("acme/pay").unwrap();
    let mut dev = grant("g", "^2.0");
    dev.minimum_stability = Some(Stability::Dev);
    let facts = VersionFacts { version: &version, aliases: &alias, published_at: at("2025-01-01"), yanked: false };
    assert!(decide(&access(vec![dev.clone()]), &package, facts, at(NOW)).visible);
    let without = VersionFacts { aliases: &[], ..facts };
    assert!(!decide(&access(vec![dev]), &package, without, at(NOW)).visible);
}

fn some_grant() -> impl Strategy<Value = Grant> {
    let constraint = prop::sample::select(vec!["*", "^1.0", "^2.0", "<2.1", "2.0.0", "dev-main"]);
    let stability = prop::option::of(prop::sample::select(vec![Stability::Stable, Stability::Beta, Stability::Dev]));
    let until = prop::option::of(0i64..700);
    (constraint, stability, until).prop_map(|(constraint, minimum_stability, days)| Grant {
        minimum_stability,
        updates_until: days.map(|days| at("2024-01-01") + chrono::Duration::days(days)),
        ..grant("g", constraint)
    })
}

proptest! {
    /// Several grants show exactly what each of them shows alone, together: nothing is mixed across grants.
    #[test]
    fn union_over_grants(grants in prop::collection::vec(some_grant(), 0..4)) {
        let together = seen(&access(grants.clone()));
        let alone: Vec<Vec<String>> = grants.into_iter().map(|grant| seen(&access(vec![grant]))).collect();
        for (version, _) in acme_pay() {
            let name = version.normalized().to_owned();
            prop_assert_eq!(together.contains(&name), alone.iter().any(|one| one.contains(&name)), "{}", name);
        }
    }
}
