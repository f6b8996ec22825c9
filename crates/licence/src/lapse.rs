//! What becomes of a customer or a grant that lapsed: the tenant's choice.

use cargoman_composer::stability::Stability;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What a tenant chose for all his customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantPolicy {
    /// Used where neither grant nor customer names a stability; without it `stable`.
    pub minimum_stability: Option<Stability>,
    /// What is left to suspended customers, and of suspended grants.
    pub lapsed_suspended: Lapsed,
    /// What is left to expired customers.
    pub lapsed_expired: Lapsed,
}

/// What is left after a lapse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lapsed {
    /// Nothing: refused with the message.
    #[default]
    Forbid,
    /// Metadata as at the lapse, so that other packages of a project go on updating; dists are refused with the message.
    KeepMetadata,
    /// What was visible at the lapse, dists included; nothing newer.
    Keep,
}

/// How a customer or a grant lapsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LapseKind {
    /// An operator suspended it.
    Suspended,
    /// Its time is over.
    Expired,
}

/// A lapse in force, with what is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lapse {
    /// How it came.
    pub kind: LapseKind,
    /// What the operator said.
    pub reason: Option<String>,
    /// When, as far as known.
    pub since: Option<DateTime<Utc>>,
    /// What is left: the tenant's choice, or nothing where it is not known what was visible at the lapse.
    pub left: Lapsed,
}

impl Lapse {
    pub(crate) fn new(
        kind: LapseKind,
        reason: Option<String>,
        since: Option<DateTime<Utc>>,
        policy: &TenantPolicy,
    ) -> Self {
        let chosen = match kind {
            LapseKind::Suspended => policy.lapsed_suspended,
            LapseKind::Expired => policy.lapsed_expired,
        };
        Self { kind, reason, since, left: if since.is_some() { chosen } else { Lapsed::Forbid } }
    }

    /// Whether something published then was there at the lapse and is left.
    pub(crate) fn leaves(&self, published_at: DateTime<Utc>) -> bool {
        self.left != Lapsed::Forbid && self.since.is_some_and(|since| published_at <= since)
    }
}
