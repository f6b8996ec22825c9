//! What tests start for real: databases, git repositories and servers, the Composer client, whole registries.
//!
//! Everything here blocks (call it from plain tests, or through `spawn_blocking`), cleans up when dropped, never
//! sleeps without a deadline and panics with a message that says what to do, because a test has no better way to
//! fail. Nothing here reaches beyond the loopback interface. No product crate may depend on this one but in
//! `[dev-dependencies]`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

pub mod cargoman;
pub mod composer;
pub mod deadline;
pub mod forge;
pub mod git;
pub mod link_proxy;
pub mod output;
pub mod port;
pub mod postgres;
pub mod random;
pub mod raw_http;
pub mod s3;
mod temporary;

/// The seed of everything random in this run: `CARGOMAN_TEST_SEED`, else a fixed one. Prints it, so that a failure
/// can be repeated.
pub fn seed() -> u64 {
    let seed = match std::env::var("CARGOMAN_TEST_SEED") {
        Ok(text) => text.trim().parse().unwrap_or_else(|_| panic!("CARGOMAN_TEST_SEED={text:?} is no whole number")),
        Err(_) => 20_240_229,
    };
    println!("seed: CARGOMAN_TEST_SEED={seed}");
    seed
}

/// Whether the long forms of tests were asked for (`CARGOMAN_TEST_FULL=1`).
pub fn full() -> bool {
    std::env::var("CARGOMAN_TEST_FULL").is_ok_and(|value| value == "1")
}
