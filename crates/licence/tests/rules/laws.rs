//! What must hold in every world.

use cargoman_composer::constraint::Constraint;
use cargoman_composer::stability::Stability;
use cargoman_licence::{
    Access, CustomerStatus, Freeze, Grant, GrantStatus, Lapsed, Rule, Sight, Target, difference, refusal,
};
use chrono::Duration;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::build::{Built, Known, build, known};
use crate::random::Random;
use crate::{count, seed, world};

/// A world with the versions asked about, from a number.
fn any_world() -> impl Strategy<Value = (Built, Vec<Known>)> {
    any::<u64>().prop_map(|number| {
        let mut random = Random::new(number);
        let built = build(&world::world(&mut random));
        (built, world::asked(&mut random).iter().map(known).collect())
    })
}

/// The same with a customer in good standing and a token that narrows nothing, so that his grants alone decide.
fn granted_world() -> impl Strategy<Value = (Built, Vec<Known>)> {
    any_world().prop_map(|(built, known)| (built.with(unbound), known))
}

fn unbound(access: &mut Access) {
    access.token = cargoman_licence::Token::of_no_one();
    active(access);
    access.customer.frozen = None;
}

fn active(access: &mut Access) {
    access.customer.status = CustomerStatus::Active;
    access.customer.lapsed_at = None;
    access.customer.expires_at = None;
}

fn either(a: Sight, b: Sight) -> Sight {
    Sight { visible: a.visible || b.visible, installable: a.installable || b.installable }
}

/// No more in the one than in the other.
fn within(inner: Sight, outer: Sight) -> bool {
    either(inner, outer) == outer
}

/// A customer who is held at all that he sees at `now`.
fn freeze(built: &Built, known: &[Known]) -> Built {
    let mut freeze = Freeze::new(built.now);
    for one in known {
        freeze.add_all(&one.package, &built.view(&one.package), [one.facts()]);
    }
    built.with(|access| access.customer.frozen = Some(freeze))
}

fn settings() -> ProptestConfig {
    ProptestConfig {
        cases: count(300),
        rng_seed: RngSeed::Fixed(seed()),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(settings())]

    /// Several grants show exactly what each of them shows alone, together: nothing is mixed across grants.
    #[test]
    fn union_over_grants((built, known) in any_world()) {
        for one in &known {
            let alone = built.access.grants.iter().map(|grant| {
                built.with(|access| access.grants = vec![grant.clone()]).sight(one)
            });
            prop_assert_eq!(built.sight(one), alone.fold(Sight::default(), either));
        }
    }

    /// The date of one grant never helps the constraint of another.
    #[test]
    fn never_mixed((built, known) in granted_world(), cut in 0_i64..10) {
        let limit = crate::build::day(cut);
        let crossed = built.with(|access| {
            let dated = Grant { updates_until: Some(limit), ..crate::build::grant("dated", "acme/pay", "^2.0") };
            access.grants = vec![dated, crate::build::grant("undated", "acme/pay", "^1.0")];
        });
        for one in known.iter().filter(|one| one.version.normalized().starts_with("2.") && one.published_at > limit) {
            prop_assert_eq!(crossed.sight(one), Sight::default(), "{:?}", one);
        }
    }

    /// Inside one grant every part must hold: it shows what each of its parts shows alone, and no more.
    #[test]
    fn and_inside_a_grant((built, known) in granted_world()) {
        for grant in &built.access.grants {
            let widest = |access: &mut Access| {
                let on = Grant::on(grant.id.clone(), grant.target.clone());
                access.grants = vec![Grant { minimum_stability: Some(Stability::Dev), ..on }];
            };
            let minimum = grant.minimum_stability.or(built.access.customer.minimum_stability).or(built.access.policy.minimum_stability);
            let parts = [
                built.with(|access| { widest(access); access.grants[0].constraint = grant.constraint.clone(); }),
                built.with(|access| { widest(access); access.grants[0].minimum_stability = minimum.or(Some(Stability::Stable)); }),
                built.with(|access| { widest(access); access.grants[0].updates_until = grant.updates_until; }),
                built.with(|access| { widest(access); access.grants[0].status = grant.status.clone(); }),
            ];
            let whole = built.with(|access| access.grants = vec![grant.clone()]);
            for one in &known {
                let all = parts.iter().map(|part| part.sight(one));
                let all = all.fold(Sight { visible: true, installable: true }, |a, b| Sight {
                    visible: a.visible && b.visible,
                    installable: a.installable && b.installable,
                });
                prop_assert_eq!(whole.sight(one), all, "{:?} {:?}", grant, one);
            }
        }
    }

    /// Time takes nothing away, unless an instant of revocation or expiry passes.
    #[test]
    fn monotone_in_time((built, known) in any_world(), days in 0_i64..4000) {
        let later = Built { now: built.now + Duration::days(days), ..built.clone() };
        let token = &built.access.token;
        let instants = [token.expires_at, token.revoked_at, built.access.customer.expires_at];
        let passed = instants.into_iter().flatten().any(|at| built.now < at && at <= later.now);
        for one in &known {
            prop_assert!(within(later.sight(one), built.sight(one)), "time gives nothing");
            prop_assert!(passed || later.sight(one) == built.sight(one));
        }
    }

    /// A further grant, a later limit and an earlier publication show no less.
    #[test]
    fn more_rights_show_no_less((built, known) in any_world(), days in 0_i64..10) {
        let fewer = built.with(|access| { access.grants.pop(); });
        let longer = built.with(|access| for grant in &mut access.grants {
            grant.updates_until = grant.updates_until.map(|until| until + Duration::days(days));
        });
        let any_version = built.with(|access| for grant in &mut access.grants { grant.constraint = Constraint::any(); });
        for one in &known {
            let earlier = Known { published_at: one.published_at - Duration::days(days), ..one.clone() };
            let now = built.sight(one);
            prop_assert!(within(fewer.sight(one), now));
            prop_assert!(within(now, longer.sight(one)));
            prop_assert!(within(now, any_version.sight(one)));
            prop_assert!(within(now, built.sight(&earlier)));
        }
    }

    /// Frozen without a list he sees what he saw, whatever the time, and nothing that came later.
    #[test]
    fn frozen_is_what_was_visible((built, known) in any_world(), days in 1_i64..4) {
        let built = built.with(|access| { active(access); access.token.expires_at = None; access.token.revoked_at = None; });
        let seen: Vec<Known> = known.iter().filter(|one| one.published_at <= built.now).cloned().collect();
        let mut frozen = freeze(&built, &seen);
        frozen.now += Duration::days(days);
        for one in &seen {
            prop_assert_eq!(frozen.sight(one), built.sight(one));
            let later = Known { published_at: built.now + Duration::seconds(1), ..one.clone() };
            prop_assert_eq!(frozen.sight(&later), Sight::default());
        }
    }

    /// Any list whatever: no more than without it, and a grant taken away takes its versions along.
    #[test]
    fn a_freeze_never_widens((built, known) in any_world()) {
        let free = built.with(|access| access.customer.frozen = None);
        let without = built.with(|access| { access.grants.pop(); });
        let free_without = free.with(|access| { access.grants.pop(); });
        for one in &known {
            prop_assert!(within(built.sight(one), free.sight(one)));
            prop_assert!(within(without.sight(one), free_without.sight(one)));
        }
    }

    /// No lapse gives anything; what is left grows from `forbid` over `keep-metadata` to `keep`.
    #[test]
    fn lapses_narrow_in_order((built, known) in any_world()) {
        let left = |left| built.with(|access| (access.policy.lapsed_suspended, access.policy.lapsed_expired) = (left, left));
        let [forbid, metadata, keep] = [Lapsed::Forbid, Lapsed::KeepMetadata, Lapsed::Keep].map(left);
        let good = keep.with(|access| {
            active(access);
            for grant in &mut access.grants { grant.status = GrantStatus::Active; }
        });
        for one in &known {
            prop_assert!(within(forbid.sight(one), metadata.sight(one)));
            prop_assert!(within(metadata.sight(one), keep.sight(one)));
            prop_assert!(within(keep.sight(one), good.sight(one)));
            prop_assert!(metadata.sight(one).visible == keep.sight(one).visible);
        }
    }

    /// Kept is what was there at the lapse: the view then, without what came later.
    #[test]
    fn kept_is_what_was_there((built, known) in granted_world(), days in 0_i64..10) {
        let at = crate::build::day(days);
        let before = Built { now: at, ..built.clone() };
        let kept = built.with(|access| {
            access.customer.status = CustomerStatus::Suspended { reason: None };
            access.customer.lapsed_at = Some(at);
            access.policy.lapsed_suspended = Lapsed::Keep;
        });
        // A suspended grant follows the same choice; it is not what is asked here.
        let before = before.with(|access| access.policy.lapsed_suspended = Lapsed::Keep);
        for one in &known {
            let expected = if one.published_at <= at { before.sight(one) } else { Sight::default() };
            prop_assert_eq!(kept.sight(one), expected);
        }
    }

    /// A token never makes wider, and another customer's grants on other packages change nothing.
    #[test]
    fn a_token_never_widens((built, known) in any_world()) {
        let open = built.with(|access| access.token = cargoman_licence::Token::of_no_one());
        for one in &known {
            prop_assert!(within(built.sight(one), open.sight(one)));
            let own = built.with(|access| access.grants.retain(|grant| match &grant.target {
                Target::Package(name) => *name == one.package,
                Target::Collection(_) => true,
            }));
            prop_assert_eq!(own.decide(one), built.decide(one));
        }
    }

    /// In metadata exactly when the dist answers, but for yanked versions and where a lapse leaves metadata alone.
    #[test]
    fn metadata_and_dists_agree((built, known) in any_world()) {
        for one in &known {
            let decision = built.decide(one);
            let metadata_alone = matches!(&decision.rule, Rule::Lapsed { lapse } | Rule::GrantSuspended { lapse, .. } if lapse.left == Lapsed::KeepMetadata);
            prop_assert!(!decision.visible || decision.installable || metadata_alone, "{:?}", decision);
            prop_assert!(!decision.installable || decision.visible || one.yanked, "{:?}", decision);
            prop_assert!(one.taken_down.is_none() || (!decision.visible && !decision.installable));
        }
    }

    /// The reason says what the answer says; the grant it names shows the version by itself.
    #[test]
    fn rules_are_true((built, known) in any_world()) {
        for one in &known {
            let view = built.view(&one.package);
            let decision = built.decide(one);
            prop_assert_eq!(Sight { visible: decision.visible, installable: decision.installable }, view.sight(one.facts()));
            let only = |id: &String| built.with(|access| access.grants.retain(|grant| grant.id == *id)).sight(one);
            let nothing = !decision.visible && !decision.installable;
            match &decision.rule {
                Rule::Granted { grant } => prop_assert_eq!(only(grant), Sight { visible: true, installable: true }),
                Rule::Yanked { grant } => prop_assert_eq!(only(grant), Sight { visible: false, installable: true }),
                Rule::TakenDown { .. } => prop_assert!(nothing && one.taken_down.is_some()),
                Rule::Token { .. } => prop_assert!(nothing && refusal(&built.access, built.now).is_some()),
                Rule::TokenScope => prop_assert!(nothing && !view.covers()),
                Rule::Frozen { .. } => {
                    prop_assert!(nothing);
                    let thawed = built.with(|access| access.customer.frozen = None);
                    let shown = !matches!(thawed.decide(one).rule, Rule::Hidden { .. } | Rule::NoGrant);
                    prop_assert!(shown);
                }
                Rule::Lapsed { .. } | Rule::GrantSuspended { .. } => prop_assert!(!decision.installable),
                Rule::NoGrant => prop_assert!(nothing && !view.covers()),
                Rule::Hidden { failed, renewable } => {
                    prop_assert!(nothing && failed.iter().all(|(_, parts)| !parts.nothing() && !parts.only_the_suspension()));
                    let renewed = built.with(|access| for grant in &mut access.grants { grant.updates_until = None; });
                    prop_assert!(renewable.is_none() || one.yanked || renewed.sight(one).visible);
                    prop_assert!(renewable.is_none() || failed.iter().any(|(_, parts)| parts.only_the_date()));
                }
            }
            let explanation = view.explain(one.facts());
            prop_assert_eq!(&explanation.decision, &decision);
            prop_assert!(!(decision.visible || decision.installable) || explanation.grants.iter().any(|grant| grant.shows));
        }
    }

    /// The order of the grants does not change what is seen.
    #[test]
    fn order_does_not_matter((built, known) in any_world()) {
        let reversed = built.with(|access| access.grants.reverse());
        for one in &known {
            prop_assert_eq!(reversed.sight(one), built.sight(one));
        }
    }

    /// Written and read again, an access decides the same.
    #[test]
    fn survives_the_wire((built, known) in any_world()) {
        let text = serde_json::to_string(&built.access).unwrap();
        let again: Access = serde_json::from_str(&text).unwrap();
        let again = built.with(|access| *access = again);
        for one in &known {
            prop_assert_eq!(again.sight(one), built.sight(one));
        }
    }

    /// A dry run is the two views side by side.
    #[test]
    fn a_difference_is_both_ways((built, known) in any_world(), (other, _) in any_world()) {
        for one in &known {
            let (a, b) = (built.view(&one.package), other.view(&one.package));
            let (there, back) = (difference(&a, &b, [one.facts()]), difference(&b, &a, [one.facts()]));
            prop_assert_eq!((&there.gained, &there.lost), (&back.lost, &back.gained));
            prop_assert_eq!(there.gained.is_empty(), within(other.sight(one), built.sight(one)));
        }
    }
}
