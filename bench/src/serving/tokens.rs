//! Whether it matters how many tokens ask.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use cargoman_testkit::raw_http::Connection;
use serde::Serialize;

use super::load::{self, Measured, Question, Target};
use super::memory::head;
use super::process;
use super::protocol::Protocol;
use super::report::{median_of, round};
use super::world::{World, basic, basic_as};

/// A token drawn at random for each request, from few and from all.
#[derive(Debug, Serialize)]
pub(crate) struct Tokens {
    few: usize,
    all: usize,
    few_requests_per_second: f64,
    all_requests_per_second: f64,
    /// Of requests a second: 1 when it does not matter.
    ratio: f64,
    few_cpu_us: f64,
    all_cpu_us: f64,
    resident_mib_with_all: f64,
}

const FEW: usize = 1_000;
const READERS: usize = 8;

pub(crate) fn measure(world: &mut World, rounds: usize, length: Duration) -> Result<Tokens> {
    eprintln!("every token once");
    world.begin_anew()?;
    show_all(world)?;
    world.empty_log()?;
    let few = FEW.min(world.tokens.len() / 2);
    let (some, all) = (list(world, "few-tokens", few)?, list(world, "all-tokens", world.tokens.len())?);
    let target = Target { address: world.address(Protocol::Plain).to_owned(), processes: vec![world.edge()] };
    let headers = vec![("Accept-Encoding", "gzip".to_owned())];
    let question =
        |file| Question { path: "/p2/acme/small.json", headers: headers.clone(), status: 200, tokens: Some(file) };
    let (mut of_few, mut of_all): (Vec<Measured>, Vec<Measured>) = (Vec::new(), Vec::new());
    eprintln!("{few} tokens and {} in turns", world.tokens.len());
    for _ in 0..rounds {
        let drive = |file| load::drive(&target, Protocol::Plain, &question(file), (length, world.folder.path()));
        of_few.push(drive(&some)?);
        of_all.push(drive(&all)?);
    }
    let speed = |rounds: &[Measured]| median_of(rounds, |round| round.requests_per_second);
    let cpu = |rounds: &[Measured]| round(median_of(rounds, |round| round.cpu_microseconds));
    Ok(Tokens {
        few,
        all: world.tokens.len(),
        few_requests_per_second: speed(&of_few).round(),
        all_requests_per_second: speed(&of_all).round(),
        ratio: round(speed(&of_all) / speed(&of_few)),
        few_cpu_us: cpu(&of_few),
        all_cpu_us: cpu(&of_all),
        resident_mib_with_all: round(process::memory(world.edge()) as f64 / f64::from(1 << 20)),
    })
}

/// As many different lines in both cases, so that the tool has the same to do: the name before a token may be any.
fn list(world: &World, name: &str, count: usize) -> Result<PathBuf> {
    let file = world.folder.path().join(name);
    let tokens = world.tokens.iter().take(count).cycle().take(world.tokens.len());
    let lines: Vec<String> =
        tokens.enumerate().map(|(number, token)| basic_as(&format!("{number:06}"), token)).collect();
    std::fs::write(&file, lines.join("\n"))?;
    Ok(file)
}

/// Asks once with every token, so that the edge has seen them all.
fn show_all(world: &World) -> Result<()> {
    let share = world.tokens.len().div_ceil(READERS);
    std::thread::scope(|scope| {
        let readers: Vec<_> =
            world.tokens.chunks(share).map(|tokens| scope.spawn(move || show(world, tokens))).collect();
        readers.into_iter().try_for_each(|reader| reader.join().map_err(|_| anyhow!("a reader failed"))?)
    })
}

fn show(world: &World, tokens: &[String]) -> Result<()> {
    let mut connection = Connection::open(world.address(Protocol::Plain));
    for token in tokens {
        let status = connection.send(head(world, "acme/small", &basic(token))).response().status;
        anyhow::ensure!(status == 200, "a token got {status}");
    }
    Ok(())
}
