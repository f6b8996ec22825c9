//! A tenant: one isolated registry.

use std::collections::BTreeMap;

use cargoman_composer::stability::Stability;
use cargoman_edge_protocol::{Message, Messages, Outage, OutageMode, Source, Template, TenantId};
use cargoman_licence::{Lapsed, TenantPolicy};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::access::WordError;
use crate::domain::text::line;

/// A tenant as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Tenant {
    /// Id.
    #[serde(serialize_with = "display")]
    pub id: TenantId,
    /// Short name; the first label of its host in the zone.
    pub slug: String,
    /// For people.
    pub name: String,
    /// Whether it answers on hosts that are no one else's.
    pub is_default: bool,
    /// `active` or `suspended`.
    pub status: String,
    /// Why it is suspended.
    pub status_reason: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

fn display<S: serde::Serializer>(id: &TenantId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("ten_{id}"))
}

/// Choices of a tenant. Every field has a default, so that an older row reads well; a newer one too, for what this program does
/// not know is not its business.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether metadata shows where the source lies.
    pub source: Source,
    /// Used where neither grant nor customer names a stability; without it `stable`.
    pub minimum_stability: Option<Stability>,
    /// What is left to those who lapsed.
    pub lapsed: LapsedChoices,
    /// Where customers renew.
    pub renew_url: Option<String>,
    /// Words to customers, by occasion; only those that are not the default ones.
    pub messages: BTreeMap<Message, Template>,
    /// Guards operators from themselves.
    pub brake: Brake,
    /// What edges do when they hear nothing.
    pub outage: Outage,
    /// Whether customers are sent to the storage itself for dists; else edges give them.
    pub dist_redirects: bool,
}

/// What is left to those who lapsed, by how it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LapsedChoices {
    /// To suspended customers, and of suspended grants.
    pub suspended: Lapsed,
    /// To customers whose time is over.
    pub expired: Lapsed,
}

/// How much one operator may take away in an hour without being asked once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Brake {
    /// Customers who lose something; null: as many as he likes.
    pub customers_per_hour: Option<u32>,
}

impl Default for Brake {
    fn default() -> Self {
        Self { customers_per_hour: Some(1000) }
    }
}

impl Settings {
    /// The part that decides who sees what.
    #[must_use]
    pub fn policy(&self) -> TenantPolicy {
        TenantPolicy {
            minimum_stability: self.minimum_stability,
            lapsed_suspended: self.lapsed.suspended,
            lapsed_expired: self.lapsed.expired,
        }
    }

    /// The part that customers read.
    #[must_use]
    pub fn words(&self) -> Messages {
        Messages { renew_url: self.renew_url.clone(), templates: self.messages.clone() }
    }
}

/// Whether metadata shows where the source lies.
///
/// # Errors
/// When it is another word.
pub fn source(text: &str) -> Result<Source, WordError> {
    match text {
        "hide" => Ok(Source::Hide),
        "show" => Ok(Source::Show),
        _ => Err(WordError("must be hide or show".to_owned())),
    }
}

/// What edges do when they hear nothing.
///
/// # Errors
/// When it is another word.
pub fn outage_mode(text: &str) -> Result<OutageMode, WordError> {
    match text {
        "serve-stale" => Ok(OutageMode::ServeStale),
        "fail-closed" => Ok(OutageMode::FailClosed),
        _ => Err(WordError("must be serve-stale or fail-closed".to_owned())),
    }
}

/// What is left after a lapse.
///
/// # Errors
/// When it is another word.
pub fn lapsed(text: &str) -> Result<Lapsed, WordError> {
    match text {
        "forbid" => Ok(Lapsed::Forbid),
        "keep-metadata" => Ok(Lapsed::KeepMetadata),
        "keep" => Ok(Lapsed::Keep),
        _ => Err(WordError("must be forbid, keep-metadata or keep".to_owned())),
    }
}

/// The address of a page, as written.
///
/// # Errors
/// When a browser could not open it.
pub fn web_address(text: &str) -> Result<String, WordError> {
    let wrong = || WordError("must be the address of a page, https://… or http://…".to_owned());
    let text = line(text, 500).map_err(|error| WordError(error.to_string()))?;
    let url = url::Url::parse(&text).map_err(|_| wrong())?;
    // Customers read it: it must hold no password, and braces would look like a template's.
    let plain = url.username().is_empty() && url.password().is_none() && !text.contains(['{', '}']);
    let whole = url.host().is_some() && !text.contains(char::is_whitespace);
    let good = matches!(url.scheme(), "http" | "https") && whole && plain;
    if good { Ok(text) } else { Err(wrong()) }
}

/// A vendor of the tenant, as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Vendor {
    /// The part before the slash.
    pub name: String,
    /// Whether every name under it is the tenant's.
    pub exclusive: bool,
    /// Names under it that install from packagist.org.
    pub public_names: Vec<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_of_other_releases_read_well() {
        for (row, expected) in [
            (json!({}), Settings::default()),
            (json!({"source": "show"}), Settings { source: Source::Show, ..Settings::default() }),
            (json!({"brake": {}, "lapsed": {}, "of_a_later_release": 1}), Settings::default()),
            (
                json!({"brake": {"customers_per_hour": null}}),
                Settings { brake: Brake { customers_per_hour: None }, ..Settings::default() },
            ),
        ] {
            let read: Settings = serde_json::from_value(row.clone()).unwrap();
            assert_eq!(read, expected, "{row}");
            let again = serde_json::from_value(serde_json::to_value(&read).unwrap()).unwrap();
            assert_eq!(read, again, "{row}");
        }
    }

    #[test]
    fn web_addresses() {
        for (text, good) in [
            ("https://acme.example/renew?from=composer", true),
            (" http://localhost:8080 ", true),
            ("acme.example/renew", false),
            ("javascript:alert(1)", false),
            ("mailto:a@acme.example", false),
            ("https://", false),
            ("https://acme.example/a b", false),
            ("https://user:secret@acme.example", false),
            ("https://acme.example/{customer}", false),
            ("", false),
        ] {
            assert_eq!(web_address(text).is_ok(), good, "{text}");
        }
    }
}
