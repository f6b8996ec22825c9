//! The control plane's two listeners: the public API and the edge API. Handlers check input, open one transaction, call the
//! store and answer; rules live in `domain`.

mod consent;
pub mod edge;
mod envelope;
mod fields;
pub(crate) mod gate;
mod idempotency;
pub(crate) mod listener;
mod operator;
mod path;
mod propagation;
mod request_id;
pub mod rest;
pub mod router;
pub(crate) mod serve;
pub mod tls;
mod webhook;
