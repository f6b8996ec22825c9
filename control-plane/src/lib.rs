//! The control plane: owns every fact in PostgreSQL, syncs git, stores dists, serves the APIs and answers the edges.
//!
//! The arrow of dependencies is http, jobs, git → store → domain → crates. All SQL stands in [`store`]; [`domain`] knows
//! neither sqlx nor axum.

mod add_package;
mod archive_name;
pub mod clock;
pub mod config;
pub mod crash;
pub mod dists;
pub mod domain;
pub mod effect;
pub mod error;
pub mod forge;
pub mod git;
pub mod http;
pub mod jobs;
pub mod link;
pub mod resealing;
pub mod secrets;
pub mod server;
pub mod ssh_key;
pub mod state;
pub mod storage;
pub mod store;
pub mod token_uses;
pub mod trust;
pub mod upload;
pub mod webhook;

/// How a database is named to this crate.
pub mod sqlx_options {
    pub use sqlx::postgres::PgConnectOptions;
}
