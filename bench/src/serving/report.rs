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
    /// CPU per request of the edge over that of nginx: below 1 the edge is cheaper.
    cpu_ratio: f64,
    /// Requests per second of the edge over those of nginx: above 1 the edge is faster.
    speed_ratio: f64,
}

/// Everything that was measured.
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    pub(crate) start: Start,
    pub(crate) composer: Update,
    pub(crate) cold: Cold,
    pub(crate) warm: Warm,
    pub(crate) tokens: Tokens,
    pub(crate) size: Size,
    pub(crate) rounds: usize,
}

impl Row {
    pub(crate) fn new(protocol: Protocol, scenario: &str, ours: &[Measured], theirs: &[Measured]) -> Self {
        let ratio = |of: fn(&Measured) -> f64| round(median_of(ours, of) / median_of(theirs, of));
        Self {
            protocol: protocol.name(),
            scenario: scenario.to_owned(),
            edge: medians(ours),
            nginx: medians(theirs),
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

pub(crate) fn write(folder: &Path, report: &Report) -> Result<()> {
    let Size { packages, customers, tokens } = report.size;
    let whole = json!({
        "machine": machine::describe(),
        "rounds": report.rounds,
        "world": {"packages": packages, "versions_each": 100, "customers": customers, "tokens": tokens},
        "requests": report.rows,
        "start": report.start,
        "composer_update": report.composer,
        "cold": report.cold,
        "all_warm": report.warm,
        "many_tokens": report.tokens,
    });
    std::fs::write(folder.join("serving.json"), format!("{whole:#}\n"))?;
    let table = table(&whole)?;
    std::fs::write(folder.join("serving.md"), &table)?;
    print!("{table}");
    Ok(())
}

fn table(whole: &Value) -> Result<String> {
    let mut out = String::new();
    let world = &whole["world"];
    writeln!(
        out,
        "{}. Medians of {} rounds in turns, {CONNECTIONS} connections (HTTP/2: {HTTP2_CONNECTIONS} of {STREAMS} streams), keep-alive. \
         {} packages of {} versions, {} customers, {} tokens. Edge: access log to a file, metrics on. nginx: access log off, \
         `auth_basic`, `gzip_static`, `open_file_cache`, `sendfile`. Sizes are of what is sent.\n",
        machine::line(&whole["machine"]),
        whole["rounds"],
        world["packages"],
        world["versions_each"],
        world["customers"],
        world["tokens"]
    )?;
    writeln!(
        out,
        "| protocol | request | edge CPU µs | nginx CPU µs | CPU ratio | edge req/s | nginx req/s | speed ratio | edge p50/p99 µs | nginx p50/p99 µs |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|---|")?;
    for row in whole["requests"].as_array().into_iter().flatten() {
        let (edge, nginx) = (&row["edge"], &row["nginx"]);
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} / {} | {} / {} |",
            row["protocol"].as_str().unwrap_or_default(),
            row["scenario"].as_str().unwrap_or_default(),
            edge["cpu_us_per_request"],
            nginx["cpu_us_per_request"],
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
    others(&mut out, whole)?;
    Ok(out)
}

fn others(out: &mut String, whole: &Value) -> std::fmt::Result {
    let (start, cold, warm) = (&whole["start"], &whole["cold"], &whole["all_warm"]);
    let (tokens, update) = (&whole["many_tokens"], &whole["composer_update"]);
    writeln!(out, "\n| figure | measured |\n|---|---|")?;
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
    )
}
