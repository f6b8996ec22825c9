//! The bearer's view of one package: everything that does not depend on the version is worked out once.

use cargoman_composer::name::PackageName;
use cargoman_composer::stability::Stability;
use chrono::{DateTime, Utc};

use super::bounds::Bounds;
use super::sieve::Sieve;
use super::{Decision, Rule, Sight, VersionFacts, in_token_scope, refusal};
use crate::{Access, Collections, EffectiveStatus, Grant, Lapse};

/// What the bearer of an access sees of one package at one instant. Ask it about as many versions as there are.
pub struct View<'a> {
    /// Refused everything, or everything of this package.
    pub(super) refused: Option<Rule>,
    pub(super) in_token_scope: bool,
    pub(super) status: EffectiveStatus,
    pub(super) bounds: Bounds<'a>,
    /// In the order of the grants.
    pub(super) sieves: Vec<Sieve<'a>>,
}

/// A version that a longer `updates_until` alone would show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// Its position among the versions asked about.
    pub position: usize,
    /// The limit that hides it.
    pub until: DateTime<Utc>,
}

impl<'a> View<'a> {
    /// The view of `package` that `access` gives at `now`.
    #[must_use]
    pub fn new(access: &'a Access, collections: &Collections<'a>, package: &PackageName, now: DateTime<Utc>) -> Self {
        let in_token_scope = in_token_scope(access, package);
        let out_of_scope = || (!in_token_scope).then_some(Rule::TokenScope);
        let mut sieves: Vec<Sieve<'a>> = Vec::new();
        for grant in &access.grants {
            if let Some(mut sieve) = Sieve::of(grant, access, collections, package) {
                sieve.repeats = sieves.iter().any(|before| !before.repeats && before.shows_as(&sieve));
                sieves.push(sieve);
            }
        }
        Self {
            refused: refusal(access, now).or_else(out_of_scope),
            in_token_scope,
            status: access.customer.effective(now),
            bounds: Bounds::of(access, package, now),
            sieves,
        }
    }

    /// Whether the customer was given the package, whatever became of it, and the token is not narrowed to others. Where not,
    /// it is to him like a package that does not exist.
    #[must_use]
    pub const fn covers(&self) -> bool {
        self.in_token_scope && !self.sieves.is_empty()
    }

    /// A suspended grant on the package with its suspension. Where nothing of the package is visible, its message is due.
    #[must_use]
    pub fn suspended_grant(&self) -> Option<(&'a Grant, &Lapse)> {
        self.sieves.iter().find_map(|sieve| Some((sieve.grant, sieve.lapse.as_ref()?)))
    }

    /// Whether he sees a version, without the reason.
    #[must_use]
    pub fn sight(&self, facts: VersionFacts<'_>) -> Sight {
        if self.refused.is_some() || facts.taken_down.is_some() || !self.bounds.hold(facts) {
            return Sight::default();
        }
        let customer_installs = self.bounds.withhold_dists().is_none();
        let mut sight = Sight::default();
        for sieve in self.sieves.iter().filter(|sieve| !sieve.repeats && sieve.shows(facts)) {
            sight.visible = !facts.yanked;
            sight.installable = customer_installs && sieve.withholds_dists().is_none();
            if sight.installable || !customer_installs {
                break;
            }
        }
        sight
    }

    /// Whether he sees a version, and why.
    #[must_use]
    pub fn decide(&self, facts: VersionFacts<'_>) -> Decision {
        let Sight { visible, installable } = self.sight(facts);
        Decision { visible, installable, rule: self.rule(facts) }
    }

    /// Among versions, the newest that a longer `updates_until` alone would put into his metadata; releases before branches.
    pub fn renewal<'v>(&self, versions: impl IntoIterator<Item = VersionFacts<'v>>) -> Option<Renewal> {
        let hidden = versions.into_iter().enumerate().filter(|(_, facts)| !facts.yanked && !self.sight(*facts).visible);
        let renewable = hidden
            .filter_map(|(position, facts)| Some((facts.version, Renewal { position, until: self.renewable(facts)? })));
        let newest = renewable.max_by_key(|(version, _)| (version.stability() != Stability::Dev, *version));
        newest.map(|(_, renewal)| renewal)
    }

    fn rule(&self, facts: VersionFacts<'_>) -> Rule {
        if let Some(rule) = &self.refused {
            return rule.clone();
        }
        if self.sieves.is_empty() {
            return Rule::NoGrant;
        }
        let mut showing = self.sieves.iter().filter(|sieve| sieve.shows(facts)).peekable();
        let Some(first) = showing.peek().copied() else { return self.hidden(facts) };
        if let Some(rule) = self.bounds.broken(facts) {
            return rule;
        }
        if let Some(lapse) = self.bounds.withhold_dists() {
            return Rule::Lapsed { lapse: lapse.clone() };
        }
        let installing = showing.find(|sieve| sieve.withholds_dists().is_none());
        let grant = installing.unwrap_or(first).grant.id.clone();
        if let (None, Some(lapse)) = (installing, &first.lapse) {
            return Rule::GrantSuspended { grant, lapse: lapse.clone() };
        }
        match facts.taken_down {
            Some(reason) => Rule::TakenDown { reason: reason.to_owned() },
            None if facts.yanked => Rule::Yanked { grant },
            None => Rule::Granted { grant },
        }
    }

    /// Why no grant shows it.
    fn hidden(&self, facts: VersionFacts<'_>) -> Rule {
        let failed: Vec<_> = self.sieves.iter().map(|sieve| (sieve, sieve.failed(facts))).collect();
        for (sieve, parts) in &failed {
            if let (true, Some(lapse)) = (parts.only_the_suspension(), &sieve.lapse) {
                return Rule::GrantSuspended { grant: sieve.grant.id.clone(), lapse: lapse.clone() };
            }
        }
        Rule::Hidden {
            failed: failed.iter().map(|(sieve, parts)| (sieve.grant.id.clone(), *parts)).collect(),
            renewable: self.renewable(facts),
        }
    }

    /// The latest limit that alone keeps a version from him.
    fn renewable(&self, facts: VersionFacts<'_>) -> Option<DateTime<Utc>> {
        if self.refused.is_some() || facts.taken_down.is_some() || !self.bounds.hold(facts) {
            return None;
        }
        let by_date_alone = self.sieves.iter().filter(|sieve| sieve.failed(facts).only_the_date());
        by_date_alone.filter_map(|sieve| sieve.limit_passed(facts.published_at)).max()
    }
}
