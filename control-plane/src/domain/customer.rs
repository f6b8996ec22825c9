//! A customer and what he was given, as the API shows them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::domain::id::{CustomerId, GrantId, TokenId};

/// A customer.
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
    /// `active`, `suspended` or `expired`; expired too once `expires_at` has passed.
    pub status: String,
    /// Why.
    pub status_reason: Option<String>,
    /// From then on he counts as expired.
    pub expires_at: Option<DateTime<Utc>>,
    /// Used where a grant names none.
    pub minimum_stability: Option<String>,
    /// Whatever the vendor keeps beside him.
    pub metadata: Option<Value>,
    /// When he was made.
    pub created_at: DateTime<Utc>,
    /// When he was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Customer {
    /// Shows `expired` once the time has come: it acts by itself at that instant.
    #[must_use]
    pub fn as_of(mut self, now: DateTime<Utc>) -> Self {
        if self.status == "active" && self.expires_at.is_some_and(|at| at <= now) {
            "expired".clone_into(&mut self.status);
        }
        self
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
}

impl Token {
    /// Whether it is still good at `now`.
    #[must_use]
    pub fn is_good(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| at > now)
    }
}

/// What a customer may see of one package.
#[derive(Debug, Clone, Serialize)]
pub struct Grant {
    /// Id.
    pub id: GrantId,
    /// Name of the package.
    pub package: String,
    /// Which versions, as the operator wrote it.
    pub constraint: String,
    /// The least stable version shown.
    pub minimum_stability: Option<String>,
    /// Versions published up to this instant.
    pub updates_until: Option<DateTime<Utc>>,
    /// When it was given.
    pub created_at: DateTime<Utc>,
}
