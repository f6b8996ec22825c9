//! A customer and his tokens, as the API shows them.

use cargoman_licence::EffectiveStatus;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::domain::id::{CustomerId, TokenId};

/// A customer. Suspension, end and freeze stand beside each other; which of them is in force is a matter of the instant: see
/// [`as_of`](Self::as_of).
#[derive(Debug, Clone, Serialize)]
pub struct Customer {
    /// Id.
    pub id: CustomerId,
    /// For people.
    pub name: String,
    /// Where to write.
    pub email: Option<String>,
    /// His id in the vendor's shop.
    pub external_id: Option<String>,
    /// Since when he is suspended.
    pub suspended_at: Option<DateTime<Utc>>,
    /// Why he is suspended.
    #[serde(rename = "status_reason")]
    pub suspended_reason: Option<String>,
    /// From then on he counts as expired.
    pub expires_at: Option<DateTime<Utc>>,
    /// Since when he is held at a list of versions.
    pub frozen_at: Option<DateTime<Utc>>,
    /// Used where a grant names none.
    pub minimum_stability: Option<String>,
    /// Patterns of the packages that his developer tokens may upload to.
    pub may_publish: Vec<String>,
    /// `hide` or `show`: whether his metadata shows where the source lies; without it as the package, then the tenant says.
    pub source: Option<String>,
    /// Whatever the vendor keeps beside him.
    pub metadata: Option<Value>,
    /// When he was made.
    pub created_at: DateTime<Utc>,
    /// When he was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A customer as the API shows him at an instant.
#[derive(Debug, Clone, Serialize)]
pub struct CustomerAt {
    /// The customer.
    #[serde(flatten)]
    pub customer: Customer,
    /// Which of his states is in force: `suspended`, else `expired`, else `frozen`, else `active`.
    pub status: EffectiveStatus,
}

impl Customer {
    /// Which of his states is in force at `now`.
    #[must_use]
    pub fn status(&self, now: DateTime<Utc>) -> EffectiveStatus {
        match self {
            Self { suspended_at: Some(_), .. } => EffectiveStatus::Suspended,
            Self { expires_at: Some(at), .. } if *at <= now => EffectiveStatus::Expired,
            Self { frozen_at: Some(_), .. } => EffectiveStatus::Frozen,
            _ => EffectiveStatus::Active,
        }
    }

    /// The customer with the state in force at `now`: an end acts by itself at its instant.
    #[must_use]
    pub fn as_of(self, now: DateTime<Utc>) -> CustomerAt {
        let status = self.status(now);
        CustomerAt { customer: self, status }
    }
}

/// A customer's token, without its secret.
#[derive(Debug, Clone, Serialize)]
pub struct Token {
    /// Id.
    pub id: TokenId,
    /// For people.
    pub name: String,
    /// `download`, `admin`, `developer` or `webhook`.
    pub scope: String,
    /// Packages it is narrowed to.
    pub package_scopes: Vec<String>,
    /// The last four characters.
    pub last_four: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From then on it is no good.
    pub expires_at: Option<DateTime<Utc>>,
    /// Since when it is revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to a few seconds.
    pub last_used_at: Option<DateTime<Utc>>,
    /// From where then, as far as edges told.
    pub last_used_ip: Option<String>,
}

impl Token {
    /// Whether it is still good at `now`.
    #[must_use]
    pub fn is_good(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| at > now)
    }
}

#[cfg(test)]
mod tests {
    use cargoman_licence::{CustomerStatus, Freeze};

    use super::*;

    /// The registry shows the state that the rule book acts upon, for every combination.
    #[test]
    fn the_status_shown_is_the_one_in_force() {
        let now: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        let hour = chrono::Duration::hours(1);
        for suspended in [false, true] {
            for expires_at in [None, Some(now - hour), Some(now), Some(now + hour)] {
                for frozen in [false, true] {
                    let customer = Customer {
                        id: CustomerId::default(),
                        name: String::new(),
                        email: None,
                        external_id: None,
                        suspended_at: suspended.then_some(now),
                        suspended_reason: None,
                        expires_at,
                        frozen_at: frozen.then_some(now),
                        minimum_stability: None,
                        may_publish: Vec::new(),
                        source: None,
                        metadata: None,
                        created_at: now,
                        updated_at: now,
                    };
                    let active = CustomerStatus::Active;
                    let rights = cargoman_licence::Customer {
                        id: String::new(),
                        name: String::new(),
                        status: if suspended { CustomerStatus::Suspended { reason: None } } else { active },
                        expires_at,
                        minimum_stability: None,
                        lapsed_at: None,
                        frozen: frozen.then(|| Freeze::new(now)),
                        source_shown: None,
                    };
                    assert_eq!(customer.status(now), rights.effective(now), "{suspended} {expires_at:?} {frozen}");
                }
            }
        }
    }
}
