//! What it takes to read repositories: first syncs and unchanged ones beside Composer's own reading of the same repository, two
//! repositories with all their zips, and the way of a release from its webhook to an edge.

mod composer;
mod first;
mod pair;
mod release;
mod worker;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use cargoman_testkit::git::Shape;
use serde_json::{Value, json};

use self::first::First;
use self::pair::Pair;
use self::release::Release;
use crate::machine;

/// Runs of each, of which the median counts.
const ROUNDS: usize = 5;

/// Measures, and writes what it measured to `results`.
pub(crate) fn measure(results: &Path, quick: bool) -> Result<()> {
    let rounds = if quick { 1 } else { ROUNDS };
    let shapes = [
        ("like Monolog", Shape::monolog()),
        ("like Symfony's Console", Shape::console()),
        ("like Laravel", Shape { tags: 1282, branches: 29, files: 1500, changed_per_release: 20, ..Shape::console() }),
    ];
    let firsts = shapes.iter().map(|(name, shape)| First::measure(name, shape, rounds)).collect::<Result<Vec<_>>>()?;
    let pair = Pair::measure(rounds)?;
    let releases = [(1000, 0), (1000, 45_000)].map(|(tags, pulls)| Release::measure(tags, pulls, quick));
    let releases = releases.into_iter().collect::<Result<Vec<_>>>()?;
    let machine = machine::describe();
    let whole = json!({"machine": machine, "rounds": rounds, "first": firsts, "pair": pair, "release": releases});
    std::fs::write(results.join("syncs.json"), format!("{whole:#}\n"))?;
    let text = text(&machine, rounds, &firsts, &pair, &releases)?;
    std::fs::write(results.join("syncs.md"), &text)?;
    print!("{text}");
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn text(machine: &Value, rounds: usize, firsts: &[First], pair: &Pair, releases: &[Release]) -> Result<String> {
    let mut out = format!("{}. Medians of {rounds} rounds; milliseconds.\n\n", machine::line(machine));
    writeln!(
        out,
        "| repository | tags, branches | manifests read and checked | ten versions on the edge | all versions and zips on the edge | unchanged | Composer, metadata alone | Composer / all of ours |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    for one in firsts {
        writeln!(
            out,
            "| {} | {}, {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} |",
            one.repository,
            one.tags,
            one.branches,
            one.manifests_ms,
            one.ten_ms,
            one.all_ms,
            one.unchanged_ms,
            one.composer_ms,
            one.composer_ms / one.all_ms
        )?;
    }
    writeln!(
        out,
        "\nThe first two at once, all {} zips ({:.0} MB): {:.0} ms.\n",
        pair.zips, pair.megabytes, pair.all_ms
    )?;
    writeln!(
        out,
        "| tags | pull requests | a new tag on the edge after its webhook, median | longest | an unchanged look, median |"
    )?;
    writeln!(out, "|---|---|---|---|---|")?;
    for one in releases {
        let Release { tags, pulls, median_ms, longest_ms, unchanged_ms, .. } = one;
        writeln!(out, "| {tags} | {pulls} | {median_ms:.0} | {longest_ms:.0} | {unchanged_ms:.0} |")?;
    }
    Ok(out)
}
