//! Decides how a sync that stops says so: a code, what happened, and what to do about it. Messages must never hold a secret.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

pub(super) type Result<T> = std::result::Result<T, Failed>;

/// Why a sync stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failed {
    /// For programs.
    pub code: FailureCode,
    /// What happened; one sentence, without secrets.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// Why a sync stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// `repository_url` is not acceptable.
    RepositoryUrl,
    /// The request itself is not acceptable: a fault of the caller.
    Request,
    /// ssh, or a repository format, is not supported.
    Unsupported,
    /// The host cannot be reached, or answered with an error of its own.
    Unreachable,
    /// The address is not one that may be reached.
    ForbiddenAddress,
    /// The remote sent a redirect that is not followed.
    Redirect,
    /// The remote asks for another credential.
    Authentication,
    /// The host shows another key than the one that is known.
    HostKey,
    /// There is no such repository.
    NotFound,
    /// The answer is not git's protocol.
    Protocol,
    /// The repository has no branches and no tags.
    Empty,
    /// There is no default branch, or it does not exist.
    NoDefaultBranch,
    /// The default branch has no composer.json.
    NoManifest,
    /// The default branch's composer.json is not acceptable.
    BadManifest,
    /// The default branch's name disagrees with the bound one, or there is none.
    Name,
    /// An object that everything depends on cannot be read.
    UnreadableObject,
    /// A limit was reached; the message names it.
    Limit,
    /// Another worker holds the mirror.
    Busy,
    /// The machine: disk, memory, permissions.
    Machine,
    /// The worker stopped without an answer: killed, crashed or panicked.
    Died,
}

impl FailureCode {
    /// Whether the reason may pass while nobody does anything about it.
    #[must_use]
    pub const fn may_pass(self) -> bool {
        matches!(self, Self::Unreachable | Self::Protocol | Self::Busy | Self::Machine | Self::Died)
    }
}

impl Failed {
    pub(super) fn new(code: FailureCode, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, message: message.into(), remedy: remedy.into() }
    }

    /// The machine failed us: `doing` names what was being done to what.
    pub(super) fn machine(doing: impl Display, error: impl Display) -> Self {
        Self::new(
            FailureCode::Machine,
            format!("{doing}: {error}"),
            "look at free disk space, memory and permissions of the control plane's data folder, and sync it again once they are in order",
        )
    }

    /// A limit was reached.
    pub(super) fn limit(message: impl Into<String>) -> Self {
        Self::new(
            FailureCode::Limit,
            message,
            "make the repository smaller, or ask the operator of this registry to raise the limit",
        )
    }

    /// What the remote sent is not git's protocol.
    pub(super) fn protocol(message: impl Display) -> Self {
        Self::new(
            FailureCode::Protocol,
            format!("the remote does not answer as a git server does: {message}"),
            "check that `repository_url` is the address that `git clone` takes",
        )
    }
}
