//! The facts about a customer and his token that decide what he sees. Shapes only; the rules stand in `decide`.

use cargoman_composer::constraint::Constraint;
use cargoman_composer::name::PackageName;
use cargoman_composer::stability::Stability;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::PackageGlob;

/// Everything known about the bearer of one token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Access {
    /// The token itself.
    pub token: Token,
    /// Whose it is.
    pub customer: Customer,
    /// What the customer was given.
    pub grants: Vec<Grant>,
}

/// A customer's Composer credential, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// Opaque id, `tok_id_…`.
    pub id: String,
    /// The last four characters, for messages.
    pub last_four: String,
    /// What the token may be used for.
    pub scope: Scope,
    /// Packages the token is narrowed to; empty: all that the customer has.
    pub package_scopes: Vec<PackageGlob>,
    /// From this instant on the token is no good.
    pub expires_at: Option<DateTime<Utc>>,
    /// Since when it is revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reading packages.
    Download,
    /// Reading, and managing the customer's own tokens.
    Admin,
    /// Reading and uploading.
    Developer,
    /// Calling hooks; no reading at all.
    Webhook,
}

impl Scope {
    /// As written in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Admin => "admin",
            Self::Developer => "developer",
            Self::Webhook => "webhook",
        }
    }

    /// Whether Composer may read with it.
    #[must_use]
    pub const fn reads(self) -> bool {
        !matches!(self, Self::Webhook)
    }
}

/// A customer, as far as his rights go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// What an operator made of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum CustomerStatus {
    /// He sees what his grants show.
    Active,
    /// He is refused, with the reason.
    Suspended {
        /// Shown to his developers.
        reason: Option<String>,
    },
    /// His time is over.
    Expired,
}

/// What a customer may see of one package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Opaque id, `grant_…`.
    pub id: String,
    /// The package.
    pub package: PackageName,
    /// Which versions; `*` for all.
    pub constraint: Constraint,
    /// The least stable version shown; without it the customer's, then the tenant's, then `stable`.
    pub minimum_stability: Option<Stability>,
    /// Versions published up to and including this instant.
    pub updates_until: Option<DateTime<Utc>>,
}
