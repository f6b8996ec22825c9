//! All SQL of the product. One file per aggregate; handlers and jobs see domain types only.
//!
//! There are two ways to the database, and no third. [`TenantTransaction`] runs as the role `cargoman_app`, to which row level
//! security shows one tenant: handlers and jobs write through it alone. [`System`] runs as `cargoman_system` and sees all
//! tenants: the edge API, the link, the claiming of jobs and the making of tenants use it.

mod database;
mod error;
mod health;
mod migrate;
mod notices;
mod transaction;
mod written;

pub mod access_losses;
pub mod audit;
pub mod bearers;
pub mod collections;
pub mod credentials;
pub mod customers;
pub mod deletions;
pub mod dists;
pub mod edge_members;
pub mod edge_reads;
pub mod edges;
pub mod forge_groups;
pub mod forge_projects;
pub mod git_credentials;
pub mod grants;
pub mod hooks;
pub mod idempotency;
pub mod installs;
pub mod jobs;
pub mod licence_facts;
pub mod link;
pub mod monorepos;
pub mod package_syncs;
pub mod packages;
pub mod polls;
pub mod publish;
pub mod releases;
pub mod sealed;
pub mod settled_refs;
pub mod stats;
pub mod tenants;
pub mod token_uses;
pub mod tokens;
pub mod usage;
pub mod vendors;
pub mod versions;
pub mod webhook_deliveries;

pub use database::{Database, System};
pub use error::StoreError;
pub use health::{Feeling, Health, Heard, Pulse, health};
pub use migrate::{MigrateError, migrate};
pub use notices::{Notice, Notices, Numbered};
pub use transaction::{Actor, TenantTransaction};
pub use written::{Written, Wrote};

/// One page of a list.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Rows to leave out.
    pub offset: i64,
    /// Rows to give at most.
    pub limit: i64,
}
