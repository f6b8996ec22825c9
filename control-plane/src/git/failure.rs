//! Decides how a sync that stops says so: a code, what happened, and what to do about it. Messages must never hold a secret.

use std::fmt::Display;

use super::protocol::{Failed, FailureCode};

pub(super) type Result<T> = std::result::Result<T, Failed>;

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
