//! What an edge needs: time to start, memory while idle, and memory with everything in it that customers ask for.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::raw_http::Connection;
use serde::Serialize;

use super::process;
use super::protocol::Protocol;
use super::report::{median, round};
use super::world::{SETS, World, basic};

/// An edge that starts with nothing in memory.
#[derive(Debug, Serialize)]
pub(crate) struct Start {
    /// From the start of the process until an answer with a token, of 200.
    first_answer_ms: f64,
    /// After that answer.
    idle_mib: f64,
}

/// With every package in every set of rights.
#[derive(Debug, Serialize)]
pub(crate) struct Warm {
    documents: usize,
    sets: usize,
    resident_mib: f64,
    /// CPU for each document when all were asked for once more: little only if all of them were still there.
    second_time_cpu_us: f64,
}

pub(crate) fn start(world: &mut World, rounds: usize) -> Result<Start> {
    let (mut times, mut sizes) = (Vec::new(), Vec::new());
    let address = world.address(Protocol::Plain).to_owned();
    let question = head(world, "acme/small", &basic(&world.token));
    for _ in 0..rounds {
        world.registry.edges[0].stop();
        let begun = Instant::now();
        world.registry.edges[0].spawn();
        poll_until("the first answer", Duration::from_secs(10), || {
            let mut connection = Connection::try_open(&address).ok()?;
            let answer = connection.send(&question).try_response("GET").ok()?;
            (answer.status == 200).then_some(())
        });
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        sizes.push(mib(process::memory(world.edge())));
    }
    Ok(Start { first_answer_ms: round(median(&times)), idle_mib: round(median(&sizes)) })
}

/// Asks for every package with one token of each set, twice.
pub(crate) fn all_warm(world: &World) -> Result<Warm> {
    eprintln!("every package for {SETS} sets of rights");
    let documents = SETS * world.names.len();
    let mut spent = Duration::ZERO;
    for _ in 0..2 {
        let before = process::cpu(world.edge());
        world.tokens.iter().take(SETS).try_for_each(|token| ask_for_all(world, token))?;
        spent = process::cpu(world.edge()) - before;
    }
    let second_time_cpu_us = round(spent.as_secs_f64() * 1e6 / documents as f64);
    Ok(Warm { documents, sets: SETS, resident_mib: mib(process::memory(world.edge())), second_time_cpu_us })
}

fn ask_for_all(world: &World, token: &str) -> Result<()> {
    let mut connection = Connection::open(world.address(Protocol::Plain));
    let authorization = basic(token);
    for name in &world.names {
        let answer = connection.send(head(world, name, &authorization)).response();
        if answer.status != 200 {
            bail!("{name}: {}", answer.status);
        }
    }
    Ok(())
}

/// A question for a package, as Composer asks it.
pub(crate) fn head(world: &World, name: &str, authorization: &str) -> String {
    format!(
        "GET /p2/{name}.json HTTP/1.1\r\nHost: {}\r\nAuthorization: {authorization}\r\nAccept-Encoding: gzip\r\n\r\n",
        world.address(Protocol::Plain)
    )
}

fn mib(bytes: u64) -> f64 {
    round(bytes as f64 / f64::from(1 << 20))
}
