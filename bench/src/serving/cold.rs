//! Documents that nobody asked for yet: the edge asks the control plane, which reads the database, and renders what comes.

use std::time::Instant;

use anyhow::{Result, bail};
use cargoman_testkit::raw_http::Connection;
use serde::Serialize;

use super::memory::head;
use super::protocol::Protocol;
use super::report::{percentile, round};
use super::world::{World, basic};

/// One connection, one question after the other.
#[derive(Debug, Serialize)]
pub(crate) struct Cold {
    documents: usize,
    p50_ms: f64,
    p99_ms: f64,
    longest_ms: f64,
}

pub(crate) fn measure(world: &mut World) -> Result<Cold> {
    eprintln!("cold documents");
    world.begin_anew()?;
    let mut connection = Connection::open(world.address(Protocol::Plain));
    let authorization = basic(&world.token);
    // The token is known from here on; the packages are not.
    connection.send(head(world, "acme/small", &authorization)).response();
    let mut times = Vec::with_capacity(world.names.len());
    for name in &world.names {
        let question = head(world, name, &authorization);
        let begun = Instant::now();
        let status = connection.send(question).response().status;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        if status != 200 {
            bail!("{name}: {status}");
        }
    }
    let at = |share| round(percentile(&times, share));
    Ok(Cold { documents: times.len(), p50_ms: at(0.5), p99_ms: at(0.99), longest_ms: at(1.0) })
}
