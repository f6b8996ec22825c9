//! A package and its versions, as the API shows them.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::git_credential::UsedCredential;
use crate::domain::id::PackageId;

/// A package.
#[derive(Debug, Clone, Serialize)]
pub struct Package {
    /// Id.
    pub id: PackageId,
    /// `vendor/name`.
    pub name: String,
    /// Kind of its repository: `git`, one of the forges; `artifact` without one.
    #[serde(rename = "type")]
    pub repository_type: String,
    /// Where it is read from.
    pub repository_url: Option<String>,
    /// What it is read with.
    pub credential: Option<UsedCredential>,
    /// A private fork of a public package: its vendor does not become exclusive.
    pub fork: bool,
    /// `hide` or `show`: whether its metadata shows where the source lies; without it as the tenant says.
    pub source: Option<String>,
    /// Whether its owner gave it up.
    pub abandoned: bool,
    /// What to use instead.
    pub replacement: Option<String>,
    /// The branch whose composer.json gives the name.
    pub default_branch: Option<String>,
    /// End of the last whole sync.
    pub synced_at: Option<DateTime<Utc>>,
    /// Why the last sync failed, if it did.
    pub sync_error: Option<String>,
    /// Why it is not read any more until an operator says that it may.
    pub frozen_reason: Option<String>,
    /// Patterns of the folders of its repository that are packages of their own.
    pub monorepo: Option<Vec<String>>,
    /// How the tags of those packages are written; without it a tag is a version of each of them.
    pub tag_pattern: Option<String>,
    /// Patterns of the branches that are versions; without them all are. The default branch always is.
    pub branches: Option<Vec<String>>,
    /// What becomes of a release whose tag is gone: `keep` or `remove`.
    pub deleted_tags: String,
    /// When a new release becomes visible: `auto`, `manual` or `delayed`.
    pub releases: String,
    /// After how many hours, where it is delayed.
    pub release_delay_hours: Option<i32>,
    /// The package whose sync makes this one.
    pub parent: Option<String>,
    /// Its folder in that one's repository.
    pub path: Option<String>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// How many versions are published.
    pub versions: i64,
}

/// A version.
#[derive(Debug, Clone, Serialize)]
pub struct Version {
    /// As written: `v1.0.0`, `dev-main`.
    pub version: String,
    /// As compared.
    pub version_normalized: String,
    /// `stable`, `RC`, `beta`, `alpha` or `dev`.
    pub stability: String,
    /// `tag`, `branch` or `upload`.
    pub kind: String,
    /// The commit; of an upload the SHA-1 of its bytes.
    pub reference: String,
    /// When this registry first saw that reference, unless an operator corrected it.
    pub published_at: DateTime<Utc>,
    /// Since when it is left out of metadata.
    pub yanked_at: Option<DateTime<Utc>>,
    /// Since when nobody gets it any more.
    pub taken_down_at: Option<DateTime<Utc>>,
    /// Why, for those who are otherwise entitled.
    pub taken_down_reason: Option<String>,
    /// Since when the repository has not had its tag any more.
    pub gone_at: Option<DateTime<Utc>>,
    /// Since when it waits for its release, and no customer sees it.
    pub held_at: Option<DateTime<Utc>>,
    /// When it is released by itself, if it waits for that.
    pub release_at: Option<DateTime<Utc>>,
    /// Since when its owner advises against it.
    pub deprecated_at: Option<DateTime<Utc>>,
    /// The package to use instead of a deprecated version.
    pub replacement: Option<String>,
    /// SHA-1 of the dist.
    pub dist_sha1: String,
    /// SHA-256 of the dist.
    pub dist_sha256: String,
    /// Bytes of the dist.
    pub dist_size: i64,
}

/// The normalized form of a version as somebody writes it: `v1.1`, `1.1.0` and `1.1.0.0` mean one. Whoever looks one up by a text
/// tries the text itself first.
#[must_use]
pub fn normalized(text: &str) -> Option<String> {
    cargoman_composer::version::Version::parse(text).ok().map(|version| version.normalized().to_owned())
}
