//! Decides what a forge's delivery says: that it is the forge's ([`signature`]), and which repository changed. Pure.
//!
//! What is read here is a hint, never the state: a delivery can be late, twice, or made up by whoever knows the secret. All it brings
//! about is that a repository is looked at.

mod bitbucket;
mod gitea;
mod github;
mod gitlab;
mod packagist;
pub mod signature;

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::repository_key::RepositoryKey;
use crate::domain::text;

/// Who sends deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// github.com or GitHub Enterprise.
    Github,
    /// gitlab.com or one's own.
    Gitlab,
    /// Bitbucket Cloud or Data Center.
    Bitbucket,
    /// Gitea or Forgejo.
    Gitea,
    /// Whatever talks to packagist.org: `POST /api/update-package`.
    Packagist,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Github, Self::Gitlab, Self::Bitbucket, Self::Gitea, Self::Packagist];

    /// As written in the API and in addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Bitbucket => "bitbucket",
            Self::Gitea => "gitea",
            Self::Packagist => "packagist",
        }
    }

    /// The provider of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == text)
    }

    /// What a delivery says, once its signature was found good.
    ///
    /// # Errors
    /// When it is none of this provider's.
    pub fn read(self, headers: &HeaderMap, body: &Value) -> Result<Delivery, Unreadable> {
        match self {
            Self::Github => github::read(headers, body),
            Self::Gitlab => gitlab::read(headers, body),
            Self::Bitbucket => bitbucket::read(headers, body),
            Self::Gitea => gitea::read(headers, body),
            Self::Packagist => packagist::read(body),
        }
    }
}

/// The delivery is not what its sender says it is; the text names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// A delivery, as far as it is of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The sender's name for this delivery; the same again is a repetition.
    pub key: Option<String>,
    /// The sender's name for what happened.
    pub event: String,
    /// What follows.
    pub hint: Hint,
}

/// What follows from a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Hint {
    /// A branch or a tag came, went or moved.
    Pushed {
        /// Where.
        repository: Remote,
    },
    /// A repository is there that was not, or may be seen now: one of a group may be a package.
    Appeared {
        /// Which.
        repository: Remote,
    },
    /// A repository has another address now.
    Moved {
        /// As it is now.
        repository: Remote,
        /// Its path until now: `acme/payment`.
        from: String,
    },
    /// It is gone.
    Gone {
        /// As it was.
        repository: Remote,
    },
    /// The sender tries out whether somebody hears.
    Ping,
    /// Nothing that packages depend on.
    Nothing,
}

/// A repository as its forge describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// The forge's own name for it, which stays when it is renamed: `github:1296269`.
    pub id: Option<String>,
    /// Every address that the delivery has for it; the first is the one to read from.
    pub addresses: Vec<String>,
    /// The end of its path, where the delivery has no address at all: `acme/pay`.
    pub path: Option<String>,
}

impl Remote {
    /// By which packages are found, each once.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let keys = self.addresses.iter().filter_map(|one| RepositoryKey::of(one));
        let mut keys: Vec<String> = keys.map(|key| key.as_str().to_owned()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The same when its path was another one.
    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        let now = self.path.as_deref().unwrap_or_default();
        let addresses = self.addresses.iter().filter_map(|address| with_path(address, now, path)).collect();
        Self { id: self.id.clone(), addresses, path: Some(path.to_owned()) }
    }
}

/// `address` with the path `to` in place of `from`, which it must end in; whether upper or lower case does not matter. Never another
/// host.
#[must_use]
pub fn with_path(address: &str, from: &str, to: &str) -> Option<String> {
    let (bare, end) = match address.strip_suffix(".git") {
        Some(bare) => (bare, ".git"),
        None => (address, ""),
    };
    let at = bare.len().checked_sub(from.len())?;
    let (front, path) = bare.split_at_checked(at)?;
    let fits = !from.is_empty() && path.eq_ignore_ascii_case(from) && front.ends_with(['/', ':']);
    fits.then(|| format!("{front}{to}{end}"))
}

/// Most characters of what a sender may name himself.
const LONGEST_NAME: usize = 200;

/// A header's text, if there is exactly one.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value).filter(|value| !value.is_empty())
}

/// A name for an event or a delivery, which will be shown to people.
fn name(text: Option<&str>) -> Option<String> {
    text.and_then(|text| text::line(text, LONGEST_NAME).ok())
}

/// The text at a path of keys.
fn at<'a>(body: &'a Value, path: &str) -> Option<&'a str> {
    body.pointer(path)?.as_str().filter(|text| !text.is_empty())
}

/// A number or a text at a path of keys, as text.
fn id_at(body: &Value, path: &str) -> Option<String> {
    match body.pointer(path)? {
        Value::String(text) => name(Some(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Those of `paths` that hold a text.
fn texts(body: &Value, paths: &[&str]) -> Vec<String> {
    paths.iter().filter_map(|path| at(body, path)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_path_at_the_same_place() {
        for (address, from, to, expected) in [
            ("https://git.example/acme/pay.git", "acme/pay", "acme/money", Some("https://git.example/acme/money.git")),
            ("https://git.example/Acme/Pay", "acme/pay", "b/c", Some("https://git.example/b/c")),
            ("git@git.example:acme/pay.git", "acme/pay", "b/c", Some("git@git.example:b/c.git")),
            ("https://git.example/xacme/pay", "acme/pay", "b/c", None),
            ("https://git.example/acme/other", "acme/pay", "b/c", None),
            ("https://git.example/acme/other", "", "b/c", None),
            ("pay", "acme/pay", "b/c", None),
        ] {
            assert_eq!(with_path(address, from, to).as_deref(), expected, "{address}");
        }
    }
}
