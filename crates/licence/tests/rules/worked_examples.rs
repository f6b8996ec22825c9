//! The table of worked examples: what each set of grants sees of `acme/pay`.

use cargoman_composer::stability::Stability;
use cargoman_licence::{Access, Collection, CollectionId, Freeze, Grant, Members};

use crate::build::{Built, Known, access, at, globs, grant, name, version};

pub(crate) const ALL: [&str; 6] = ["1.0.0.0", "1.1.0.0", "2.0.0.0-beta1", "2.0.0.0", "2.1.0.0", "dev-main"];

/// The package of the examples.
pub(crate) fn acme_pay() -> Vec<Known> {
    [
        ("1.0.0", "2024-01-10"),
        ("1.1.0", "2024-06-01"),
        ("2.0.0-beta1", "2024-09-01"),
        ("2.0.0", "2025-01-15"),
        ("2.1.0", "2025-08-01"),
        ("dev-main", "2025-09-01"),
    ]
    .map(|(text, date)| Known {
        package: name("acme/pay"),
        version: version(text),
        aliases: Vec::new(),
        reference: "0123456789012345678901234567890123456789".to_owned(),
        published_at: at(date),
        yanked: false,
        taken_down: None,
    })
    .to_vec()
}

/// On 2026-01-01, with a collection `suite` of `^2` that holds `acme/pay`.
pub(crate) fn built(access: Access) -> Built {
    let id = CollectionId("suite".to_owned());
    let suite = Collection {
        id: id.clone(),
        packages: Members::from(globs(&["acme/pay", "acme/cart"])),
        constraint: Some("^2".parse().unwrap()),
        minimum_stability: None,
    };
    Built { access, collections: [(id, suite)].into(), now: at("2026-01-01") }
}

/// What stands in metadata. In these examples whatever does can be installed, and nothing else.
pub(crate) fn sees(built: &Built) -> Vec<String> {
    let known = acme_pay();
    for one in &known {
        let decision = built.decide(one);
        assert_eq!(decision.visible, decision.installable, "{decision:?}");
    }
    let visible = known.into_iter().filter(|one| built.sight(one).visible);
    visible.map(|one| one.version.normalized().to_owned()).collect()
}

fn pay(constraint: &str, stability: Option<Stability>, until: Option<&str>) -> Grant {
    let base = grant("grant_1", "acme/pay", constraint);
    Grant { minimum_stability: stability, updates_until: until.map(at), ..base }
}

#[test]
fn worked_examples() {
    let stable = vec![ALL[0], ALL[1], ALL[3], ALL[4]];
    for (text, grants, expected) in [
        ("*", vec![pay("*", None, None)], stable),
        ("^1.0", vec![pay("^1.0", None, None)], vec![ALL[0], ALL[1]]),
        ("*, stability beta", vec![pay("*", Some(Stability::Beta), None)], ALL[..5].to_vec()),
        ("*, stability dev", vec![pay("*", Some(Stability::Dev), None)], ALL.to_vec()),
        ("* until the instant of 2.0.0", vec![pay("*", None, Some("2025-01-15"))], vec![ALL[0], ALL[1], ALL[3]]),
        ("* until just before", vec![pay("*", None, Some("2025-01-14T23:59:59.999999Z"))], vec![ALL[0], ALL[1]]),
        (
            "^1.0 + ^2.0 until 2025-02-01",
            vec![pay("^1.0", None, None), pay("^2.0", None, Some("2025-02-01"))],
            vec![ALL[0], ALL[1], ALL[3]],
        ),
        ("^2.0 until 2024-12-31: beta is below stable", vec![pay("^2.0", None, Some("2024-12-31"))], vec![]),
        (
            "collection suite (^2), grant *",
            vec![Grant::on("grant_1", CollectionId("suite".to_owned()))],
            vec![ALL[3], ALL[4]],
        ),
        ("no grant", vec![], vec![]),
        ("a grant on another package", vec![grant("grant_1", "acme/cart", "*")], vec![]),
    ] {
        assert_eq!(sees(&built(access(grants))), expected, "{text}");
    }
}

#[test]
fn token_scope_other_only() {
    let mut access = access(vec![pay("*", None, None)]);
    access.token.package_scopes = globs(&["acme/other"]);
    assert!(sees(&built(access)).is_empty());
}

#[test]
fn frozen_with_a_list() {
    let mut access = access(vec![pay("*", None, None)]);
    let mut freeze = Freeze::new(at("2025-12-01"));
    freeze.add(&name("acme/pay"), &version("2.0.0"), None);
    access.customer.frozen = Some(freeze);
    assert_eq!(sees(&built(access)), [ALL[3]]);
}
