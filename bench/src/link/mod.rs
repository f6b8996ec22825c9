//! How fast a change is effective on every edge: two control planes, three edges and one PostgreSQL on this machine, all of them
//! the real programs.

mod figures;
mod publish;
mod reconnect;
mod revoke;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use cargoman_tests::scale_out::Link;
use serde_json::{Value, json};

use self::revoke::Load;
use crate::machine;

/// Between two requests of each of six readers: about 600 requests a second together.
const PACE: Duration = Duration::from_millis(10);
/// And several thousand.
const FAST: Duration = Duration::from_millis(1);

/// Measures, and writes what it measured to `results`.
pub(crate) fn measure(results: &Path, quick: bool) -> Result<()> {
    let (revocations, few, requests, versions, rounds) =
        if quick { (100, 50, 1_000, 10, 1) } else { (1_100, 300, 120_000, 200, 5) };
    let link = Link::start(2, 3);
    eprintln!("revocations with three edges under load");
    let paced = revoke::measure(&link, Load::Paced(PACE), revocations, 0)?;
    eprintln!("revocations with three edges under more of it");
    let fast = revoke::measure(&link, Load::Paced(FAST), revocations, requests)?;
    eprintln!("revocations with three edges and no time left on this machine");
    let full = revoke::measure(&link, Load::Full, few, 0)?;
    eprintln!("publishing");
    let publish = publish::measure(&link, versions)?;
    drop(link);
    let reconnect = reconnect::measure(rounds)?;
    let machine = machine::describe();
    let whole = json!({
        "machine": machine, "revoke": [paced, fast, full], "publish": publish, "reconnect": reconnect,
    });
    std::fs::write(results.join("link.json"), format!("{whole:#}\n"))?;
    let table = table(&whole)?;
    std::fs::write(results.join("link.md"), &table)?;
    print!("{table}");
    Ok(())
}

fn table(whole: &Value) -> Result<String> {
    let mut out = String::new();
    writeln!(
        out,
        "{}, autogroup {}. Two control planes, three edges, PostgreSQL that syncs its commits, and the load, all on this machine.\n",
        machine::line(&whole["machine"]),
        match whole["machine"]["autogroup"].as_bool() {
            Some(true) => "on",
            Some(false) => "off",
            None => "unknown",
        }
    )?;
    writeln!(out, "| from call to answer | median ms | p99 ms | longest ms | count |\n|---|---|---|---|---|")?;
    for part in whole["revoke"].as_array().into_iter().flatten() {
        let load = format!("{} requests/s", part["requests_per_second"]);
        row(&mut out, &format!("revoke, {load}"), &part["revoke"])?;
        row(&mut out, &format!("make a token, {load}"), &part["make_a_token_good_everywhere"])?;
    }
    row(&mut out, "publish by upload", &whole["publish"]["upload_to_answer"])?;
    row(&mut out, "publish by upload, until visible on an edge", &whole["publish"]["upload_to_visible_on_an_edge"])?;
    for part in whole["reconnect"].as_array().into_iter().flatten() {
        let what = part["what"].as_str().unwrap_or_default();
        row(&mut out, &format!("{} edges {what}, each", part["edges"]), &part["until_current"])?;
    }
    writeln!(out)?;
    for part in whole["revoke"].as_array().into_iter().flatten() {
        writeln!(
            out,
            "{} requests over {} revocations ({}): {} answers 200 to a request begun after an `effective` answer, {} without an \
             answer or with 503, {} writes answered that they were not effective yet.",
            part["requests"],
            part["revoke"]["count"],
            part["load"].as_str().unwrap_or_default(),
            part["served_after_effective"],
            part["requests_without_an_answer_or_503"],
            part["answers_that_it_is_not_effective_yet"]
        )?;
    }
    Ok(out)
}

fn row(out: &mut String, what: &str, figures: &Value) -> std::fmt::Result {
    let figure = |name: &str| &figures[name];
    writeln!(
        out,
        "| {what} | {} | {} | {} | {} |",
        figure("median_ms"),
        figure("p99_ms"),
        figure("longest_ms"),
        figure("count")
    )
}
