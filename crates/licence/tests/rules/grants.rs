//! Grants: which stability counts, branches and their aliases, collections beside packages, what is named in an answer.

use cargoman_composer::stability::Stability;
use cargoman_licence::{Access, Collection, CollectionId, Failed, Grant, GrantStatus, Members, Rule, no_collections};

use crate::build::{Known, access, at, day, globs, grant, name, version};
use crate::worked_examples::{ALL, acme_pay, built, sees};

#[test]
fn the_first_stability_set_counts() {
    use Stability::{Alpha, Beta, Dev, Rc, Stable};
    for (of_grant, of_customer, of_tenant, expected) in [
        (None, None, None, 4),
        (None, None, Some(Beta), 5),
        (None, Some(Beta), None, 5),
        (None, Some(Stable), Some(Dev), 4),
        (None, Some(Rc), Some(Dev), 4),
        (Some(Stable), Some(Dev), Some(Dev), 4),
        (Some(Alpha), None, None, 5),
        (Some(Dev), Some(Stable), Some(Stable), 6),
    ] {
        let mut access = access(vec![Grant { minimum_stability: of_grant, ..grant("g", "acme/pay", "*") }]);
        access.customer.minimum_stability = of_customer;
        access.policy.minimum_stability = of_tenant;
        assert_eq!(sees(&built(access)).len(), expected, "{of_grant:?} {of_customer:?} {of_tenant:?}");
    }
}

#[test]
fn stability_flags_in_a_constraint_are_ignored() {
    for constraint in ["*@dev", "^2.0@beta", "^2.0@dev", "dev-main@dev"] {
        let seen = sees(&built(access(vec![grant("g", "acme/pay", constraint)])));
        assert!(seen.iter().all(|text| *text != ALL[2] && *text != ALL[5]), "{constraint}: {seen:?}");
    }
    let narrow = Grant { minimum_stability: Some(Stability::Dev), ..grant("g", "acme/pay", "^2.0@stable") };
    assert_eq!(sees(&built(access(vec![narrow]))), ALL[2..5]);
}

#[test]
fn a_branch_matches_by_its_name_or_its_alias() {
    let dev = |constraint| Grant { minimum_stability: Some(Stability::Dev), ..grant("g", "acme/pay", constraint) };
    for (constraint, alias, expected) in [
        ("^2.0", Some("2.x-dev"), true),
        ("^2.0", None, false),
        ("^1.0", Some("2.x-dev"), false),
        ("dev-main", Some("2.x-dev"), true),
        ("dev-main", None, true),
        ("2.x-dev", Some("2.x-dev"), true),
    ] {
        let built = built(access(vec![dev(constraint)]));
        let branch = Known { aliases: alias.map(version).into_iter().collect(), ..acme_pay().remove(5) };
        assert_eq!(built.sight(&branch).visible, expected, "{constraint} {alias:?}");
    }
    // An alias is a branch's; a release does not slip through one.
    let release = Known { aliases: vec![version("2.x-dev")], ..acme_pay().remove(0) };
    assert!(!built(access(vec![dev("^2.0")])).sight(&release).visible);
}

#[test]
fn a_branch_is_many_references() {
    let until = Grant { minimum_stability: Some(Stability::Dev), ..grant("g", "acme/pay", "*") };
    let built = built(access(vec![Grant { updates_until: Some(day(5)), ..until }]));
    for (published_at, expected) in [(day(4), true), (day(5), true), (day(6), false)] {
        let head = Known { published_at, ..acme_pay().remove(5) };
        assert_eq!(built.sight(&head).installable, expected, "{published_at}");
    }
}

/// Both constraints and both stabilities hold.
#[test]
fn a_collections_limits_hold_beside_the_grants() {
    use Stability::{Beta, Dev, Stable};
    for (constraint, stability, own_constraint, own_stability, expected) in [
        ("*", Some(Dev), None, None, ALL.to_vec()),
        ("*", Some(Dev), Some("^2"), None, ALL[2..5].to_vec()),
        ("^2.1", Some(Dev), Some("^2"), None, vec![ALL[4]]),
        ("^1", Some(Dev), Some("^2"), None, vec![]),
        ("*", Some(Dev), None, Some(Beta), ALL[..5].to_vec()),
        ("*", Some(Beta), None, Some(Stable), vec![ALL[0], ALL[1], ALL[3], ALL[4]]),
        ("*", None, None, Some(Dev), vec![ALL[0], ALL[1], ALL[3], ALL[4]]),
    ] {
        let id = CollectionId("suite".to_owned());
        let on = Grant { minimum_stability: stability, ..Grant::on("g", id.clone()) };
        let mut built = built(access(vec![Grant { constraint: constraint.parse().unwrap(), ..on }]));
        let suite = Collection {
            id: id.clone(),
            packages: Members::from(globs(&["acme/*"])),
            constraint: own_constraint.map(|text| text.parse().unwrap()),
            minimum_stability: own_stability,
        };
        built.collections.insert(id, suite);
        assert_eq!(sees(&built), expected, "{constraint} {stability:?} {own_constraint:?} {own_stability:?}");
    }
}

#[test]
fn a_collection_that_is_not_found_shows_nothing() {
    let access = access(vec![Grant::on("g", CollectionId("gone".to_owned()))]);
    assert!(!cargoman_licence::covers(&access, &no_collections, &name("acme/pay")));
    let built = built(access);
    assert_eq!(built.decide(&acme_pay()[0]).rule, Rule::NoGrant);
}

/// A version is named with what each grant failed on, and with the limit only where a renewal alone would show it.
#[test]
fn what_is_named_when_hidden() {
    let until = |id: &str, constraint: &str, date: &str| Grant {
        updates_until: Some(at(date)),
        ..grant(id, "acme/pay", constraint)
    };
    let grants = vec![until("a", "^1.0", "2024-03-01"), until("b", "*", "2024-04-01"), until("c", "*", "2024-05-01")];
    let built = built(access(grants));
    let date = Failed { updates_until: true, ..Failed::default() };
    let date_and = |other: Failed| Failed { updates_until: true, ..other };
    let constraint = Failed { constraint: true, ..Failed::default() };
    let unstable = Failed { stability: true, ..Failed::default() };
    let ids = |parts: [Failed; 3]| ["a", "b", "c"].map(str::to_owned).into_iter().zip(parts).collect::<Vec<_>>();
    for (position, failed, renewable) in [
        (1, [date, date, date], Some("2024-05-01")),
        (3, [date_and(constraint), date, date], Some("2024-05-01")),
        (2, [date_and(Failed { stability: true, ..constraint }), date_and(unstable), date_and(unstable)], None),
    ] {
        let rule = built.decide(&acme_pay()[position]).rule;
        assert_eq!(rule, Rule::Hidden { failed: ids(failed), renewable: renewable.map(at) }, "{position}");
    }
    assert_eq!(built.decide(&acme_pay()[0]).rule, Rule::Granted { grant: "a".to_owned() });
}

/// The first release's shape of a grant, and all that it knows of one.
#[derive(serde::Deserialize)]
struct OldGrant {
    #[expect(dead_code, reason = "that it reads is what counts")]
    package: cargoman_composer::name::PackageName,
    id: String,
}

/// A reader of the first release reads everything, and nothing that it would take for more than it is.
#[test]
fn older_readers_are_shown_no_more() {
    let suspended = GrantStatus::Suspended { reason: None, since: Some(day(1)) };
    let mut access = access(vec![
        grant("plain", "acme/pay", "*"),
        Grant { status: suspended, ..grant("suspended", "acme/pay", "*") },
        Grant::on("collection", CollectionId("suite".to_owned())),
        Grant { external_id: Some("sub_1".to_owned()), ..grant("external", "acme/cart", "^1") },
    ]);
    let read = |access: &Access| -> Vec<OldGrant> {
        serde_json::from_value(serde_json::to_value(access).unwrap()["grants"].clone()).unwrap()
    };
    assert_eq!(read(&access).into_iter().map(|grant| grant.id).collect::<Vec<_>>(), ["plain", "external"]);
    access.customer.frozen = Some(cargoman_licence::Freeze::new(day(1)));
    assert!(read(&access).is_empty());
    let again: Access = serde_json::from_value(serde_json::to_value(&access).unwrap()).unwrap();
    assert_eq!(again, access);
}

/// What the first release writes, read by this one.
#[test]
fn older_writers_are_read() {
    let text = r#"{"token":{"id":"tok_id_1","last_four":"abcd","scope":"download","package_scopes":[],"expires_at":null,"revoked_at":null},
        "customer":{"id":"cust_1","name":"Shop","status":{"status":"active"},"expires_at":null,"minimum_stability":null},
        "grants":[{"id":"g","package":"acme/pay","constraint":"^2","minimum_stability":null,"updates_until":null}]}"#;
    let read: Access = serde_json::from_str(text).unwrap();
    assert_eq!(read, access(vec![grant("g", "acme/pay", "^2")]));
}
