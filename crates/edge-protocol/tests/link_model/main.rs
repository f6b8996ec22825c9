//! The rules of the link in simulated time: the real state machines of both sides (`EdgeLink`, `Session`, `admission`, `pending`)
//! between a simulated database, two instances, three edges and a network, under thousands of schedules of faults.
//!
//! Rules that are no pure function, such as in which order an instance notes a lease and reads the head, or what an edge may keep,
//! are written out here as the programs must follow them (`serving.rs`, `writing.rs`, `edge.rs`, `cache.rs`). Each of them is broken
//! once on purpose, and some schedule must find it (`Break::FOUND`; of those in `Break::SELDOM` none has, and the test only tells).
//!
//! `CARGOMAN_TEST_SEED` gives other schedules, `CARGOMAN_TEST_FULL=1` a hundred times as many, `CARGOMAN_TEST_SCHEDULE` a single one
//! by the number that a failure prints.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cache;
mod database;
mod disk;
mod edge;
mod fact;
mod garbage;
mod instance;
mod judge;
mod network;
mod plan;
mod reading;
mod rules;
mod schedule;
mod scheduler;
mod serving;
mod stories;
mod world;
mod writing;

use std::sync::atomic::{AtomicU64, Ordering};

use cargoman_testkit::{full, seed};

use plan::{Plan, shrink};
use rules::{Break, Rules};
use schedule::{Outcome, run};

/// The first of `count` schedules that fails.
fn first_failure(first: u64, count: u64, rules: Rules) -> (Option<u64>, Outcome) {
    let (next, found) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let work = || {
        let mut sum = Outcome::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count || number > found.load(Ordering::Relaxed) {
                return sum;
            }
            let outcome = run(&Plan::new(first.wrapping_add(number)), rules, false);
            if outcome.fault.is_some() {
                found.fetch_min(number, Ordering::Relaxed);
            }
            sum.answers += outcome.answers;
            sum.effective += outcome.effective;
            sum.late += outcome.late;
        }
    };
    let mut sum = Outcome::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let done = worker.join().expect("a worker");
            sum.answers += done.answers;
            sum.effective += done.effective;
            sum.late += done.late;
        }
    });
    let number = found.into_inner();
    ((number != u64::MAX).then(|| first.wrapping_add(number)), sum)
}

#[test]
fn no_schedule_breaks_a_promise() {
    let (first, count) = (seed().wrapping_mul(1_000_003), if full() { 30_000 } else { 300 });
    let alone = std::env::var("CARGOMAN_TEST_SCHEDULE").ok().and_then(|seed| seed.parse().ok());
    let (first, count) = alone.map_or((first, count), |seed| (seed, 1));
    let (failed, sum) = first_failure(first, count, Rules::default());
    let Some(seed) = failed else {
        println!("{count} schedules: {} answers, {} changes effective, {} late", sum.answers, sum.effective, sum.late);
        assert!(alone.is_some() || sum.answers > count * 20 && sum.effective > count * 3, "too little happens");
        return;
    };
    let smallest = shrink(&Plan::new(seed), |plan| run(plan, Rules::default(), false).fault.is_some());
    let outcome = run(&smallest, Rules::default(), true);
    println!("{}", outcome.trace.join("\n"));
    println!("steps: {:#?}", smallest.steps);
    panic!("schedule {seed}: {}", outcome.fault.unwrap_or_default());
}

/// The model sees what it is there to see.
///
/// Some rules are broken seldom enough that this takes minutes, so it runs with the full counts alone.
#[test]
fn every_broken_rule_is_found() {
    if !full() {
        println!("left out; CARGOMAN_TEST_FULL=1 runs it");
        return;
    }
    let (first, count) = (20_240_229, 30_000);
    let mut missed = Vec::new();
    for rule in Break::FOUND.into_iter().chain(Break::SELDOM) {
        if std::env::var("BREAK").is_ok_and(|name| name != format!("{rule:?}")) {
            continue;
        }
        let start = std::time::Instant::now();
        let (failed, _) = first_failure(first, count, Rules { broken: Some(rule) });
        let seconds = start.elapsed().as_secs_f64();
        match failed {
            Some(seed) => {
                let fault = run(&Plan::new(seed), Rules { broken: Some(rule) }, false).fault.unwrap_or_default();
                println!("{rule:?}: schedule {} ({seconds:.1} s): {fault}", seed - first);
            }
            None if Break::SELDOM.contains(&rule) => {
                println!("{rule:?}: not within {count} schedules ({seconds:.1} s)")
            }
            None => missed.push(rule),
        }
    }
    assert!(missed.is_empty(), "not found within {count} schedules: {missed:?}");
}
