//! Who may see which version.
//!
//! [`decide()`] is the one rule book: the edge asks it for metadata and for dists, the control plane to explain. It is pure:
//! time is passed in, nothing is read or written here. What it must never do is mix parts of two grants: inside one grant
//! every part must hold, across grants one that shows the version is enough. A [`View`] asks it about many versions at once.

mod access;
mod collection;
mod customer;
mod decide;
mod freeze;
mod glob;
mod grant;
mod lapse;

pub use access::{Access, Rights, Scope, Token};
pub use collection::{Collection, CollectionId, Collections, Members, no_collections};
pub use customer::{Customer, CustomerStatus, EffectiveStatus};
pub use decide::{
    Decision, Difference, Examined, Explanation, Failed, Renewal, Rule, Sight, TokenFault, VersionFacts, View, covers,
    decide, difference, in_token_scope, refusal,
};
pub use freeze::{Freeze, FrozenVersions};
pub use glob::{PackageGlob, ParsePackageGlobError};
pub use grant::{Grant, GrantStatus, Target};
pub use lapse::{Lapse, LapseKind, Lapsed, TenantPolicy};
