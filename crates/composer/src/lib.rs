//! What Composer means by a name, a version, a constraint, a manifest and a p2 document.
//!
//! Everything here is a pure function of its arguments: no files, no network, no clock, no randomness. The rules are
//! those of Composer itself, oddities included, because a registry that reads a version or a constraint otherwise than
//! the client does shows customers the wrong packages.

pub mod constraint;
pub mod json_lines;
pub mod manifest;
pub mod name;
pub mod p2;
mod pattern;
pub mod stability;
pub mod version;
