//! The answers, for programs and for people.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{Lapse, Scope};

/// The answer to "may he see it", and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Whether it stands in his metadata.
    pub visible: bool,
    /// Whether its dist is his. Differs from `visible` for yanked versions, which leave metadata while locks keep working, and
    /// where a lapse leaves metadata alone.
    pub installable: bool,
    /// Why, for people.
    pub rule: Rule,
}

/// A decision without its reason, which costs nothing to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sight {
    /// Whether it stands in his metadata.
    pub visible: bool,
    /// Whether its dist is his.
    pub installable: bool,
}

/// Why a version is visible or hidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Rule {
    /// The grant with this id shows it.
    Granted {
        /// Id of the grant.
        grant: String,
    },
    /// The grant shows it, but it was yanked: it stays installable.
    Yanked {
        /// Id of the grant.
        grant: String,
    },
    /// A grant shows it, but it was taken down.
    TakenDown {
        /// Why.
        reason: String,
    },
    /// The token may not read, or is over.
    Token {
        /// What is wrong with it.
        fault: TokenFault,
    },
    /// The token is narrowed to other packages.
    TokenScope,
    /// The customer is suspended or expired. Nothing is left, or this is not part of it, or its metadata alone.
    Lapsed {
        /// The lapse.
        lapse: Lapse,
    },
    /// He is frozen, and this is not what he is held at.
    Frozen {
        /// Since when.
        since: DateTime<Utc>,
    },
    /// There is no grant on the package.
    NoGrant,
    /// Only a suspended grant would show it. Nothing is left of it, or its metadata alone.
    GrantSuspended {
        /// Id of the grant.
        grant: String,
        /// Its suspension.
        lapse: Lapse,
    },
    /// Every grant on the package leaves it out; what each failed on.
    Hidden {
        /// Pairs of grant id and what failed, in the order of the grants.
        failed: Vec<(String, Failed)>,
        /// The latest `updates_until` of those that fail on nothing else, where a renewal alone would give it to him.
        renewable: Option<DateTime<Utc>>,
    },
}

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum TokenFault {
    /// It was revoked.
    Revoked {
        /// When.
        at: DateTime<Utc>,
    },
    /// Its time is over.
    Expired {
        /// Since when.
        at: DateTime<Utc>,
    },
    /// Its scope does not read.
    Scope {
        /// The scope.
        scope: Scope,
    },
}

/// The parts of one grant that leave a version out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Failed {
    /// The constraint does not match.
    pub constraint: bool,
    /// It is less stable than the grant shows.
    pub stability: bool,
    /// It was published after `updates_until`.
    pub updates_until: bool,
    /// The constraint of the grant's collection does not match.
    pub collection_constraint: bool,
    /// It is less stable than the grant's collection shows.
    pub collection_stability: bool,
    /// The grant is suspended, and this is not part of what is left of it.
    pub suspended: bool,
}

impl Failed {
    /// Only the date leaves it out: a renewal would show it.
    #[must_use]
    pub fn only_the_date(self) -> bool {
        self == Self { updates_until: true, ..Self::default() }
    }

    /// Only the grant's suspension leaves it out: a reactivation would show it.
    #[must_use]
    pub fn only_the_suspension(self) -> bool {
        self == Self { suspended: true, ..Self::default() }
    }

    /// Nothing leaves it out: the grant shows it.
    #[must_use]
    pub fn nothing(self) -> bool {
        self == Self::default()
    }
}
