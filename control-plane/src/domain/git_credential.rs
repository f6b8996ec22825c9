//! What opens a git server, as the API shows it: never with its secret.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::access::WordError;
use crate::domain::id::GitCredentialId;

/// How it opens a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GitCredentialKind {
    /// A user name and a password or access token, over https.
    Https,
    /// A private key, over ssh.
    Ssh,
    /// The private key of a GitHub App, which gets tokens for https with it.
    #[serde(rename = "github-app")]
    GithubApp,
}

impl GitCredentialKind {
    /// As written in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Ssh => "ssh",
            Self::GithubApp => "github-app",
        }
    }

    /// Reads a kind.
    ///
    /// # Errors
    /// When there is no such kind.
    pub fn parse(text: &str) -> Result<Self, WordError> {
        [Self::Https, Self::Ssh, Self::GithubApp].into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            WordError(
                "must be https (user name and access token), ssh (a key) or github-app (the key of a GitHub App)"
                    .to_owned(),
            )
        })
    }
}

/// What opens a git server, without its secret.
#[derive(Debug, Clone, Serialize)]
pub struct GitCredential {
    /// Id.
    pub id: GitCredentialId,
    /// For people.
    pub name: String,
    /// How it opens a server.
    pub kind: GitCredentialKind,
    /// Scheme, host and port that the secret may be sent to: `https://github.com`, `ssh://git@git.example.com:2222`.
    pub origin: String,
    /// The user; many servers take any beside an access token.
    pub username: Option<String>,
    /// Of a key, the half that the server is to be given: a line of `authorized_keys`.
    pub public_key: Option<String>,
    /// Of a key, as `ssh-keygen -l` shows it.
    pub fingerprint: Option<String>,
    /// Whether the key was made here.
    pub generated: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it got another secret.
    pub rotated_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// How many packages are read with it.
    pub packages: i64,
}

/// A git credential as a package names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsedCredential {
    /// Id.
    pub id: GitCredentialId,
    /// For people.
    pub name: String,
}
