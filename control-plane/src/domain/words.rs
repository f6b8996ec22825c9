//! Decides how a decision of the licence rules reads for people: one sentence per rule, and here alone.

use cargoman_licence::{Access, Explanation, Failed, Grant, Lapse, LapseKind, Rule, TokenFault};
use chrono::{DateTime, Utc};

/// Why a version is visible or hidden, as one sentence. `current` is false for an earlier commit of a branch, which no metadata
/// shows.
#[must_use]
pub fn words(access: &Access, explanation: &Explanation, current: bool) -> String {
    let decision = &explanation.decision;
    let what = match (decision.visible && current, decision.installable) {
        (true, true) => "visible",
        (true, false) => "visible, but not installable",
        (false, true) => "installable, but not in metadata",
        (false, false) => "hidden",
    };
    let mut sentence = format!("{what}: {}", reason(access, &decision.rule));
    if !current && decision.installable {
        sentence.push_str("; it is an earlier commit of its branch, and metadata shows the newest alone");
    }
    sentence
}

fn reason(access: &Access, rule: &Rule) -> String {
    match rule {
        Rule::Granted { grant } => format!("{} shows it", described(access, grant)),
        Rule::Yanked { grant } => {
            format!("it was yanked; {} still gives it to locked installs", described(access, grant))
        }
        Rule::TakenDown { reason } => format!("it was taken down: {reason}"),
        Rule::Token { fault } => token(*fault),
        Rule::TokenScope => "the token is narrowed to other packages".to_owned(),
        Rule::Lapsed { lapse } => lapsed("the customer", lapse),
        Rule::Frozen { since } => {
            format!("the customer is frozen since {}, and it is not among what he is held at", day(*since))
        }
        Rule::NoGrant => "no grant is on the package".to_owned(),
        Rule::GrantSuspended { grant, lapse } => {
            format!("no other grant shows it, and {}", lapsed(&described(access, grant), lapse))
        }
        Rule::Hidden { failed, renewable } => hidden(access, failed, *renewable),
    }
}

fn hidden(access: &Access, failed: &[(String, Failed)], renewable: Option<DateTime<Utc>>) -> String {
    let each = failed.iter().map(|(id, failed)| format!("{id} by {}", parts(grant(access, id), *failed)));
    let mut sentence = format!("every grant on the package leaves it out: {}", each.collect::<Vec<_>>().join("; "));
    if let Some(until) = renewable {
        sentence.push_str(&format!("; updates were paid for until {}, and a renewal alone would show it", day(until)));
    }
    sentence
}

/// The parts of a grant that leave a version out.
fn parts(grant: Option<&Grant>, failed: Failed) -> String {
    let constraint = grant.map_or("", |grant| grant.constraint.as_str().trim());
    let until = grant.and_then(|grant| grant.updates_until).map(day).unwrap_or_default();
    let parts = [
        (failed.constraint, format!("its constraint {constraint}")),
        (failed.stability, "its stability".to_owned()),
        (failed.updates_until, format!("the end of its updates, {until}")),
        (failed.collection_constraint, "the constraint of its collection".to_owned()),
        (failed.collection_stability, "the stability of its collection".to_owned()),
        (failed.suspended, "its suspension".to_owned()),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|(failed, _)| *failed).map(|(_, words)| words).collect();
    parts.join(" and ")
}

/// A grant by its id and what it says.
fn described(access: &Access, id: &str) -> String {
    let Some(grant) = grant(access, id) else { return id.to_owned() };
    let mut says = vec![grant.constraint.as_str().trim().to_owned()];
    says.extend(grant.minimum_stability.map(|stability| format!("stability {stability}")));
    says.extend(grant.updates_until.map(|until| format!("until {}", day(until))));
    says.extend(grant.target.collection().map(|collection| format!("through {collection}")));
    format!("{id} ({})", says.join(", "))
}

fn grant<'a>(access: &'a Access, id: &str) -> Option<&'a Grant> {
    access.grants.iter().find(|grant| grant.id == id)
}

fn token(fault: TokenFault) -> String {
    match fault {
        TokenFault::Revoked { at } => format!("the token was revoked on {}", day(at)),
        TokenFault::Expired { at } => format!("the token expired on {}", day(at)),
        TokenFault::Scope { scope } => format!("a token of the scope {} reads nothing", scope.as_str()),
    }
}

fn lapsed(who: &str, lapse: &Lapse) -> String {
    let how = match lapse.kind {
        LapseKind::Suspended => "is suspended",
        LapseKind::Expired => "is expired",
    };
    let since = lapse.since.map(|since| format!(" since {}", day(since))).unwrap_or_default();
    let why = lapse.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{who} {how}{since}{why}")
}

/// A day, and the time too unless it is midnight.
fn day(at: DateTime<Utc>) -> String {
    let midnight = at.time() == chrono::NaiveTime::MIN;
    at.format(if midnight { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M:%S UTC" }).to_string()
}

#[cfg(test)]
mod tests {
    use cargoman_composer::name::PackageName;
    use cargoman_composer::stability::Stability;
    use cargoman_composer::version::Version;
    use cargoman_licence::{
        Collection, CollectionId, Customer, CustomerStatus, Freeze, GrantStatus, Lapsed, PackageGlob, Scope, Target,
        TenantPolicy, Token, VersionFacts, View,
    };

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn package() -> PackageName {
        PackageName::parse("acme/pay").unwrap()
    }

    fn granted(id: &str, constraint: &str) -> Grant {
        let mut grant = Grant::on(id, package());
        grant.constraint = constraint.parse().unwrap();
        grant
    }

    fn access(grants: Vec<Grant>) -> Access {
        let customer = Customer {
            id: "cust_1".into(),
            name: "Ann".into(),
            status: CustomerStatus::Active,
            expires_at: None,
            minimum_stability: None,
            lapsed_at: None,
            frozen: None,
            source_shown: None,
        };
        Access { token: Token::of_no_one(), customer, grants, policy: TenantPolicy::default() }
    }

    /// The sentence on acme/pay 2.1.0 of 2025-08-01.
    fn said(access: &Access, yanked: bool, taken_down: Option<&str>, current: bool) -> String {
        let suite = Collection {
            id: CollectionId("coll_1".into()),
            packages: vec![PackageGlob::parse("acme/*").unwrap()].into(),
            constraint: Some("^1".parse().unwrap()),
            minimum_stability: None,
        };
        let lookup = |_: &CollectionId| Some(&suite);
        let version = Version::parse("2.1.0").unwrap();
        let facts = VersionFacts {
            version: &version,
            aliases: &[],
            reference: "abc",
            published_at: at("2025-08-01T00:00:00Z"),
            yanked,
            taken_down,
        };
        let explanation = View::new(access, &lookup, &package(), at("2026-01-01T00:00:00Z")).explain(facts);
        words(access, &explanation, current)
    }

    #[test]
    fn one_sentence_per_rule() {
        let mut until = granted("grant_1", "^2.0");
        until.updates_until = Some(at("2025-12-31T12:00:00Z"));
        until.minimum_stability = Some(Stability::Beta);
        let shown = access(vec![until.clone()]);
        let what = "grant_1 (^2.0, stability beta, until 2025-12-31 12:00:00 UTC)";
        assert_eq!(said(&shown, false, None, true), format!("visible: {what} shows it"));
        assert_eq!(
            said(&shown, true, None, true),
            format!("installable, but not in metadata: it was yanked; {what} still gives it to locked installs")
        );
        assert_eq!(
            said(&shown, false, None, false),
            format!(
                "installable, but not in metadata: {what} shows it; it is an earlier commit of its branch, and metadata shows the newest alone"
            )
        );
        assert_eq!(said(&shown, false, Some("malware"), true), "hidden: it was taken down: malware");
        assert_eq!(said(&access(vec![]), false, None, true), "hidden: no grant is on the package");

        let mut token = shown.clone();
        token.token.package_scopes = vec![PackageGlob::parse("x/*").unwrap()];
        assert_eq!(said(&token, false, None, true), "hidden: the token is narrowed to other packages");
        token.token.scope = Scope::Webhook;
        assert_eq!(said(&token, false, None, true), "hidden: a token of the scope webhook reads nothing");
        token.token.expires_at = Some(at("2025-02-01T00:00:00Z"));
        assert_eq!(said(&token, false, None, true), "hidden: the token expired on 2025-02-01");
        token.token.revoked_at = Some(at("2025-01-31T00:00:00Z"));
        assert_eq!(said(&token, false, None, true), "hidden: the token was revoked on 2025-01-31");

        let mut frozen = shown.clone();
        frozen.customer.frozen = Some(Freeze::new(at("2025-01-31T00:00:00Z")));
        assert_eq!(
            said(&frozen, false, None, true),
            "hidden: the customer is frozen since 2025-01-31, and it is not among what he is held at"
        );
        let mut suspended = shown.clone();
        suspended.customer.status = CustomerStatus::Suspended { reason: Some("unpaid".into()) };
        suspended.customer.lapsed_at = Some(at("2025-10-01T00:00:00Z"));
        let since = "the customer is suspended since 2025-10-01 (unpaid)";
        assert_eq!(said(&suspended, false, None, true), format!("hidden: {since}"));
        suspended.policy.lapsed_suspended = Lapsed::KeepMetadata;
        assert_eq!(said(&suspended, false, None, true), format!("visible, but not installable: {since}"));
        let mut expired = shown;
        expired.customer.expires_at = Some(at("2025-10-01T00:00:00Z"));
        assert_eq!(said(&expired, false, None, true), "hidden: the customer is expired since 2025-10-01");
    }

    #[test]
    fn what_each_grant_fails_on() {
        let mut late = granted("grant_2", "*");
        late.updates_until = Some(at("2025-01-31T00:00:00Z"));
        let through = Grant::on("grant_3", Target::Collection(CollectionId("coll_1".into())));
        let mut both = granted("grant_4", "^1.1");
        both.updates_until = late.updates_until;
        let hidden = access(vec![granted("grant_1", " ^1.0 "), late, through, both]);
        assert_eq!(
            said(&hidden, false, None, true),
            "hidden: every grant on the package leaves it out: grant_1 by its constraint ^1.0; \
             grant_2 by the end of its updates, 2025-01-31; grant_3 by the constraint of its collection; \
             grant_4 by its constraint ^1.1 and the end of its updates, 2025-01-31; \
             updates were paid for until 2025-01-31, and a renewal alone would show it"
        );
        let mut unpaid = granted("grant_5", "*");
        unpaid.status = GrantStatus::Suspended { reason: Some("unpaid".into()), since: None };
        assert_eq!(
            said(&access(vec![unpaid]), false, None, true),
            "hidden: no other grant shows it, and grant_5 (*) is suspended (unpaid)"
        );
    }
}
