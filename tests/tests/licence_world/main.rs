//! A random world of packages, versions, collections, customers and tokens on the real edge, asked a hundred thousand questions, each
//! answer compared with a plain reading of the rules; then changed hundreds of times, each change asked about at the next request.
//!
//! Threats E-E1, E-E2, E-E3, E-E6; rules 1 to 8 of the licence design. `CARGOMAN_TEST_SEED` makes another world; with
//! `CARGOMAN_TEST_FULL=1` there is a second one, asked a million times.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

mod ask;
mod edit;
mod explain;
mod model;
mod oracle;
mod people;
mod publish;
mod stage;
mod version;

use std::time::Instant;

use cargoman_testkit::random::Random;
use cargoman_testkit::{full, seed};
use cargoman_tests::World;

use ask::ask_many;
use model::{Model, Policy};
use stage::{Stage, policies};
use version::Stability;

/// How much there is of everything.
struct Size {
    packages: usize,
    collections: usize,
    customers: usize,
    questions: usize,
    changes: usize,
}

#[test]
fn every_answer_is_what_the_rules_say() {
    let size = Size { packages: 50, collections: 12, customers: 100, questions: 100_000, changes: 300 };
    all_is_right(seed(), &size);
}

#[test]
fn every_answer_of_a_million() {
    if full() {
        let size = Size { packages: 60, collections: 20, customers: 150, questions: 1_000_000, changes: 1_000 };
        all_is_right(seed() + 1, &size);
    }
}

#[track_caller]
fn all_is_right(seed: u64, size: &Size) {
    let world = World::start();
    let mut stage = Stage {
        world: &world,
        operator: world.operator(),
        model: Model::default(),
        repositories: Vec::new(),
        random: Random::new(seed),
    };
    let mut start = Instant::now();
    let mut took = |what: &str| {
        println!("{what}: {:.1} s", start.elapsed().as_secs_f64());
        start = Instant::now();
    };
    stage.publish(size.packages);
    took("packages");
    stage.collect(size.collections);
    stage.admit(size.customers);
    took("customers");

    let address = world.registry.edge_address();
    let each = size.questions / policies().count();
    for (number, (suspended, expired)) in policies().enumerate() {
        let minimum = [None, Some(Stability::Beta), Some(Stability::Dev)][number % 3];
        stage.set_policy(Policy { minimum, suspended, expired });
        ask_many(&address, &stage.model, seed + u64::try_from(number).unwrap() * 100, each + 1);
    }
    took(&format!("{} questions", each * policies().count()));
    stage.change(size.changes);
    took("changes");
    ask_many(&address, &stage.model, seed + 10_000, each);
    took("questions at the end");
    stage.explain(size.changes);
    took("explanations");
}
