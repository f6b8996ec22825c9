//! The edge: answers Composer from memory and passes everything else to the control plane.
//!
//! It decides nothing about licences itself (the `licence` crate does) and owns no fact: whatever it knows it read from the
//! control plane and can read again. A request travels through `request/`, one file per step. Nothing here may panic on what
//! comes from outside, hence the lints below.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::unreachable)
)]

mod cache;
pub mod config;
mod connection;
mod edge;
pub mod join;
mod link;
pub mod observe;
pub mod plugin;
mod request;
pub mod server;
mod settings;
#[cfg(feature = "steps")]
pub mod steps;
pub mod tls;
