use cargoman_credential::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{MOST_FRAME, OLDEST_PROTOCOL};
use crate::{Change, TenantId};

/// Number of an event: without gaps, in the order of commits.
pub type Seq = i64;

/// Raised whenever what edges know may lie ahead of the database: after a restore.
pub type Epoch = i64;

/// One run of one edge process.
pub type Incarnation = Uuid;

/// How far somebody is. The event's own id tells two databases apart that both count to the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Of the number.
    pub epoch: Epoch,
    /// The last event.
    pub seq: Seq,
    /// Its id; nil before the first event.
    pub event: Uuid,
}

/// What an edge says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FromEdge {
    /// The first message of a stream.
    Hello(Hello),
    /// Digests of tokens that it knows to be revoked; asked for by [`Welcome::hand_over`].
    Revoked(Revoked),
    /// Everything up to this event has been applied.
    Ack {
        /// The event.
        seq: Seq,
    },
    /// Asks for a lease. Only an answer that names this very asking counts.
    Renew {
        /// Names the asking; grows.
        ask: u64,
    },
    /// It will serve nothing more after the answer [`FromControlPlane::Left`].
    Leaving,
}

/// Who an edge is and what it knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`super::PROTOCOL`] of the edge.
    pub protocol: u32,
    /// [`super::OLDEST_PROTOCOL`] of the edge.
    #[serde(default = "oldest")]
    pub oldest: u32,
    /// What people call it.
    pub name: String,
    /// Of its state folder: two processes with the same one never run side by side.
    pub state: Uuid,
    /// This run.
    pub incarnation: Incarnation,
    /// Its release.
    #[serde(default)]
    pub software: String,
    /// Up to where its caches are right; none when they are empty.
    #[serde(default)]
    pub position: Option<Position>,
    /// The epoch of its log of revoked tokens; none when the log is empty.
    #[serde(default)]
    pub revoked_epoch: Option<Epoch>,
}

const fn oldest() -> u32 {
    OLDEST_PROTOCOL
}

/// A part of an edge's log of revoked tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Whose, and the digest.
    pub tokens: Vec<(TenantId, Digest)>,
    /// Whether this was all.
    pub last: bool,
}

/// What a control-plane instance says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FromControlPlane {
    /// The answer to [`Hello`].
    Welcome(Welcome),
    /// What happened, in order and without gaps.
    Events {
        /// Of the numbers.
        epoch: Epoch,
        /// The events.
        events: Vec<Event>,
    },
    /// The edge may believe its caches for a while.
    Lease(Lease),
    /// The answer to [`FromEdge::Leaving`]: it is no member any more.
    Left,
    /// The stream ends.
    Closing {
        /// Why.
        reason: Closing,
    },
}

/// The answer to [`Hello`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// What both speak from here on: the newest that both know.
    pub protocol: u32,
    /// Where events go on from: the edge's own position, or, when it must drop all it knows, another one.
    pub start: Position,
    /// Whether everything the edge knows must be dropped.
    pub resync: bool,
    /// Whether it must send its log of revoked tokens before it gets a lease.
    #[serde(default)]
    pub hand_over: bool,
}

/// A grant of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The asking that this answers.
    pub ask: u64,
    /// Every event up to this one was sent before on this stream; an edge that lacks one must not take the lease.
    pub head: Seq,
    /// Counted from before the edge asked.
    pub lasts_ms: u64,
    /// How long after the lease's end a tenant may be served from what is known, if he wants that.
    pub grace_s: u64,
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closing {
    /// The instance stops: another one will answer.
    Stopping,
    /// The edge was fenced: its credential is dead.
    Fenced,
    /// The edge said something that makes no sense here; it should start anew.
    Fault,
    /// The instance lags or changed its mind (a new epoch): connect again.
    Again,
    /// A reason of a later release.
    #[serde(other)]
    Other,
}

/// One event of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number.
    pub seq: Seq,
    /// Its id.
    pub event: Uuid,
    /// Whether an edge that does not know this kind of change may pass over it. Otherwise it must drop all it knows.
    #[serde(default)]
    pub optional: bool,
    /// A [`Change`], perhaps of a later release.
    pub change: Value,
}

impl Event {
    /// What changed, if this release knows that kind.
    #[must_use]
    pub fn known(&self) -> Option<Change> {
        Change::deserialize(&self.change).ok()
    }
}

/// A message that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadMessageError {
    /// No message of any release.
    #[error("a message that cannot be read")]
    Broken,
    /// Of a later release, and not to be passed over.
    #[error("a message of a later release that must not be passed over")]
    Unknown,
}

impl FromEdge {
    /// Reads a frame; none when it is of a later release and may be passed over.
    ///
    /// # Errors
    /// See [`ReadMessageError`].
    pub fn read(text: &str) -> Result<Option<Self>, ReadMessageError> {
        read(text, &["hello", "revoked", "ack", "renew", "leaving"])
    }

    /// As a frame.
    #[must_use]
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl FromControlPlane {
    /// Reads a frame; none when it is of a later release and may be passed over.
    ///
    /// # Errors
    /// See [`ReadMessageError`].
    pub fn read(text: &str) -> Result<Option<Self>, ReadMessageError> {
        read(text, &["welcome", "events", "lease", "left", "closing"])
    }

    /// As a frame.
    #[must_use]
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What a message of any release has.
#[derive(Deserialize)]
struct Any {
    kind: String,
    #[serde(default)]
    optional: bool,
}

fn read<M: DeserializeOwned>(text: &str, known: &[&str]) -> Result<Option<M>, ReadMessageError> {
    if text.len() > MOST_FRAME {
        return Err(ReadMessageError::Broken);
    }
    if let Ok(message) = serde_json::from_str(text) {
        return Ok(Some(message));
    }
    match serde_json::from_str::<Any>(text) {
        Ok(any) if known.contains(&any.kind.as_str()) => Err(ReadMessageError::Broken),
        Ok(any) if any.optional => Ok(None),
        Ok(_) => Err(ReadMessageError::Unknown),
        Err(_) => Err(ReadMessageError::Broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_releases() {
        let unknown = r#"{"kind":"weather","optional":true,"rain":1}"#;
        assert_eq!(FromEdge::read(unknown), Ok(None));
        assert_eq!(FromControlPlane::read(unknown), Ok(None));
        assert_eq!(FromEdge::read(r#"{"kind":"weather"}"#), Err(ReadMessageError::Unknown));
        assert_eq!(FromEdge::read(r#"{"kind":"ack"}"#), Err(ReadMessageError::Broken));
        assert_eq!(FromEdge::read("{"), Err(ReadMessageError::Broken));
        // A field more does no harm.
        assert_eq!(FromEdge::read(r#"{"kind":"ack","seq":3,"mood":"good"}"#), Ok(Some(FromEdge::Ack { seq: 3 })));
        let closing = FromControlPlane::read(r#"{"kind":"closing","reason":"moon"}"#);
        assert_eq!(closing, Ok(Some(FromControlPlane::Closing { reason: Closing::Other })));
    }

    #[test]
    fn changes_of_later_releases() {
        let event = |change: Value| Event { seq: 1, event: Uuid::nil(), optional: false, change };
        assert_eq!(event(serde_json::json!({"kind": "certificate", "host": "x"})).known(), None);
        let tenant = TenantId(Uuid::nil());
        let change = Change::Directory { tenant };
        assert_eq!(event(serde_json::to_value(&change).unwrap()).known(), Some(change));
    }

    #[test]
    fn frames() {
        for message in [
            FromControlPlane::Lease(Lease { ask: 1, head: 2, lasts_ms: 3, grace_s: 4 }),
            FromControlPlane::Left,
            FromControlPlane::Events { epoch: 1, events: Vec::new() },
        ] {
            assert_eq!(FromControlPlane::read(&message.write()), Ok(Some(message)));
        }
    }
}
