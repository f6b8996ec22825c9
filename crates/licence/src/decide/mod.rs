//! The rule book. See `Rule` for every way a question can end.

mod bounds;
mod explain;
mod rule;
mod sieve;
mod view;

use cargoman_composer::name::PackageName;
use cargoman_composer::version::Version;
use chrono::{DateTime, Utc};

pub use explain::{Difference, Examined, Explanation, difference};
pub use rule::{Decision, Failed, Rule, Sight, TokenFault};
pub use view::{Renewal, View};

use crate::{Access, Collections, Lapsed};

/// What the rules look at in a version. One per (version, reference): a branch has many references.
#[derive(Debug, Clone, Copy)]
pub struct VersionFacts<'a> {
    /// The normalized version.
    pub version: &'a Version,
    /// Further normalized names a branch goes by: branch aliases.
    pub aliases: &'a [Version],
    /// The commit.
    pub reference: &'a str,
    /// When this registry first saw the reference.
    pub published_at: DateTime<Utc>,
    /// Whether it was taken out of metadata.
    pub yanked: bool,
    /// Set when it was taken down (malware, a court): why.
    pub taken_down: Option<&'a str>,
}

/// May the bearer of `access` see `version` of `package` at `now`? For many versions of one package make a [`View`] once.
#[must_use]
pub fn decide<'a>(
    access: &'a Access,
    collections: &Collections<'a>,
    package: &PackageName,
    version: VersionFacts<'_>,
    now: DateTime<Utc>,
) -> Decision {
    View::new(access, collections, package, now).decide(version)
}

/// Why the bearer is refused everything, whatever his grants say; none when his grants decide.
#[must_use]
pub fn refusal(access: &Access, now: DateTime<Utc>) -> Option<Rule> {
    if let Some(fault) = token_fault(access, now) {
        return Some(Rule::Token { fault });
    }
    let lapses = access.customer.lapses(&access.policy, now);
    lapses.into_iter().find(|lapse| lapse.left == Lapsed::Forbid).map(|lapse| Rule::Lapsed { lapse })
}

/// Whether the customer was given `package`, whatever became of it, and the token is not narrowed to others. Where not, the
/// package is to him like one that does not exist.
#[must_use]
pub fn covers<'a>(access: &'a Access, collections: &Collections<'a>, package: &PackageName) -> bool {
    in_token_scope(access, package)
        && access.grants.iter().any(|grant| sieve::concerns(grant, collections, package).is_some())
}

/// Whether the token is not narrowed to other packages than this.
#[must_use]
pub fn in_token_scope(access: &Access, package: &PackageName) -> bool {
    let scopes = &access.token.package_scopes;
    scopes.is_empty() || scopes.iter().any(|glob| glob.matches(package))
}

pub(crate) fn token_fault(access: &Access, now: DateTime<Utc>) -> Option<TokenFault> {
    let token = &access.token;
    let over = |at: &DateTime<Utc>| *at <= now;
    if let Some(at) = token.revoked_at.filter(over) {
        return Some(TokenFault::Revoked { at });
    }
    if let Some(at) = token.expires_at.filter(over) {
        return Some(TokenFault::Expired { at });
    }
    (!token.scope.reads()).then_some(TokenFault::Scope { scope: token.scope })
}
