//! An edge on a real port before a control plane that speaks the real protocol. One binary, because linking is slow.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is test code")]

mod client;
mod collections;
mod connections;
mod dists;
mod documents;
mod fake;
mod fake_link;
mod grammar;
mod http2;
mod lapses;
mod link;
mod messages;
mod metrics;
mod passing;
mod process;
mod refusals;
mod roots;
mod smuggling;
mod tls;
mod tokens;
mod traces;
mod usage;
mod vendors;
mod world;
