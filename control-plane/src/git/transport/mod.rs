//! Decides how objects come from a git server: HTTP by our own client, ssh by the system's, with libgit2 doing no more than the
//! negotiation and the indexing of the pack. libgit2's own network code is not compiled in for https, and is shadowed for http.

pub(super) mod client;
mod meter;
pub(crate) mod resolver;
pub(crate) mod route;
pub(super) mod smart;
pub(super) mod ssh;
mod watch;
