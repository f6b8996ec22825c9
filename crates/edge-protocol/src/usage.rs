//! What edges hand in of what was used: one line of an edge's spool is one event, one file of it one batch.
//!
//! An edge sends a batch until it hears that it was stored, so the same one may come again; its id says that it is the same.

use std::net::IpAddr;

use cargoman_composer::name::PackageName;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::TenantId;

/// Path where an edge hands in what was used (POST, [`Batch`] → 204, also when it was known before).
pub const USAGE_PATH: &str = "/edge/v1/usage";

/// Most events of one batch.
pub const MOST_USAGE_EVENTS: usize = 1_000;

/// What an edge served in some moments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The same whenever this batch is sent.
    pub id: Uuid,
    /// In the order in which they happened.
    pub events: Vec<UsageEvent>,
}

/// One use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum UsageEvent {
    /// A dist was served.
    Download(Download),
    /// Composer said what it installed (`notify-batch`).
    Installed(Installed),
    /// A token was shown, perhaps many times since this was last said.
    TokenUsed(TokenUsed),
    /// A kind of a later release: passed over.
    #[serde(other)]
    Unknown,
}

/// A dist that was served up to its last byte, or nearly so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// Of this download: counted once, however often it is said.
    pub id: Uuid,
    /// Whose registry.
    pub tenant: TenantId,
    /// Id of the customer, `cust_…`.
    pub customer: String,
    /// Id of his token, `tok_id_…`.
    pub token: String,
    /// Which package.
    pub package: PackageName,
    /// Its version, normalized.
    pub version: String,
    /// The commit.
    pub reference: String,
    /// How much was sent: of a range only that.
    pub bytes: u64,
    /// When.
    pub at: DateTime<Utc>,
    /// Of the client.
    pub address: Option<IpAddr>,
    /// What the client calls itself.
    #[serde(default)]
    pub user_agent: String,
}

/// What Composer said it installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Of this report.
    pub id: Uuid,
    /// Whose registry.
    pub tenant: TenantId,
    /// Id of the token that reported it.
    pub token: String,
    /// Name and normalized version of each package.
    pub installs: Vec<(PackageName, String)>,
    /// When.
    pub at: DateTime<Utc>,
    /// Of the client.
    pub address: Option<IpAddr>,
    /// What the client calls itself.
    #[serde(default)]
    pub user_agent: String,
}

/// When a token was last shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsed {
    /// Whose registry.
    pub tenant: TenantId,
    /// Id of the token.
    pub token: String,
    /// When last.
    pub at: DateTime<Utc>,
    /// From where then.
    pub address: Option<IpAddr>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn later_kinds_are_passed_over_and_broken_ones_are_not() {
        let read = |event| serde_json::from_value::<Batch>(json!({"id": Uuid::nil(), "events": [event]}));
        let used = json!({"kind": "token_used", "tenant": Uuid::nil(), "token": "tok_id_1", "at": "2025-01-01T00:00:00Z",
                          "address": "::1", "mood": "good"});
        let expected = UsageEvent::TokenUsed(TokenUsed {
            tenant: TenantId(Uuid::nil()),
            token: "tok_id_1".to_owned(),
            at: "2025-01-01T00:00:00Z".parse().unwrap(),
            address: Some("::1".parse().unwrap()),
        });
        assert_eq!(read(used).unwrap().events, [expected]);
        assert_eq!(read(json!({"kind": "weather", "rain": [1]})).unwrap().events, [UsageEvent::Unknown]);
        for broken in [json!({"kind": "token_used"}), json!({"rain": 1}), json!("token_used")] {
            assert!(read(broken.clone()).is_err(), "{broken}");
        }
    }
}
