//! Explanations, renewals and dry runs.

use cargoman_composer::stability::Stability;
use cargoman_licence::{
    CollectionId, Difference, EffectiveStatus, Failed, Grant, GrantStatus, Lapsed, Renewal, difference,
};

use crate::build::{Known, access, at, day, grant, name, version};
use crate::worked_examples::{acme_pay, built};

#[test]
fn every_grant_on_the_package_is_looked_at() {
    let mut access = access(vec![
        grant("elsewhere", "acme/cart", "*"),
        Grant { external_id: Some("sub_1".to_owned()), ..grant("one", "acme/pay", "^1") },
        Grant { updates_until: Some(at("2024-12-31")), ..Grant::on("suite", CollectionId("suite".to_owned())) },
        Grant {
            status: GrantStatus::Suspended { reason: None, since: Some(day(0)) },
            ..grant("late", "acme/pay", "*")
        },
        grant("shows", "acme/pay", "*"),
    ]);
    access.policy.lapsed_suspended = Lapsed::Keep;
    access.policy.minimum_stability = Some(Stability::Rc);
    let built = built(access);
    let known = &acme_pay()[4];
    let explanation = built.view(&known.package).explain(known.facts());
    assert_eq!(explanation.decision, built.decide(known));
    assert_eq!((explanation.status, explanation.in_token_scope), (EffectiveStatus::Active, true));
    let found: Vec<_> = explanation.grants.iter().map(|one| (one.grant.as_str(), one.failed, one.shows)).collect();
    let expected = [
        ("one", Failed { constraint: true, ..Failed::default() }, false),
        ("suite", Failed { updates_until: true, ..Failed::default() }, false),
        ("late", Failed { suspended: true, ..Failed::default() }, false),
        ("shows", Failed::default(), true),
    ];
    assert_eq!(found, expected);
    assert_eq!(explanation.grants[0].external_id.as_deref(), Some("sub_1"));
    assert_eq!(explanation.grants[1].collection, Some(CollectionId("suite".to_owned())));
    assert!(explanation.grants.iter().all(|one| one.minimum_stability == Stability::Rc));
    let written = serde_json::to_value(&explanation).unwrap();
    assert_eq!(written["decision"]["rule"], serde_json::json!({ "rule": "granted", "grant": "shows" }));
}

#[test]
fn the_newest_that_a_renewal_alone_would_show() {
    let until = |constraint: &str, date: &str| Grant {
        updates_until: Some(at(date)),
        ..grant(constraint, "acme/pay", constraint)
    };
    let dev = |grant: Grant| Grant { minimum_stability: Some(Stability::Dev), ..grant };
    for (text, grants, expected) in [
        ("all shown", vec![grant("g", "acme/pay", "*")], None),
        ("the newest release", vec![until("*", "2024-03-01")], Some((4, "2024-03-01"))),
        ("releases before branches", vec![dev(until("*", "2024-03-01"))], Some((4, "2024-03-01"))),
        ("a branch if there is nothing else", vec![dev(until("*", "2025-08-15"))], Some((5, "2025-08-15"))),
        ("not what the constraint hides too", vec![until("^1", "2024-03-01")], Some((1, "2024-03-01"))),
        ("nor the beta", vec![until("^2,<2.0.0-stable", "2024-03-01")], None),
        ("the later of two limits", vec![until("^2", "2025-02-01"), until("*", "2024-03-01")], Some((4, "2025-02-01"))),
    ] {
        let built = built(access(grants));
        let known = acme_pay();
        let renewal = built.view(&name("acme/pay")).renewal(known.iter().map(Known::facts));
        assert_eq!(renewal, expected.map(|(position, until)| Renewal { position, until: at(until) }), "{text}");
    }
}

/// A numbered branch sorts after every release of its number, and yet a release is what a renewal is offered with.
#[test]
fn a_renewal_is_offered_with_a_release_before_a_branch() {
    let limited = Grant { updates_until: Some(at("2024-03-01")), ..grant("g", "acme/pay", "*") };
    let built = built(access(vec![Grant { minimum_stability: Some(Stability::Dev), ..limited }]));
    let branch = Known { version: version("3.x-dev"), ..acme_pay().remove(5) };
    let release = acme_pay().remove(4);
    let offered = |known: [&Known; 2]| built.view(&branch.package).renewal(known.map(Known::facts)).unwrap().position;
    assert_eq!((offered([&branch, &release]), offered([&release, &branch])), (1, 0));
}

#[test]
fn no_renewal_brings_back_what_was_withdrawn_or_frozen() {
    let limited = Grant { updates_until: Some(at("2025-02-01")), ..grant("g", "acme/pay", "*") };
    let built = built(access(vec![limited]));
    let yanked = Known { yanked: true, ..acme_pay().remove(4) };
    let down = Known { taken_down: Some("malware"), ..acme_pay().remove(4) };
    let renewal = |of: &crate::build::Built, known: &Known| of.view(&known.package).renewal([known.facts()]);
    assert!(renewal(&built, &acme_pay()[4]).is_some());
    assert_eq!((renewal(&built, &yanked), renewal(&built, &down)), (None, None));
    let frozen = built.with(|access| access.customer.frozen = Some(cargoman_licence::Freeze::new(at("2025-12-01"))));
    assert_eq!(renewal(&frozen, &acme_pay()[4]), None);
}

#[test]
fn a_dry_run() {
    let before = built(access(vec![grant("g", "acme/pay", "^1")]));
    let after = before.with(|access| access.grants[0].constraint = ">=1.1".parse().unwrap());
    let (package, known) = (name("acme/pay"), acme_pay());
    let run = |a: &crate::build::Built, b: &crate::build::Built| {
        difference(&a.view(&package), &b.view(&package), known.iter().map(Known::facts))
    };
    assert_eq!(run(&before, &after), Difference { gained: vec![3, 4], lost: vec![0] });
    assert_eq!(run(&before, &before), Difference::default());
}
