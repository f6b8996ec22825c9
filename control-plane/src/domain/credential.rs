//! An operator's credential as the API shows it, and the levels there are. What a level may do stands in `http::operator`.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::access::WordError;
use crate::domain::id::CredentialId;

/// How much an operator's credential may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything of its tenant.
    Owner,
    /// Everything but credentials.
    Admin,
    /// Reading.
    Viewer,
    /// Uploading to and syncing the packages of its patterns.
    Publisher,
}

impl Level {
    /// As written in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Viewer => "viewer",
            Self::Publisher => "publisher",
        }
    }

    /// Reads a level.
    ///
    /// # Errors
    /// When there is no such level.
    pub fn parse(text: &str) -> Result<Self, WordError> {
        [Self::Owner, Self::Admin, Self::Viewer, Self::Publisher]
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| WordError("must be one of owner, admin, viewer, publisher".to_owned()))
    }
}

/// An operator's credential, without its secret.
#[derive(Debug, Clone, Serialize)]
pub struct Credential {
    /// Id.
    pub id: CredentialId,
    /// For people.
    pub name: String,
    /// Where to write.
    pub email: Option<String>,
    /// How much it may do.
    pub level: Level,
    /// Patterns of the packages that a publisher may upload to and sync; empty for the other levels.
    pub package_scopes: Vec<String>,
    /// The last four characters.
    pub last_four: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From then on it is no good.
    pub expires_at: Option<DateTime<Utc>>,
    /// Since when it is revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl Credential {
    /// Whether it is still good at `now`.
    #[must_use]
    pub fn is_good(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| at > now)
    }
}
