//! An edge on a real port before a control plane that speaks the real protocol. One binary, because linking is slow.

mod client;
mod dists;
mod documents;
mod fake;
mod grammar;
mod passing;
mod refusals;
mod tokens;
mod vendors;
mod world;
