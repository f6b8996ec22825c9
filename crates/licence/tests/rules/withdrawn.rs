//! Yanked versions and versions taken down.

use cargoman_licence::{Decision, Rule, Sight};

use crate::build::{Known, access, grant};
use crate::worked_examples::{acme_pay, built};

#[test]
fn a_yanked_version_leaves_metadata_only() {
    let yanked = Known { yanked: true, ..acme_pay().remove(0) };
    let rule = Rule::Yanked { grant: "g".to_owned() };
    let of_all = built(access(vec![grant("g", "acme/pay", "*")]));
    assert_eq!(of_all.decide(&yanked), Decision { visible: false, installable: true, rule });
    let of_others = built(access(vec![grant("g", "acme/pay", "^2")]));
    assert_eq!(of_others.sight(&yanked), Sight::default());
}

/// The reason is told to those alone who would have it.
#[test]
fn a_version_taken_down_is_gone() {
    let rule = Rule::TakenDown { reason: "malware".to_owned() };
    for yanked in [false, true] {
        let down = Known { taken_down: Some("malware"), yanked, ..acme_pay().remove(0) };
        let of_all = built(access(vec![grant("g", "acme/pay", "*")])).decide(&down);
        assert_eq!(of_all, Decision { visible: false, installable: false, rule: rule.clone() });
        let of_others = built(access(vec![grant("g", "acme/pay", "^2")])).decide(&down);
        assert!(matches!(of_others.rule, Rule::Hidden { .. }), "{of_others:?}");
        assert_eq!(built(access(vec![])).decide(&down).rule, Rule::NoGrant);
    }
}
