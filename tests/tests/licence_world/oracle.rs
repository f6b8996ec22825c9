//! The rules, read from the prose of the licence design alone and written down as plainly as possible: one question at a time, no
//! view, no cache, nothing prepared. None of the registry's own code decides anything here.

use std::collections::BTreeSet;

use crate::model::{Customer, Grant, Left, Model, Package, PackageAt, Reference, Target, Time, Token, Version, meant};
use crate::version::Stability;

/// What somebody asks the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// One of the two files of a package.
    Metadata { name: String, dev: bool },
    /// An archive, by the normalized version and the commit.
    Dist { name: String, version: String, reference: String },
    /// The names of all packages.
    List,
}

/// What must come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Only this status.
    Status(u16),
    /// Exactly these versions, each as normalized form and commit.
    Versions(BTreeSet<(String, String)>),
    /// No version, or a refusal that names a suspended grant: the rules leave open which, where that grant would show nothing
    /// even if it were in force.
    NothingOr403,
    /// Exactly these names.
    Names(BTreeSet<String>),
}

/// What a customer's state leaves to him: until when, and whether dists.
struct Lapse {
    left: Left,
    since: Time,
}

/// Who asks, and when.
pub(crate) struct Asker<'a> {
    pub(crate) model: &'a Model,
    pub(crate) customer: &'a Customer,
    pub(crate) token: &'a Token,
    pub(crate) now: Time,
}

impl Asker<'_> {
    pub(crate) fn expects(&self, question: &Question) -> Expected {
        if let Some(status) = self.refused() {
            return Expected::Status(status);
        }
        match question {
            Question::List => Expected::Names(self.names()),
            Question::Metadata { name, dev } => self.metadata(name, *dev),
            Question::Dist { name, version, reference } => Expected::Status(self.dist(name, version, reference)),
        }
    }

    /// Refused everything.
    fn refused(&self) -> Option<u16> {
        if self.token.revoked || self.token.expires.is_some_and(|at| at <= self.now) {
            return Some(401);
        }
        let nothing_left = || self.lapses().iter().any(|lapse| lapse.left == Left::Forbid);
        (!self.token.reads || nothing_left()).then_some(403)
    }

    /// Whether one reference stands in metadata, and whether its dist answers.
    pub(crate) fn sees(&self, at: PackageAt, version: usize, reference: &Reference) -> (bool, bool) {
        if self.refused().is_some() {
            return (false, false);
        }
        let found = &self.model.packages[at].versions[version];
        let head = found.head().commit == reference.commit;
        (head && self.visible(at, version), self.installable(at, found, reference))
    }

    fn metadata(&self, name: &str, dev: bool) -> Expected {
        let Some(at) = self.model.packages.iter().position(|package| package.name == name) else {
            // Nothing there: an empty list under a vendor that is the tenant's alone.
            return if name.starts_with("acme/") { Expected::Versions(BTreeSet::new()) } else { Expected::Status(404) };
        };
        let package = &self.model.packages[at];
        let mut shown = (0..package.versions.len()).filter(|version| self.visible(at, *version)).peekable();
        if shown.peek().is_none() {
            return self.nothing_of(at);
        }
        let in_file = shown.map(|version| &package.versions[version]);
        let in_file = in_file.filter(|version| (version.stability == Stability::Dev) == dev);
        Expected::Versions(in_file.map(|version| (version.normalized.clone(), version.head().commit.clone())).collect())
    }

    /// The answer where not one version of a package is visible.
    fn nothing_of(&self, at: PackageAt) -> Expected {
        let package = &self.model.packages[at];
        if self.in_globs(&package.name) {
            let suspended = || self.grants_on(at).filter(|grant| grant.suspended.is_some());
            let lost = |grant: &Grant| {
                package.versions.iter().any(|version| {
                    self.stays(at, version, version.head())
                        && !version.yanked
                        && self.grant_takes(grant, version, version.head())
                })
            };
            if self.model.policy.suspended == Left::Forbid && suspended().any(lost) {
                return Expected::Status(403);
            }
            if suspended().next().is_some() {
                return Expected::NothingOr403;
            }
        }
        if package.exclusive || self.grants_on(at).next().is_some() {
            Expected::Versions(BTreeSet::new())
        } else {
            Expected::Status(404)
        }
    }

    fn dist(&self, name: &str, version: &str, reference: &str) -> u16 {
        let found = self.model.packages.iter().position(|package| package.name == name);
        let Some(at) = found.filter(|at| self.grants_on(*at).next().is_some()) else { return 404 };
        let package = &self.model.packages[at];
        let Some(version) = package.versions.iter().find(|one| one.normalized == version) else { return 404 };
        let Some(reference) = version.references.iter().find(|one| one.commit == reference) else { return 404 };
        if self.installable(at, version, reference) { 200 } else { 403 }
    }

    fn names(&self) -> BTreeSet<String> {
        let all = self.model.packages.iter().enumerate();
        let shown = all.filter(|(at, package)| (0..package.versions.len()).any(|version| self.visible(*at, version)));
        shown.map(|(_, package)| package.name.clone()).collect()
    }

    /// Whether it stands in metadata.
    pub(crate) fn visible(&self, at: PackageAt, version: usize) -> bool {
        let version = &self.model.packages[at].versions[version];
        let head = version.head();
        !version.yanked && self.stays(at, version, head) && self.granted(at, version, head, Left::KeepMetadata)
    }

    /// Whether its dist answers.
    pub(crate) fn installable(&self, at: PackageAt, version: &Version, reference: &Reference) -> bool {
        self.lapses().iter().all(|lapse| lapse.left == Left::Keep)
            && self.stays(at, version, reference)
            && self.granted(at, version, reference, Left::Keep)
    }

    /// Everything but the grants: not taken down, inside the token's globs, published before each lapse, part of the freeze.
    fn stays(&self, at: PackageAt, version: &Version, reference: &Reference) -> bool {
        let package = &self.model.packages[at];
        let held = self.customer.frozen.as_ref().is_none_or(|freeze| {
            reference.published <= freeze.since && freeze.versions.contains(&(at, position(package, version)))
        });
        !version.taken_down
            && self.in_globs(&package.name)
            && self.lapses().iter().all(|lapse| reference.published <= lapse.since)
            && held
    }

    /// Whether one grant shows it, all parts of that one grant together. Of a suspended grant only `least` or more counts.
    fn granted(&self, at: PackageAt, version: &Version, reference: &Reference, least: Left) -> bool {
        self.grants_on(at).any(|grant| {
            let in_force = grant.suspended.is_none_or(|since| {
                let left = self.model.policy.suspended;
                (left == Left::Keep || left == least) && reference.published <= since
            });
            in_force && self.grant_takes(grant, version, reference)
        })
    }

    fn grant_takes(&self, grant: &Grant, version: &Version, reference: &Reference) -> bool {
        let minimum = grant.minimum.or(self.customer.minimum).or(self.model.policy.minimum);
        let mut takes = grant.constraint.takes(version.number, version.main)
            && version.stability >= minimum.unwrap_or(Stability::Stable)
            && grant.until.is_none_or(|until| reference.published <= until);
        if let Target::Collection(collection) = grant.target {
            let collection = &self.model.collections[collection];
            takes &= collection.minimum.is_none_or(|minimum| version.stability >= minimum);
            takes &= collection.constraint.as_ref().is_none_or(|one| one.takes(version.number, version.main));
        }
        takes
    }

    fn grants_on(&self, at: PackageAt) -> impl Iterator<Item = &Grant> {
        let name = &self.model.packages[at].name;
        self.customer.grants.iter().filter(move |grant| match grant.target {
            Target::Package(package) => package == at,
            Target::Collection(collection) => {
                self.model.collections[collection].packages.iter().any(|pattern| meant(pattern, name))
            }
        })
    }

    fn in_globs(&self, name: &str) -> bool {
        self.token.globs.is_empty() || self.token.globs.iter().any(|glob| meant(glob, name))
    }

    fn lapses(&self) -> Vec<Lapse> {
        let policy = &self.model.policy;
        let suspended = self.customer.suspended.map(|since| Lapse { left: policy.suspended, since });
        let expired = self.customer.expires.filter(|at| *at <= self.now);
        suspended.into_iter().chain(expired.map(|since| Lapse { left: policy.expired, since })).collect()
    }
}

fn position(package: &Package, version: &Version) -> usize {
    package.versions.iter().position(|one| one.normalized == version.normalized).expect("one of its versions")
}
