//! Decides how objects come from a git server: HTTP by our own client, ssh by the system's, with libgit2 doing no more than the
//! negotiation and the indexing of the pack. libgit2's own network code is not compiled in for https, and is shadowed for http.

pub(super) mod client;
mod meter;
mod resolver;
pub(super) mod smart;
pub(super) mod ssh;
