//! The edge beside nginx serving the same bytes as static files behind Basic auth, driven by the same load tool in turns.
//!
//! CPU per request is what counts: on a shared machine requests per second mean little.

mod cold;
mod composer;
mod floor;
mod load;
mod memory;
mod nginx;
mod process;
mod protocol;
mod report;
mod tokens;
mod world;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use self::floor::Floor;
pub(crate) use self::floor::{ARGUMENT as FLOOR, serve as serve_floor};
use self::load::{Measured, Question, Target};
use self::nginx::Nginx;
use self::protocol::Protocol;
use self::report::{Figures, Row};
use self::world::{Scenario, Size, World, basic};

/// Measures one request after the other, and writes what it measured to `results`.
pub(crate) fn measure(results: &Path, quick: bool, only: &str) -> Result<()> {
    let (rounds, length, size) = extent(quick);
    let world = World::build(size)?;
    let scenarios = world.scenarios()?;
    let nginx = Nginx::start(&world, &scenarios)?;
    let mut rows = Vec::new();
    for protocol in Protocol::ALL {
        let wanted = |scenario: &&Scenario| format!("{}, {}", protocol.name(), scenario.name).contains(only);
        for scenario in scenarios.iter().filter(wanted) {
            eprintln!("{}, {}: {rounds} rounds of {length:?} each", protocol.name(), scenario.name);
            rows.push(in_turns(&world, &nginx, (protocol, scenario), rounds, length)?);
            // It would fill the disk: some 300 bytes for each of millions of requests.
            world.empty_log()?;
        }
    }
    report::requests(results, &rows, (size, rounds))
}

/// Measures what the whole world needs, and writes it to `results`.
pub(crate) fn measure_world(results: &Path, quick: bool) -> Result<()> {
    let (rounds, length, size) = extent(quick);
    let mut world = World::build(size)?;
    let start = memory::start(&mut world, rounds)?;
    let nginx = Nginx::start(&world, &world.scenarios()?)?;
    let composer = composer::measure(&world, &nginx, rounds)?;
    let cold = cold::measure(&mut world)?;
    let warm = memory::all_warm(&world)?;
    let tokens = tokens::measure(&mut world, rounds, length)?;
    report::world(results, &Figures { start, composer, cold, warm, tokens }, (size, rounds))
}

fn extent(quick: bool) -> (usize, Duration, Size) {
    match quick {
        true => (1, Duration::from_secs(1), Size::QUICK),
        false => (5, Duration::from_secs(2), Size::WHOLE),
    }
}

/// First the one, then the other, round by round, so that what disturbs the machine disturbs both.
fn in_turns(
    world: &World,
    nginx: &Nginx,
    (protocol, scenario): (Protocol, &Scenario),
    rounds: usize,
    length: Duration,
) -> Result<Row> {
    let edge = Target { address: world.address(protocol).to_owned(), processes: vec![world.edge()] };
    let peer = Target { address: nginx.address(protocol).to_owned(), processes: nginx.processes() };
    let question = question(scenario, &world.token);
    // Without TLS a server can be thought of that does nothing but read and write.
    let least = (protocol == Protocol::Plain && scenario.fits_one_write())
        .then(|| Floor::start(&edge, &question))
        .transpose()?;
    let (mut ours, mut theirs, mut floor): (Vec<Measured>, Vec<Measured>, Vec<Measured>) = Default::default();
    for _ in 0..rounds {
        ours.push(load::drive(&edge, protocol, &question, (length, world.folder.path()))?);
        theirs.push(load::drive(&peer, protocol, &question, (length, world.folder.path()))?);
        if let Some(least) = &least {
            floor.push(load::drive(&least.target(), protocol, &question, (length, world.folder.path()))?);
        }
    }
    Ok(Row::new(protocol, &scenario.name, (&ours, &theirs, &floor)))
}

fn question<'a>(scenario: &'a Scenario, token: &str) -> Question<'a> {
    let mut headers = vec![("Accept-Encoding", "gzip".to_owned())];
    if scenario.authorized {
        headers.push(("Authorization", basic(token)));
    }
    if let Some(known) = &scenario.known {
        headers.push(("If-Modified-Since", known.clone()));
    }
    let status = match (scenario.authorized, &scenario.known) {
        (false, _) => 401,
        (true, Some(_)) => 304,
        (true, None) => 200,
    };
    Question { path: &scenario.path, headers, status, tokens: None }
}
