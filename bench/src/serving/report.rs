//! Medians over the rounds, as a table for people and JSON for machines.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::load::Measured;
use super::sync::Sync;
use crate::machine;

/// One scenario, both servers.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    scenario: String,
    edge: Value,
    nginx: Value,
    /// CPU per request of the edge over that of nginx: below 1 the edge is cheaper.
    cpu_ratio: f64,
}

impl Row {
    pub(crate) fn new(scenario: &str, ours: &[Measured], theirs: &[Measured]) -> Self {
        let cpu = |rounds: &[Measured]| median(rounds, |round| round.cpu_microseconds);
        Self {
            scenario: scenario.to_owned(),
            edge: medians(ours),
            nginx: medians(theirs),
            cpu_ratio: round(cpu(ours) / cpu(theirs)),
        }
    }
}

fn median(rounds: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn medians(rounds: &[Measured]) -> Value {
    json!({
        "requests_per_second": median(rounds, |round| round.requests_per_second).round(),
        "cpu_us_per_request": round(median(rounds, |round| round.cpu_microseconds)),
        "p50_us": round(median(rounds, |round| round.p50_microseconds)),
        "p99_us": round(median(rounds, |round| round.p99_microseconds)),
        "resident_mib": round(median(rounds, |round| round.memory_bytes) / f64::from(1 << 20)),
    })
}

pub(crate) fn write(folder: &Path, rows: &[Row], syncs: &[Sync], rounds: usize) -> Result<()> {
    let machine = machine::describe();
    let whole = json!({"machine": machine, "rounds": rounds, "requests": rows, "syncs": syncs});
    std::fs::write(folder.join("serving.json"), format!("{whole:#}\n"))?;
    let table = table(&machine, rows, &serde_json::to_value(syncs)?, rounds)?;
    std::fs::write(folder.join("serving.md"), &table)?;
    print!("{table}");
    Ok(())
}

fn table(machine: &Value, rows: &[Row], syncs: &Value, rounds: usize) -> Result<String> {
    let mut out = String::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    writeln!(
        out,
        "{}. Medians of {rounds} rounds in turns, 16 connections, HTTP/1.1 keep-alive.\n",
        machine::line(machine)
    )?;
    writeln!(out, "| request | edge CPU µs | nginx CPU µs | ratio | edge p50/p99 µs | nginx p50/p99 µs |")?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for row in rows {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} / {} | {} / {} |",
            row.scenario,
            row.edge["cpu_us_per_request"],
            row.nginx["cpu_us_per_request"],
            row.cpu_ratio,
            row.edge["p50_us"],
            row.edge["p99_us"],
            row.nginx["p50_us"],
            row.nginx["p99_us"]
        )?;
    }
    writeln!(
        out,
        "\nThe edge's CPU is that of the whole process of `cargoman up`, control plane included, without PostgreSQL.\n"
    )?;
    writeln!(out, "| repository | versions | first sync ms | unchanged ms | Composer reading metadata alone ms |")?;
    writeln!(out, "|---|---|---|---|---|")?;
    for sync in syncs.as_array().into_iter().flatten() {
        writeln!(
            out,
            "| {} | {} | {} | {} | {:.0} |",
            text(&sync["repository"]),
            sync["versions"],
            sync["first_ms"],
            sync["unchanged_ms"],
            sync["composer_metadata_ms"].as_f64().unwrap_or_default()
        )?;
    }
    Ok(out)
}
