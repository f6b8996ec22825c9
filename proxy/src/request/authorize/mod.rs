//! Step 5: may this bearer do this.
//!
//! The rules themselves are the licence crate's; this file only asks them, and words the answer for each row of the table of
//! answers. A dist is decided here by (version, reference), never by reference alone and never by what metadata showed.

#[cfg(test)]
mod agreement;

use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::{Dist, Message};
use cargoman_licence::{Lapse, LapseKind, Lapsed, Rule, View};

use super::bearer::{About, Bearer, facts_at};
use super::refuse::Refusal;
use super::segment::is_named;
use crate::cache::packages::KeptPackage;

/// Whether the bearer may read anything here at all.
pub(crate) fn enter(bearer: &Bearer<'_>) -> Result<(), Refusal> {
    if let Some(words) = &bearer.tenant.suspended {
        return Err(Refusal::TenantSuspended { words: words.clone() });
    }
    let token = &bearer.access.token;
    if !token.scope.reads() {
        return Err(Refusal::Scope { scope: token.scope.as_str() });
    }
    match cargoman_licence::refusal(bearer.access, bearer.now) {
        None => Ok(()),
        Some(Rule::Lapsed { lapse }) => Err(Refusal::Told { words: of_lapse(bearer, &lapse, About::default()) }),
        Some(_) => Err(Refusal::Unauthorized),
    }
}

/// The words about a customer's lapse.
pub(crate) fn of_lapse(bearer: &Bearer<'_>, lapse: &Lapse, about: About<'_>) -> String {
    let message = match lapse.kind {
        LapseKind::Suspended => Message::Suspended,
        LapseKind::Expired => Message::Expired,
    };
    bearer.words(message, About { reason: lapse.reason.as_deref(), until: lapse.since, ..about })
}

/// The refusal of a package of which nothing shows because a grant on it is suspended, and nothing is left of that.
pub(crate) fn suspended_package(bearer: &Bearer<'_>, view: &View<'_>, package: &PackageName) -> Option<Refusal> {
    let (_, lapse) = view.suspended_grant().filter(|(_, lapse)| view.covers() && lapse.left == Lapsed::Forbid)?;
    let about = About { package: package.as_str(), ..About::default() };
    Some(Refusal::Told { words: of_grant(bearer, lapse, about) })
}

/// The archive at (`version`, `reference`), as in the path of a dist.
pub(crate) fn dist<'p>(
    bearer: &Bearer<'_>,
    package: &'p KeptPackage,
    (version, reference): (&str, &str),
) -> Result<&'p Dist, Refusal> {
    if !bearer.has_grant(&package.name) {
        return Err(Refusal::NotFound);
    }
    let position =
        package.versions.iter().position(|candidate| is_named(candidate, version)).ok_or(Refusal::NotFound)?;
    let version = package.versions.get(position).ok_or(Refusal::NotFound)?;
    let (published_at, dist) = if version.reference == reference {
        (version.published_at, &version.dist)
    } else {
        let past = version.past.iter().find(|past| past.reference == reference).ok_or(Refusal::NotFound)?;
        (past.published_at, &past.dist)
    };
    let decision = bearer.view(&package.name).decide(facts_at(version, reference, published_at));
    if decision.installable {
        return Ok(dist);
    }
    let pretty = package.words(position).map_or(version.version.normalized(), |words| &words.pretty);
    Err(hidden(bearer, &package.name, pretty, &decision.rule))
}

/// The refusal of a dist that is there, for a customer who has something of its package.
fn hidden(bearer: &Bearer<'_>, package: &PackageName, version: &str, rule: &Rule) -> Refusal {
    let unnamed = About { package: package.as_str(), ..About::default() };
    let about = About { version, ..unnamed };
    let words = match rule {
        Rule::Lapsed { lapse } => of_lapse(bearer, lapse, about),
        Rule::GrantSuspended { lapse, .. } => of_grant(bearer, lapse, about),
        Rule::TakenDown { reason } => bearer.words(Message::TakenDown, About { reason: Some(reason), ..about }),
        Rule::Hidden { renewable: Some(until), .. } => {
            bearer.words(Message::BeyondUpdates, About { until: Some(*until), ..about })
        }
        Rule::Frozen { since } => bearer.words(Message::Frozen, About { until: Some(*since), ..unnamed }),
        // Whoever is not given a version is not told its name either.
        _ => bearer.words(Message::NotCovered, unnamed),
    };
    Refusal::Told { words }
}

fn of_grant(bearer: &Bearer<'_>, lapse: &Lapse, about: About<'_>) -> String {
    bearer.words(Message::GrantSuspended, About { reason: lapse.reason.as_deref(), until: lapse.since, ..about })
}
