//! What a write does to customers: who gains and who loses which versions. Shown before it is done (`?dry_run=true`), and braked
//! when it takes something from more customers within an hour than the tenant allows one actor, unless he says `?confirm=true`.
//!
//! The write itself is done inside the transaction and looked at from both sides, so that a preview cannot differ from what then
//! happens; a dry run is rolled back. What somebody sees the rules of `cargoman-licence` decide, never this module.

mod answer;
mod brake;
mod compute;
mod rights;
mod watch;
mod world;

pub use answer::{ChangedCustomer, Effect, ShownCustomer};
pub use compute::{ChangedVersion, Changes, CustomerChange, PackageChange, changes};
pub use watch::{Concerned, Watch};
pub use world::World;

/// What the caller said about the effect of his call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Consent {
    /// Show what it would do, and do nothing.
    pub dry_run: bool,
    /// Do it, however many customers lose something.
    pub confirm: bool,
}
