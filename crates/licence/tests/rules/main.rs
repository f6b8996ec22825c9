//! The rules of who may see which version: worked examples, tables, laws, and a comparison with a naive reading of the same
//! prose on random worlds. `CARGOMAN_TEST_FULL=1` tries ten times as many; `CARGOMAN_TEST_SEED` changes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing helper fails its test")]

mod against_naive;
mod build;
mod explaining;
mod freezes;
mod grants;
mod lapses;
mod laws;
mod naive;
mod random;
mod rights;
mod tokens;
mod withdrawn;
mod worked_examples;
mod world;

/// Ten times as much where the long forms of tests were asked for.
fn count(reduced: u32) -> u32 {
    if std::env::var_os("CARGOMAN_TEST_FULL").is_some_and(|full| full == "1") { reduced * 10 } else { reduced }
}

/// The seed of everything random, printed so that a failure can be repeated.
fn seed() -> u64 {
    let seed =
        std::env::var("CARGOMAN_TEST_SEED").ok().map_or(20_260_822, |seed| seed.parse().expect("a decimal seed"));
    println!("seed: CARGOMAN_TEST_SEED={seed}");
    seed
}
