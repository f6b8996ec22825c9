//! The link: how edges learn of changes, and how long they may believe what they know.
//!
//! Here stand the messages and the rules of both sides, without sockets, clocks or a database, so that thousands of schedules of
//! faults run in a test. [`edge`] is what an edge does with a message, [`session`] what a control-plane instance does with one
//! edge, [`propagation`] when a change is effective. No message, however broken, makes any of them panic.

pub mod edge;
mod message;
pub mod propagation;
pub mod session;

pub use message::{
    Closing, Epoch, Event, FromControlPlane, FromEdge, Hello, Incarnation, Lease, Position, ReadMessageError, Revoked,
    Seq, Welcome,
};

/// Path of the stream on the edge API (a WebSocket; every message is one text frame of JSON).
pub const LINK_PATH: &str = "/edge/v1/link";

/// The version of the protocol that this release speaks. Raised only for what fields with defaults cannot say.
pub const PROTOCOL: u32 = 1;

/// The oldest version that this release still speaks: that of the release before, at least.
pub const OLDEST_PROTOCOL: u32 = 1;

/// The largest frame that either side takes, in bytes.
pub const MOST_FRAME: usize = 1 << 20;

/// Most events of one message.
pub const MOST_EVENTS: usize = 1_000;
