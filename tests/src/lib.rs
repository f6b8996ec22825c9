//! What the end-to-end tests share: a registry beside a git server, the operator's hands (REST), the customer's eyes
//! (Composer's routes by raw HTTP), and the small servers that stand in for the rest of the world.
//!
//! Everything goes through the real programs. Nothing here knows a rule of the registry: expectations stand in the tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

pub mod altered_git;
pub mod apart;
pub mod archive;
pub mod balancer;
pub mod command_line;
pub mod forward_proxy;
pub mod operator;
pub mod package_files;
pub mod processes;
pub mod published;
pub mod reader;
pub mod scale_out;
pub mod static_repository;
pub mod stored;
pub mod sync_result;
mod tiny_http;
pub mod witness;
pub mod world;

pub use operator::{Customer, Operator};
pub use reader::Reader;
pub use world::World;
