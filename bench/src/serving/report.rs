//! Medians over the rounds, as a table for people and JSON for machines.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::cold::Cold;
use super::composer::Update;
use super::load::{CONNECTIONS, HTTP2_CONNECTIONS, Measured, STREAMS};
use super::memory::{Start, Warm};
use super::protocol::Protocol;
use super::tokens::Tokens;
use super::world::Size;
use crate::machine;

/// One scenario, both servers.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    protocol: &'static str,
    scenario: String,
    edge: Value,
    nginx: Value,
    /// CPU per request of a server that reads once and writes once.
    floor_cpu_us: Option<f64>,
    /// CPU per request of the edge over that of nginx: below 1 the edge is cheaper.
    cpu_ratio: f64,
    /// Requests per second of the edge over those of nginx: above 1 the edge is faster.
    speed_ratio: f64,
}

/// What the whole world needs.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) start: Start,
    pub(crate) composer: Update,
    pub(crate) cold: Cold,
    pub(crate) warm: Warm,
    pub(crate) tokens: Tokens,
}

impl Row {
    pub(crate) fn new(
        protocol: Protocol,
        scenario: &str,
        (ours, theirs, floor): (&[Measured], &[Measured], &[Measured]),
    ) -> Self {
        let ratio = |of: fn(&Measured) -> f64| round(median_of(ours, of) / median_of(theirs, of));
        Self {
            protocol: protocol.name(),
            scenario: scenario.to_owned(),
            edge: medians(ours),
            nginx: medians(theirs),
            floor_cpu_us: (!floor.is_empty()).then(|| round(median_of(floor, |round| round.cpu_microseconds))),
            cpu_ratio: ratio(|round| round.cpu_microseconds),
            speed_ratio: ratio(|round| round.requests_per_second),
        }
    }
}

/// The value below which `share` of them lie.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

pub(crate) fn median_of(rounds: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    median(&rounds.iter().map(of).collect::<Vec<_>>())
}

pub(crate) fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn medians(rounds: &[Measured]) -> Value {
    json!({
        "requests_per_second": median_of(rounds, |round| round.requests_per_second).round(),
        "cpu_us_per_request": round(median_of(rounds, |round| round.cpu_microseconds)),
        "p50_us": median_of(rounds, |round| round.p50_microseconds).round(),
        "p99_us": median_of(rounds, |round| round.p99_microseconds).round(),
        "resident_mib": round(median_of(rounds, |round| round.memory_bytes) / f64::from(1 << 20)),
    })
}

pub(crate) fn requests(folder: &Path, rows: &[Row], extent: (Size, usize)) -> Result<()> {
    let mut whole = about(extent);
    whole["requests"] = serde_json::to_value(rows)?;
    let table = table(&whole)?;
    write(folder, "serving", &whole, &table)
}

pub(crate) fn world(folder: &Path, figures: &Figures, extent: (Size, usize)) -> Result<()> {
    let mut whole = about(extent);
    whole["figures"] = serde_json::to_value(figures)?;
    let table = figures_table(&whole)?;
    write(folder, "world", &whole, &table)
}

fn about((size, rounds): (Size, usize)) -> Value {
    let Size { packages, customers, tokens } = size;
    json!({
        "machine": machine::describe(),
        "rounds": rounds,
        "world": {"packages": packages, "versions_each": 100, "customers": customers, "tokens": tokens},
    })
}

fn write(folder: &Path, name: &str, whole: &Value, table: &str) -> Result<()> {
    std::fs::write(folder.join(format!("{name}.json")), format!("{whole:#}\n"))?;
    std::fs::write(folder.join(format!("{name}.md")), table)?;
    print!("{table}");
    Ok(())
}

/// Machine and world in a line.
fn line(whole: &Value) -> String {
    let world = &whole["world"];
    format!(
        "{}. Medians of {} rounds. {} packages of {} versions, {} customers, {} tokens. ",
        machine::line(&whole["machine"]),
        whole["rounds"],
        world["packages"],
        world["versions_each"],
        world["customers"],
        world["tokens"]
    )
}

fn table(whole: &Value) -> Result<String> {
    let mut out = line(whole);
    writeln!(
        out,
        "In turns, {CONNECTIONS} connections (HTTP/2: {HTTP2_CONNECTIONS} of {STREAMS} streams), keep-alive. Edge: access log to a file, \
         metrics on. nginx: access log off, `auth_basic`, `gzip_static`, `open_file_cache`, `sendfile`. Sizes are of what is sent. Floor: a server \
         that waits, reads once and writes the same bytes once, and nothing else.\n"
    )?;
    let heads = "protocol | request | edge CPU µs | nginx CPU µs | floor CPU µs | CPU ratio | edge req/s | nginx req/s | speed ratio | edge p50/p99 µs";
    writeln!(out, "| {heads} | nginx p50/p99 µs |\n|---|---|---|---|---|---|---|---|---|---|---|")?;
    for row in whole["requests"].as_array().into_iter().flatten() {
        let (edge, nginx) = (&row["edge"], &row["nginx"]);
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} / {} | {} / {} |",
            row["protocol"].as_str().unwrap_or_default(),
            row["scenario"].as_str().unwrap_or_default(),
            edge["cpu_us_per_request"],
            nginx["cpu_us_per_request"],
            row["floor_cpu_us"].as_f64().map_or_else(String::new, |floor| floor.to_string()),
            row["cpu_ratio"],
            edge["requests_per_second"],
            nginx["requests_per_second"],
            row["speed_ratio"],
            edge["p50_us"],
            edge["p99_us"],
            nginx["p50_us"],
            nginx["p99_us"]
        )?;
    }
    Ok(out)
}

fn figures_table(whole: &Value) -> Result<String> {
    let figures = &whole["figures"];
    let (start, cold, warm) = (&figures["start"], &figures["cold"], &figures["warm"]);
    let (tokens, update) = (&figures["tokens"], &figures["composer"]);
    let mut out = line(whole);
    writeln!(out, "\n\n| figure | measured |\n|---|---|")?;
    writeln!(out, "| start to first answer | {} ms |", start["first_answer_ms"])?;
    writeln!(out, "| resident memory after that answer | {} MiB |", start["idle_mib"])?;
    writeln!(
        out,
        "| a cold document of 100 versions, p50 / p99 / longest of {} | {} / {} / {} ms |",
        cold["documents"], cold["p50_ms"], cold["p99_ms"], cold["longest_ms"]
    )?;
    writeln!(
        out,
        "| resident memory with {} documents, {} sets of rights | {} MiB; asked for again they cost {} µs each |",
        warm["documents"], warm["sets"], warm["resident_mib"], warm["second_time_cpu_us"]
    )?;
    writeln!(
        out,
        "| requests/s with {} tokens over those with {} | {} ({} over {}; CPU {} and {} µs; {} MiB with all) |",
        tokens["all"],
        tokens["few"],
        tokens["ratio"],
        tokens["all_requests_per_second"],
        tokens["few_requests_per_second"],
        tokens["all_cpu_us"],
        tokens["few_cpu_us"],
        tokens["resident_mib_with_all"]
    )?;
    writeln!(
        out,
        "| `composer update` of {} packages, edge over nginx | {} ({} over {} ms) |",
        update["packages"], update["ratio"], update["edge_ms"], update["nginx_ms"]
    )?;
    Ok(out)
}
