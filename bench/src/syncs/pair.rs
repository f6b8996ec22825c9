//! What took Satis six minutes: two repositories at once, with all their zips.

use std::time::Instant;

use anyhow::{Context, Result};
use cargoman_testkit::git::{Repository, Shape};
use serde::Serialize;

use super::first::{add, registry};
use super::median;

/// Two repositories.
#[derive(Debug, Serialize)]
pub(super) struct Pair {
    pub(super) zips: usize,
    pub(super) megabytes: f64,
    /// From the first package's creation to the end of both syncs.
    pub(super) all_ms: f64,
}

impl Pair {
    pub(super) fn measure(rounds: usize) -> Result<Self> {
        eprintln!("two repositories with all their zips");
        let (mut zips, mut bytes, mut all) = (0, 0.0, vec![]);
        for round in 0..rounds as u64 {
            let (world, _) = registry();
            let shapes = [("bench/monolog", Shape::monolog()), ("bench/console", Shape::console())];
            let made = shapes.map(|(name, shape)| {
                let seed = shape.seed + 10 * (round + 1);
                (name, Repository::shaped(&Shape { name: name.to_owned(), seed, ..shape }))
            });
            let began = Instant::now();
            let tasks =
                made.iter().map(|(name, repository)| add(&world, name, repository)).collect::<Result<Vec<_>>>()?;
            let results: Vec<_> = tasks.iter().map(|task| world.operator().finished(task)).collect();
            all.push(began.elapsed().as_secs_f64() * 1e3);
            zips = results.iter().filter_map(|result| Some(result["result"]["added"].as_array()?.len())).sum();
            let database = world.registry.database().context("no database")?;
            bytes = database.query("select coalesce(sum(size), 0) from dist").parse::<f64>()? / 1e6;
        }
        Ok(Self { zips, megabytes: bytes, all_ms: median(all) })
    }
}
