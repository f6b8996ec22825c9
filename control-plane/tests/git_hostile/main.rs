//! Git servers and repositories that mean harm (threats.md A2), against the worker as it runs in production: a child process.
//! Each case ends as a failure or a skipped ref that says why, within its limits and without a crash, and leaves a mirror with which the
//! next sync of an honest repository succeeds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod addresses;
mod answers;
mod case;
mod contents;
mod listings;
mod names;
mod pack;
mod packs;
mod redirects;
#[path = "../git_ingestion/repository.rs"]
#[allow(dead_code, reason = "shared with the tests of honest repositories")]
mod repository;
#[path = "../git_ingestion/run.rs"]
#[allow(dead_code, reason = "shared with the tests of honest repositories")]
mod run;
mod script;
#[path = "../git_ingestion/server.rs"]
#[allow(dead_code, reason = "shared with the tests of honest repositories")]
mod server;

/// The suite is never thinned out by accident.
#[test]
fn at_least_sixty() {
    let counts = [
        ("addresses", addresses::cases().len()),
        ("answers", answers::cases().len()),
        ("contents", contents::cases().len()),
        ("listings", listings::cases().len()),
        ("names", names::cases().len()),
        ("packs", packs::cases().len()),
        ("redirects", redirects::cases().len()),
    ];
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    println!("{all} cases: {counts:?}");
    assert!(all >= 60, "{counts:?}");
}
