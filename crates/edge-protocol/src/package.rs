use cargoman_composer::name::PackageName;
use cargoman_composer::version::Version as NormalizedVersion;
use cargoman_credential::Digest;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Source;

/// A package with all its published versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: PackageName,
    /// Set when its owner gave it up.
    #[serde(default)]
    pub abandoned: Option<Abandoned>,
    /// Where the source lies; an edge shows it only where the tenant says so.
    #[serde(default)]
    pub source_url: Option<String>,
    /// Whether its metadata shows where the source lies; without it as the tenant says.
    #[serde(default)]
    pub source: Option<Source>,
    /// Newest first, by PHP's `version_compare`; numbered versions and branches alike.
    pub versions: Vec<Version>,
}

/// What stands in `abandoned`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandoned {
    /// The package to use instead.
    pub replacement: Option<String>,
}

/// One published version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Normalized, as in `version_normalized`.
    pub version: NormalizedVersion,
    /// Further normalized names it goes by.
    #[serde(default)]
    pub aliases: Vec<NormalizedVersion>,
    /// When this registry first saw `reference`.
    pub published_at: DateTime<Utc>,
    /// Whether it was taken out of metadata.
    #[serde(default)]
    pub yanked: bool,
    /// Set when it was taken down (malware, a court): the reason, for those who are otherwise entitled.
    #[serde(default)]
    pub taken_down: Option<String>,
    /// Set when its owner advises against this version alone.
    #[serde(default)]
    pub deprecated: Option<Abandoned>,
    /// Commit id, lower-case hexadecimal.
    pub reference: String,
    /// The archive of that commit.
    pub dist: Dist,
    /// The version object of the p2 file, without `dist` and `source`: `name`, `version`, `version_normalized`, `require`, …
    pub metadata: Metadata,
    /// Earlier references of a branch, whose dists stay installable.
    #[serde(default)]
    pub past: Vec<PastReference>,
}

/// A JSON object as text: most of what is read, and nobody on the way looks into it but who shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(Box<RawValue>);

impl Metadata {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl Default for Metadata {
    /// An object of nothing.
    fn default() -> Self {
        Self::from(RawValue::from_string("{}".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

impl From<Box<RawValue>> for Metadata {
    fn from(text: Box<RawValue>) -> Self {
        Self(text)
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

/// An earlier head of a branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastReference {
    /// Commit id, lower-case hexadecimal.
    pub reference: String,
    /// When this registry first saw it.
    pub published_at: DateTime<Utc>,
    /// The archive of that commit.
    pub dist: Dist,
}

/// A stored archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dist {
    /// SHA-256 of the bytes: its name in storage, and what an edge checks.
    pub sha256: Digest,
    /// SHA-1 of the bytes, 40 hexadecimal digits: what Composer checks.
    pub sha1: String,
    /// In bytes.
    pub size: u64,
}
