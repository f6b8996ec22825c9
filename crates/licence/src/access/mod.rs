//! The facts about the bearer of one token that decide what he sees. Shapes only; the rules stand in `decide`.

mod rights;
mod wire;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use rights::Rights;

use crate::{Customer, Grant, PackageGlob, TenantPolicy};

/// Everything known about the bearer of one token, but for the collections his grants name: each of those is known on its own,
/// so that a change of one names one thing and not every customer who has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "wire::Access", into = "wire::Access")]
pub struct Access {
    /// The token itself.
    pub token: Token,
    /// Whose it is.
    pub customer: Customer,
    /// What the customer was given.
    pub grants: Vec<Grant>,
    /// What his tenant chose for all customers. Known on its own too: whoever decides puts it in.
    pub policy: TenantPolicy,
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

impl Token {
    /// No token at all: what explanations, exports and dry runs about a customer put in its place. Narrows nothing.
    #[must_use]
    pub const fn of_no_one() -> Self {
        Self {
            id: String::new(),
            last_four: String::new(),
            scope: Scope::Download,
            package_scopes: Vec::new(),
            expires_at: None,
            revoked_at: None,
        }
    }
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
