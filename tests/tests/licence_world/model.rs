//! What this world knows about itself: everything an answer depends on, kept beside the registry and never read from it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::version::{Constraint, Number, Stability};

pub(crate) type Time = DateTime<Utc>;

/// Positions in the lists of [`Model`].
pub(crate) type PackageAt = usize;
pub(crate) type VersionAt = usize;
/// Versions of several packages.
pub(crate) type Pairs = BTreeSet<(PackageAt, VersionAt)>;

/// The whole tenant.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) policy: Policy,
    pub(crate) packages: Vec<Package>,
    pub(crate) collections: Vec<Collection>,
    pub(crate) customers: Vec<Customer>,
}

/// The tenant's choices.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Policy {
    pub(crate) minimum: Option<Stability>,
    pub(crate) suspended: Left,
    pub(crate) expired: Left,
}

/// What is left after a lapse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Left {
    #[default]
    Forbid,
    KeepMetadata,
    Keep,
}

impl Left {
    pub(crate) const ALL: [Self; 3] = [Self::Forbid, Self::KeepMetadata, Self::Keep];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Forbid => "forbid",
            Self::KeepMetadata => "keep-metadata",
            Self::Keep => "keep",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Whether its vendor is the tenant's alone.
    pub(crate) exclusive: bool,
    /// The package in whose repository it lies, and whose sync makes it.
    pub(crate) root: Option<PackageAt>,
    pub(crate) versions: Vec<Version>,
}

#[derive(Debug, Clone)]
pub(crate) struct Version {
    /// As its author writes it.
    pub(crate) pretty: String,
    pub(crate) normalized: String,
    /// Its number; of the branch `main` that of its alias, if it has one.
    pub(crate) number: Option<Number>,
    pub(crate) main: bool,
    pub(crate) stability: Stability,
    pub(crate) yanked: bool,
    pub(crate) taken_down: bool,
    /// The last one is the head; those before it are a branch's earlier ones.
    pub(crate) references: Vec<Reference>,
}

#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) commit: String,
    pub(crate) published: Time,
}

impl Version {
    pub(crate) fn head(&self) -> &Reference {
        self.references.last().expect("every version has a reference")
    }
}

#[derive(Debug)]
pub(crate) struct Collection {
    pub(crate) slug: String,
    /// Names, and patterns with one star at the end.
    pub(crate) packages: Vec<String>,
    pub(crate) constraint: Option<Constraint>,
    pub(crate) minimum: Option<Stability>,
}

#[derive(Debug)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) minimum: Option<Stability>,
    pub(crate) suspended: Option<Time>,
    pub(crate) expires: Option<Time>,
    pub(crate) frozen: Option<Freeze>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) tokens: Vec<Token>,
}

#[derive(Debug, Clone)]
pub(crate) struct Freeze {
    pub(crate) since: Time,
    pub(crate) versions: Pairs,
}

#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) id: String,
    pub(crate) target: Target,
    pub(crate) constraint: Constraint,
    pub(crate) minimum: Option<Stability>,
    pub(crate) until: Option<Time>,
    pub(crate) suspended: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Package(PackageAt),
    Collection(usize),
}

#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) plain: String,
    /// `webhook` tokens read nothing, all others read.
    pub(crate) reads: bool,
    /// Empty: everything that the customer has.
    pub(crate) globs: Vec<String>,
    pub(crate) expires: Option<Time>,
    pub(crate) revoked: bool,
}

impl Token {
    /// As if somebody had a token that nothing narrows: what the customer himself sees.
    pub(crate) fn of_all() -> Self {
        Self { id: String::new(), plain: String::new(), reads: true, globs: Vec::new(), expires: None, revoked: false }
    }
}

/// Whether a name is meant by a pattern with at most one star, at its end.
pub(crate) fn meant(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}
