//! The rule book. See `Rule` for every way a question can end.

use cargoman_composer::name::PackageName;
use cargoman_composer::stability::Stability;
use cargoman_composer::version::Version;
use chrono::{DateTime, Utc};

use crate::{Access, CustomerStatus, Grant};

/// What the rules look at in a version. One per (version, reference): a branch has many references.
#[derive(Debug, Clone, Copy)]
pub struct VersionFacts<'a> {
    /// The normalized version.
    pub version: &'a Version,
    /// Further normalized names it goes by: branch aliases.
    pub aliases: &'a [Version],
    /// When this registry first saw the reference.
    pub published_at: DateTime<Utc>,
    /// Whether it was taken out of metadata.
    pub yanked: bool,
}

/// The answer to "may he see it", and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it stands in his metadata.
    pub visible: bool,
    /// Whether its dist is his. Differs from `visible` for yanked versions: they leave metadata, locks keep working.
    pub installable: bool,
    /// Why, for people.
    pub rule: Rule,
}

/// Why a version is visible or hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The grant with this id shows it.
    Granted {
        /// Id of the grant.
        grant: String,
    },
    /// A grant shows it, but it was yanked.
    Yanked,
    /// The token may not read, or is over.
    Token,
    /// The token is narrowed to other packages.
    TokenScope,
    /// The customer is suspended or expired.
    Customer,
    /// There is no grant on the package.
    NoGrant,
    /// Every grant on the package leaves it out; what each failed on.
    Hidden {
        /// Pairs of grant id and what failed, in the order of the grants.
        failed: Vec<(String, Failed)>,
    },
}

/// The parts of one grant that leave a version out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Failed {
    /// The constraint does not match.
    pub constraint: bool,
    /// It is less stable than the grant shows.
    pub stability: bool,
    /// It was published after `updates_until`.
    pub updates_until: bool,
}

impl Failed {
    /// Only the date leaves it out: a renewal would show it.
    #[must_use]
    pub const fn only_the_date(self) -> bool {
        self.updates_until && !self.constraint && !self.stability
    }

    const fn nothing(self) -> bool {
        !self.constraint && !self.stability && !self.updates_until
    }
}

/// May the bearer of `access` see `version` of `package` at `now`?
#[must_use]
pub fn decide(access: &Access, package: &PackageName, version: VersionFacts<'_>, now: DateTime<Utc>) -> Decision {
    let hidden = |rule| Decision { visible: false, installable: false, rule };
    if let Some(rule) = refusal(access, now) {
        return hidden(rule);
    }
    if !access.token.package_scopes.is_empty() && !access.token.package_scopes.iter().any(|glob| glob.matches(package))
    {
        return hidden(Rule::TokenScope);
    }
    let mut failed = Vec::new();
    for grant in access.grants.iter().filter(|grant| grant.package == *package) {
        let parts = look_at(grant, access.customer.minimum_stability, version);
        if parts.nothing() {
            return match version.yanked {
                true => Decision { visible: false, installable: true, rule: Rule::Yanked },
                false => Decision { visible: true, installable: true, rule: Rule::Granted { grant: grant.id.clone() } },
            };
        }
        failed.push((grant.id.clone(), parts));
    }
    hidden(if failed.is_empty() { Rule::NoGrant } else { Rule::Hidden { failed } })
}

/// Why the bearer is refused everything, whatever his grants say; none when his grants decide.
#[must_use]
pub fn refusal(access: &Access, now: DateTime<Utc>) -> Option<Rule> {
    let token = &access.token;
    let over = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at <= now);
    if over(token.revoked_at) || over(token.expires_at) || !token.scope.reads() {
        return Some(Rule::Token);
    }
    if access.customer.status != CustomerStatus::Active || over(access.customer.expires_at) {
        return Some(Rule::Customer);
    }
    None
}

fn look_at(grant: &Grant, customer_stability: Option<Stability>, version: VersionFacts<'_>) -> Failed {
    let minimum = grant.minimum_stability.or(customer_stability).unwrap_or(Stability::Stable);
    let matches = |candidate: &Version| grant.constraint.matches(candidate);
    Failed {
        constraint: !matches(version.version) && !version.aliases.iter().any(matches),
        stability: version.version.stability() > minimum,
        updates_until: grant.updates_until.is_some_and(|until| version.published_at > until),
    }
}

#[cfg(test)]
mod tests;
