//! Git ingestion against real repositories: made by the `git` program, read by the worker, compared with what git says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod archives;
mod child;
mod contents;
mod extractors;
mod failures;
mod http;
mod monorepos;
mod proxy;
mod repository;
mod run;
mod server;
mod speed;
mod ssh;
mod trees;
mod versions;
