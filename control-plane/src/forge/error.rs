//! Decides how a failure of a forge's API is said. Messages must never hold a secret, nor more of an answer than a line.

/// A forge's API did not do what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {remedy}")]
pub struct ForgeError {
    /// What kind of failure.
    pub kind: Kind,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It does not accept the credential, or what was asked is not allowed to it.
    Refused,
    /// There is no such thing, or the credential may not see it.
    Missing,
    /// Too much was asked of it in too short a time.
    Limited,
    /// It cannot be reached, or has a fault of its own.
    Away,
    /// It may not be reached.
    Forbidden,
    /// It does not answer as it documents.
    Unreadable,
}

impl ForgeError {
    pub(crate) fn new(kind: Kind, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, message: message.into(), remedy: remedy.into() }
    }

    /// The answer is not what the forge documents.
    pub(crate) fn unreadable(what: impl std::fmt::Display) -> Self {
        Self::new(
            Kind::Unreadable,
            format!("the API does not answer as it documents: {what}"),
            "check that the address is the forge's, and `type` and `api_url` too",
        )
    }

    /// Whether it may go well the next time though nobody does anything about it.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self.kind, Kind::Limited | Kind::Away)
    }

    /// Whether it is about what was asked, so that the next question may go well.
    #[must_use]
    pub const fn is_about_one(&self) -> bool {
        matches!(self.kind, Kind::Refused | Kind::Missing | Kind::Unreadable)
    }
}
