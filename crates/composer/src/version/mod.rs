//! Versions: reading them, ordering them, and naming those that come from tags and branches.
//!
//! A [`Version`] holds Composer's normalized form, never the text a person wrote; the pretty form is kept by whoever
//! shows it. Nothing here decides who may see a version.

mod normalize;
mod order;
mod source;
mod suffix;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::stability::Stability;

pub(crate) use normalize::normalize_any_length;
pub use normalize::{MAX_VERSION_BYTES, normalize, normalize_branch, parse_stability};
pub(crate) use order::Pieces;
pub use order::compare;
pub(crate) use source::alias_target;
pub use source::{
    BranchError, BranchVersion, DEFAULT_BRANCH_ALIAS, TagError, TagVersion, branch_alias, branch_version,
    default_branch_alias, tag_version,
};
pub(crate) use suffix::{Suffix, suffix};

/// A normalized version such as `1.2.0.0-beta1` or `dev-main`, ready to be compared. Cheap to clone.
///
/// Two versions are equal when their texts are. They are ordered like PHP's `version_compare`, oldest first, ties
/// (`1.0.0.0-alpha1` and `1.0.0.0-a1`) and texts that PHP cannot order consistently broken by piece and by text.
#[derive(Clone)]
pub struct Version(Arc<Parsed>);

struct Parsed {
    text: Box<str>,
    stability: Stability,
    pieces: Pieces,
}

/// Why a text is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Composer cannot normalize it.
    #[error("`{}` is not a version Composer can read: write it like 1.2.3, v1.2.3-beta1, 1.2.x-dev or dev-<branch>", shown(.version))]
    Invalid {
        /// The text as given.
        version: String,
    },
    /// Longer than [`MAX_VERSION_BYTES`].
    #[error("the version is {length} bytes long: at most {MAX_VERSION_BYTES} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

/// A text as it may stand in a message: without control characters and not too long.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

impl Version {
    /// Reads a pretty version: `v1.2`, `1.x-dev`, `dev-main`.
    ///
    /// # Errors
    /// When Composer refuses the text or it is longer than [`MAX_VERSION_BYTES`].
    pub fn parse(pretty: &str) -> Result<Self, VersionError> {
        normalize(pretty).map(|normalized| Self::from_normalized(&normalized))
    }

    /// The version of a branch of that name: numeric branches are comparable, others are `dev-<name>`.
    #[must_use]
    pub fn from_branch(branch: &str) -> Self {
        Self::from_normalized(&normalize_branch(branch))
    }

    /// Takes a text that is already normalized, from the database or another program of ours. Trusted, not checked.
    #[must_use]
    pub fn from_normalized(text: &str) -> Self {
        Self(Arc::new(Parsed { text: text.into(), stability: parse_stability(text), pieces: Pieces::of(text) }))
    }

    /// The normalized text.
    #[must_use]
    pub fn normalized(&self) -> &str {
        &self.0.text
    }

    /// How stable the version claims to be.
    #[must_use]
    pub fn stability(&self) -> Stability {
        self.0.stability
    }

    /// Is it a branch without a number (`dev-…`)? Such versions are never inside a range.
    #[must_use]
    pub fn is_branch(&self) -> bool {
        self.0.text.starts_with("dev-")
    }

    /// PHP's `version_compare` of the normalized texts, for matching constraints.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.0.pieces.compare(&other.0.pieces)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.pieces.total(&other.0.pieces).then_with(|| self.0.text.cmp(&other.0.text))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0.text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0.text)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.text)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from_normalized(&String::deserialize(deserializer)?))
    }
}
