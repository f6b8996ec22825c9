//! A customer, as far as his rights go, and which of his states is in force.

use cargoman_composer::stability::Stability;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Freeze, Lapse, LapseKind, TenantPolicy};

/// A customer, as far as his rights go.
///
/// Suspension, the end of his time and a freeze are kept beside each other, so that lifting one brings back the state before:
/// a frozen customer who was suspended is frozen again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Customer {
    /// Opaque id, `cust_…`.
    pub id: String,
    /// For messages.
    pub name: String,
    /// What an operator made of him.
    pub status: CustomerStatus,
    /// From this instant on he counts as expired, whatever `status` says.
    pub expires_at: Option<DateTime<Utc>>,
    /// Used where a grant names no stability of its own.
    pub minimum_stability: Option<Stability>,
    /// When `status` ceased to be active. Where the tenant keeps something for lapsed customers and this is missing, nothing is
    /// kept: no one knows what was visible then.
    #[serde(default)]
    pub lapsed_at: Option<DateTime<Utc>>,
    /// What he is held at.
    #[serde(default)]
    pub frozen: Option<Freeze>,
    /// Whether his metadata shows where the source lies; without it as the package, then the tenant says. No rule of this crate
    /// looks at it.
    #[serde(default)]
    pub source_shown: Option<bool>,
}

/// What an operator made of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum CustomerStatus {
    /// He sees what his grants show.
    Active,
    /// He is suspended; what is left to him is the tenant's choice.
    Suspended {
        /// Shown to his developers.
        reason: Option<String>,
    },
    /// His time is over; what is left to him is the tenant's choice.
    Expired,
}

/// The state that is in force, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectiveStatus {
    /// He sees what his grants show.
    Active,
    /// He is held at a list of versions.
    Frozen,
    /// His time is over.
    Expired,
    /// An operator suspended him.
    Suspended,
}

impl Customer {
    /// The state in force at `now`: suspended before expired before frozen before active.
    #[must_use]
    pub fn effective(&self, now: DateTime<Utc>) -> EffectiveStatus {
        match self.status {
            CustomerStatus::Suspended { .. } => EffectiveStatus::Suspended,
            CustomerStatus::Expired => EffectiveStatus::Expired,
            CustomerStatus::Active if self.time_ran_out(now) => EffectiveStatus::Expired,
            CustomerStatus::Active if self.frozen.is_some() => EffectiveStatus::Frozen,
            CustomerStatus::Active => EffectiveStatus::Active,
        }
    }

    /// Every lapse in force at `now`, the suspension first. A customer may be suspended and expired at once; then both narrow.
    #[must_use]
    pub fn lapses(&self, policy: &TenantPolicy, now: DateTime<Utc>) -> Vec<Lapse> {
        let mut lapses = Vec::new();
        if let CustomerStatus::Suspended { reason } = &self.status {
            lapses.push(Lapse::new(LapseKind::Suspended, reason.clone(), self.lapsed_at, policy));
        }
        let by_itself = self.expires_at.filter(|_| self.time_ran_out(now));
        let by_hand = self.status == CustomerStatus::Expired;
        if by_hand || by_itself.is_some() {
            let since = self.lapsed_at.filter(|_| by_hand).into_iter().chain(by_itself).min();
            lapses.push(Lapse::new(LapseKind::Expired, None, since, policy));
        }
        lapses
    }

    fn time_ran_out(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}
