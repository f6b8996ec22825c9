//! Suspended and expired customers and suspended grants, under each choice of the tenant.

use cargoman_licence::{
    Access, Customer, CustomerStatus, EffectiveStatus, Freeze, Grant, GrantStatus, Lapse, LapseKind, Lapsed, Rule,
    refusal,
};
use chrono::{DateTime, Utc};

use crate::build::{Built, access, at, grant, name, version};
use crate::worked_examples::{ALL, acme_pay, built};

/// Between 2.0.0 and 2.1.0.
const LAPSE: &str = "2025-03-01";

fn suspended() -> CustomerStatus {
    CustomerStatus::Suspended { reason: Some("unpaid".to_owned()) }
}

fn granted() -> Access {
    access(vec![grant("g", "acme/pay", "*")])
}

/// What stands in metadata, and what installs.
fn sights(built: &Built) -> (Vec<String>, Vec<String>) {
    let named = |wanted: fn(cargoman_licence::Sight) -> bool| {
        let known = acme_pay().into_iter().filter(|known| wanted(built.sight(known)));
        known.map(|known| known.version.normalized().to_owned()).collect()
    };
    (named(|sight| sight.visible), named(|sight| sight.installable))
}

fn change(change: impl FnOnce(&mut Access)) -> Access {
    let mut access = granted();
    change(&mut access);
    access
}

#[test]
fn each_choice_for_each_lapse() {
    let before = vec![ALL[0], ALL[1], ALL[3]];
    type Lapsing = fn(&mut Access);
    let ways: [(&str, Lapsing, Option<LapseKind>); 4] = [
        (
            "suspended",
            |access| (access.customer.status, access.customer.lapsed_at) = (suspended(), Some(at(LAPSE))),
            Some(LapseKind::Suspended),
        ),
        (
            "expired by hand",
            |access| (access.customer.status, access.customer.lapsed_at) = (CustomerStatus::Expired, Some(at(LAPSE))),
            Some(LapseKind::Expired),
        ),
        ("expired by itself", |access| access.customer.expires_at = Some(at(LAPSE)), Some(LapseKind::Expired)),
        (
            "suspended grant",
            |access| {
                access.grants[0].status =
                    GrantStatus::Suspended { reason: Some("card".to_owned()), since: Some(at(LAPSE)) }
            },
            None,
        ),
    ];
    for (way, lapse, kind) in ways {
        for (left, metadata, dists) in [
            (Lapsed::Forbid, vec![], vec![]),
            (Lapsed::KeepMetadata, before.clone(), vec![]),
            (Lapsed::Keep, before.clone(), before.clone()),
        ] {
            let access = change(|access| {
                lapse(access);
                // The other choice must not count.
                let other = if left == Lapsed::Forbid { Lapsed::Keep } else { Lapsed::Forbid };
                let expired = kind == Some(LapseKind::Expired);
                (access.policy.lapsed_suspended, access.policy.lapsed_expired) =
                    if expired { (other, left) } else { (left, other) };
            });
            let refused = kind.is_some() && left == Lapsed::Forbid;
            assert_eq!(refusal(&access, at("2026-01-01")).is_some(), refused, "{way} {left:?}");
            let built = built(access);
            let (seen, installed) = sights(&built);
            assert_eq!((seen, installed), (texts(&metadata), texts(&dists)), "{way} {left:?}");
            // 2.1.0 came after the lapse: whoever asks for it is told of the lapse.
            match built.decide(&acme_pay()[4]).rule {
                Rule::Lapsed { lapse } => {
                    assert_eq!((Some(lapse.kind), lapse.left, lapse.since), (kind, left, Some(at(LAPSE))), "{way}")
                }
                Rule::GrantSuspended { grant, lapse } => {
                    assert_eq!(
                        (kind, grant.as_str(), lapse.left, lapse.reason.as_deref()),
                        (None, "g", left, Some("card"))
                    );
                }
                other => panic!("{way} {left:?}: {other:?}"),
            }
        }
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// `expires_at` acts by itself, at that instant and not before.
#[test]
fn expires_by_itself_at_the_instant() {
    let instant = at("2026-01-01");
    for (now, expected) in [("2025-12-31T23:59:59.999999Z", 4), ("2026-01-01", 0), ("2026-01-02", 0)] {
        let access = change(|access| access.customer.expires_at = Some(instant));
        let built = Built { now: at(now), ..built(access) };
        assert_eq!(sights(&built).0.len(), expected, "{now}");
    }
}

/// Without the instant no one knows what was visible then.
#[test]
fn nothing_is_kept_of_an_unknown_instant() {
    let keep = |access: &mut Access| {
        (access.policy.lapsed_suspended, access.policy.lapsed_expired) = (Lapsed::Keep, Lapsed::Keep)
    };
    for status in [suspended(), CustomerStatus::Expired] {
        let access = change(|access| {
            keep(access);
            access.customer.status = status;
        });
        let Some(Rule::Lapsed { lapse }) = refusal(&access, at("2026-01-01")) else { panic!("{access:?}") };
        assert_eq!(lapse.left, Lapsed::Forbid);
    }
    let access = change(|access| {
        keep(access);
        access.grants[0].status = GrantStatus::Suspended { reason: None, since: None };
    });
    assert!(sights(&built(access)).0.is_empty());
}

/// A suspended grant takes along only what no other grant shows.
#[test]
fn what_only_a_suspended_grant_shows() {
    let status = GrantStatus::Suspended { reason: Some("card".to_owned()), since: Some(at(LAPSE)) };
    let grants = vec![Grant { status, ..grant("all", "acme/pay", "*") }, grant("two", "acme/pay", "^2")];
    let two = texts(&[ALL[3], ALL[4]]);
    for (left, metadata, dists) in [
        (Lapsed::Forbid, two.clone(), two.clone()),
        (Lapsed::KeepMetadata, texts(&[ALL[0], ALL[1], ALL[3], ALL[4]]), two.clone()),
        (Lapsed::Keep, texts(&[ALL[0], ALL[1], ALL[3], ALL[4]]), texts(&[ALL[0], ALL[1], ALL[3], ALL[4]])),
    ] {
        let mut access = access(grants.clone());
        access.policy.lapsed_suspended = left;
        let built = built(access);
        assert_eq!(sights(&built), (metadata, dists), "{left:?}");
        let rule = built.decide(&acme_pay()[0]).rule;
        let named = matches!(&rule, Rule::GrantSuspended { grant, .. } if grant == "all");
        assert_eq!(named, left != Lapsed::Keep, "{rule:?}");
        assert_eq!(
            built.decide(&acme_pay()[3]).rule,
            Rule::Granted { grant: if left == Lapsed::Keep { "all" } else { "two" }.to_owned() }
        );
        assert_eq!(built.view(&name("acme/pay")).suspended_grant().map(|(grant, _)| grant.id.as_str()), Some("all"));
    }
}

/// Suspended before expired before frozen before active; and lifting each brings back the one before.
#[test]
fn effective_status() {
    use EffectiveStatus::{Active, Expired, Frozen, Suspended};
    assert!(Suspended > Expired && Expired > Frozen && Frozen > Active);
    let now = at("2026-01-01");
    let over = Some(at(LAPSE));
    let freeze = || Some(Freeze::new(at(LAPSE)));
    for (status, expires_at, frozen, expected) in [
        (CustomerStatus::Active, None, None, Active),
        (CustomerStatus::Active, Some(at("2027-01-01")), None, Active),
        (CustomerStatus::Active, None, freeze(), Frozen),
        (CustomerStatus::Active, over, freeze(), Expired),
        (CustomerStatus::Expired, None, freeze(), Expired),
        (suspended(), over, freeze(), Suspended),
        (suspended(), None, None, Suspended),
    ] {
        let customer = Customer { status, expires_at, frozen, ..granted().customer };
        assert_eq!(customer.effective(now), expected, "{customer:?}");
    }
}

#[test]
fn a_frozen_customer_who_was_suspended_is_frozen_again() {
    let frozen = change(|access| {
        let mut freeze = Freeze::new(at(LAPSE));
        freeze.add(&name("acme/pay"), &version("1.1.0"), None);
        access.customer.frozen = Some(freeze);
    });
    let mut customer = frozen.clone();
    (customer.customer.status, customer.customer.lapsed_at) = (suspended(), Some(at("2025-12-01")));
    assert!(sights(&built(customer.clone())).0.is_empty());
    customer.policy.lapsed_suspended = Lapsed::Keep;
    assert_eq!(sights(&built(customer.clone())).1, texts(&[ALL[1]]), "what he had, and no more than that");
    (customer.customer.status, customer.customer.lapsed_at) = (CustomerStatus::Active, None);
    assert_eq!(sights(&built(customer)).0, texts(&[ALL[1]]));
}

/// A customer may be suspended and expired at once: the suspension is named first, and neither gives what the other takes.
#[test]
fn two_lapses_at_once() {
    let instant = |text: &str| -> Option<DateTime<Utc>> { Some(at(text)) };
    for (suspension, expiry, named, seen) in [
        (Lapsed::Forbid, Lapsed::Forbid, Some(LapseKind::Suspended), vec![]),
        (Lapsed::Keep, Lapsed::Forbid, Some(LapseKind::Expired), vec![]),
        (Lapsed::Forbid, Lapsed::Keep, Some(LapseKind::Suspended), vec![]),
        (Lapsed::Keep, Lapsed::Keep, None, vec![ALL[0], ALL[1]]),
    ] {
        let access = change(|access| {
            (access.customer.status, access.customer.lapsed_at) = (suspended(), instant(LAPSE));
            access.customer.expires_at = instant("2024-07-01");
            (access.policy.lapsed_suspended, access.policy.lapsed_expired) = (suspension, expiry);
        });
        let refused = match refusal(&access, at("2026-01-01")) {
            Some(Rule::Lapsed { lapse: Lapse { kind, .. } }) => Some(kind),
            other => {
                assert_eq!(other, None);
                None
            }
        };
        assert_eq!(refused, named, "{suspension:?} {expiry:?}");
        assert_eq!(sights(&built(access)).1, texts(&seen), "{suspension:?} {expiry:?}");
    }
}

/// The words of the API.
#[test]
fn choices_as_written() {
    for (left, text) in [(Lapsed::Forbid, "forbid"), (Lapsed::KeepMetadata, "keep-metadata"), (Lapsed::Keep, "keep")] {
        assert_eq!(serde_json::to_value(left).unwrap(), text);
    }
}
