//! The edge beside nginx serving the same bytes, driven by the same load tool in turns, and syncs of generated repositories.
//!
//! CPU per request is what counts: on a shared machine requests per second mean little.

mod load;
mod nginx;
mod process;
mod report;
mod sync;
mod world;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use self::load::{Measured, Target};
use self::nginx::Nginx;
use self::report::Row;
use self::world::World;

/// Measures, and writes what it measured to `results`.
pub(crate) fn measure(results: &Path, quick: bool) -> Result<()> {
    let (rounds, seconds) = if quick { (1, 1) } else { (5, 3) };
    let world = World::build()?;
    let nginx = Nginx::start(&world)?;
    let mut rows = Vec::new();
    for scenario in world.scenarios() {
        eprintln!("{}: {rounds} rounds of {seconds} s each", scenario.name);
        let edge = Target { url: world.edge_url(scenario), processes: vec![world.registry.pid()] };
        let peer = Target { url: nginx.url(scenario), processes: nginx.processes() };
        rows.push(in_turns(scenario, &world.authorization, &edge, &peer, rounds, Duration::from_secs(seconds))?);
    }
    let syncs = sync::measure(&world)?;
    report::write(results, &rows, &syncs, rounds)
}

/// First the one, then the other, round by round, so that what disturbs the machine disturbs both.
fn in_turns(
    scenario: &world::Scenario,
    authorization: &str,
    edge: &Target,
    peer: &Target,
    rounds: usize,
    length: Duration,
) -> Result<Row> {
    let (mut ours, mut theirs): (Vec<Measured>, Vec<Measured>) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(load::drive(edge, scenario, authorization, length)?);
        theirs.push(load::drive(peer, scenario, authorization, length)?);
    }
    Ok(Row::new(&scenario.name, &ours, &theirs))
}
