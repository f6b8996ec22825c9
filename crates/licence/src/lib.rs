//! Who may see which version.
//!
//! [`decide()`] is the one rule book: the edge asks it for metadata and for dists, the control plane to explain. It is pure:
//! time is passed in, nothing is read or written here. What it must never do is mix parts of two grants: inside one grant
//! every part must hold, across grants one that shows the version is enough.

mod access;
mod decide;
mod glob;

pub use access::{Access, Customer, CustomerStatus, Grant, Scope, Token};
pub use decide::{Decision, Failed, Rule, VersionFacts, decide, refusal};
pub use glob::{PackageGlob, ParsePackageGlobError};
