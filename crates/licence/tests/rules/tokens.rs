//! Tokens: which are good for nothing, and that one never makes its bearer wider than his customer.

use cargoman_licence::{Access, Rule, Scope, TokenFault, covers, no_collections, refusal};

use crate::build::{access, at, globs, grant, name};
use crate::worked_examples::{acme_pay, built, sees};

fn granted() -> Access {
    access(vec![grant("g", "acme/pay", "*")])
}

#[test]
fn good_for_nothing() {
    let now = at("2026-01-01");
    let (before, after) = (at("2025-12-31"), at("2026-01-01T00:00:00.000001Z"));
    let mut cases = vec![(granted(), None); 7];
    cases[0].0.token.revoked_at = Some(before);
    cases[0].1 = Some(TokenFault::Revoked { at: before });
    cases[1].0.token.expires_at = Some(now);
    cases[1].1 = Some(TokenFault::Expired { at: now });
    cases[2].0.token.scope = Scope::Webhook;
    cases[2].1 = Some(TokenFault::Scope { scope: Scope::Webhook });
    cases[3].0.token.expires_at = Some(after);
    cases[4].0.token.revoked_at = Some(after);
    cases[5].0.token.scope = Scope::Admin;
    cases[6].0.token.scope = Scope::Developer;
    for (case, fault) in cases {
        assert_eq!(refusal(&case, now), fault.map(|fault| Rule::Token { fault }), "{:?}", case.token);
        assert_eq!(sees(&built(case)).is_empty(), fault.is_some());
    }
}

#[test]
fn narrowed() {
    for (scopes, expected) in [
        (vec!["acme/pay"], 4),
        (vec!["acme/p*"], 4),
        (vec!["*"], 4),
        (vec!["acme/other"], 0),
        (vec!["acme/other", "*/pay"], 4),
        (vec!["acme/pa"], 0),
    ] {
        let mut access = granted();
        access.token.package_scopes = globs(&scopes);
        assert_eq!(covers(&access, &no_collections, &name("acme/pay")), expected > 0);
        let built = built(access);
        assert_eq!(sees(&built).len(), expected, "{scopes:?}");
        assert_eq!(built.decide(&acme_pay()[0]).rule == Rule::TokenScope, expected == 0);
    }
}

#[test]
fn a_scope_gives_nothing_that_was_not_granted() {
    let mut access = granted();
    access.token.package_scopes = globs(&["acme/cart"]);
    assert!(!covers(&access, &no_collections, &name("acme/cart")));
}
