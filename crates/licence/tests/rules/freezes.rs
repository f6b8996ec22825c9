//! Frozen customers: what the list holds, what an order without a list makes of it, and how it is written.

use cargoman_composer::stability::Stability;
use cargoman_licence::{Freeze, Grant, Rule};

use crate::build::{Built, Known, access, at, day, grant, name, version};
use crate::worked_examples::{ALL, acme_pay, built, sees};

fn frozen(freeze: Freeze, grants: Vec<Grant>) -> Built {
    let mut access = access(grants);
    access.customer.frozen = Some(freeze);
    built(access)
}

#[test]
fn without_a_list_all_that_was_visible() {
    let dev = Grant { minimum_stability: Some(Stability::Dev), ..grant("g", "acme/pay", "*") };
    let before = built(access(vec![dev.clone()]));
    let mut known = acme_pay();
    known[1].yanked = true;
    known[0].taken_down = Some("malware");
    let mut freeze = Freeze::new(at("2025-12-01"));
    freeze.add_all(&name("acme/pay"), &before.view(&name("acme/pay")), known.iter().map(Known::facts));
    let after = frozen(freeze, vec![dev]);
    assert_eq!(sees(&after), ALL[1..]);
    assert!(after.sight(&known[1]).installable && !after.sight(&known[1]).visible, "locks with a yanked version go on");
    // What came later: a release, and a new head of a branch that is held.
    let later = at("2025-12-01T00:00:00.000001Z");
    for newer in [
        Known { version: version("2.2.0"), published_at: later, ..acme_pay().remove(4) },
        Known { published_at: later, ..acme_pay().remove(5) },
    ] {
        let decision = after.decide(&newer);
        assert_eq!((decision.visible, decision.rule), (false, Rule::Frozen { since: at("2025-12-01") }), "{newer:?}");
    }
}

#[test]
fn taking_a_grant_away_takes_its_versions_away() {
    let mut freeze = Freeze::new(at("2025-12-01"));
    for known in acme_pay() {
        freeze.add(&known.package, &known.version, None);
    }
    let (one, two) = (grant("one", "acme/pay", "^1"), grant("two", "acme/pay", "^2"));
    assert_eq!(sees(&frozen(freeze.clone(), vec![one.clone(), two])), [ALL[0], ALL[1], ALL[3], ALL[4]]);
    assert_eq!(sees(&frozen(freeze.clone(), vec![one])), ALL[..2]);
    assert!(sees(&frozen(freeze, vec![])).is_empty());
}

#[test]
fn references() {
    let (a, b, c) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
    let dev = || vec![Grant { minimum_stability: Some(Stability::Dev), ..grant("g", "acme/pay", "*") }];
    let branch = version("dev-main");
    let pay = name("acme/pay");
    let held = |freeze: &Freeze| {
        let built = frozen(freeze.clone(), dev());
        [&a, &b, &c].map(|reference| {
            built
                .sight(&Known { reference: reference.clone(), published_at: day(1), ..acme_pay().remove(5) })
                .installable
        })
    };
    let mut freeze = Freeze::new(day(5));
    assert_eq!(held(&freeze), [false; 3]);
    freeze.add(&pay, &branch, Some(&a));
    assert_eq!(held(&freeze), [true, false, false]);
    freeze.add(&pay, &branch, Some(&b));
    assert_eq!(held(&freeze), [true, true, false]);
    freeze.add(&pay, &branch, None);
    assert_eq!(held(&freeze), [true; 3]);
    freeze.add(&pay, &branch, Some(&a));
    assert_eq!(held(&freeze), [true; 3], "a narrower addition takes nothing away");
    freeze.since = day(0);
    assert_eq!(held(&freeze), [false; 3], "nothing newer");
}

#[test]
fn as_written() {
    let mut freeze = Freeze::new(day(0));
    freeze.add(&name("acme/pay"), &version("1.0"), None);
    freeze.add(&name("acme/cart"), &version("dev-main"), Some("abc"));
    let written = serde_json::to_value(&freeze).unwrap();
    let expected = serde_json::json!({
        "since": "2025-01-01T00:00:00Z",
        "packages": { "acme/cart": { "dev-main": ["abc"] }, "acme/pay": { "1.0.0.0": null } },
    });
    assert_eq!(written, expected);
    assert_eq!(serde_json::from_value::<Freeze>(written).unwrap(), freeze);
}
