//! `cargoman package sync`: waits, and tells what came of it.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::Value;

use crate::admin::Answer;
use crate::admin::client::Client;
use crate::admin::output::text;
use crate::admin::path::package as address;
use crate::exit::Failure;

pub(super) async fn sync(client: &Client, package: &str) -> Result<Answer, Failure> {
    let spinner = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    spinner.set_message(format!("reading {package}"));
    spinner.enable_steady_tick(Duration::from_millis(100));
    let result = client.post(&format!("{}/sync?wait=true", address(package)), &Value::Null).await;
    spinner.finish_and_clear();
    let result = result?;
    match text(&result, "state") {
        "succeeded" => Ok(Answer::Thing(result.clone(), summary(package, &result))),
        "failed" => Err(Failure::failed(format!("the sync of {package} failed: {}", text(&result, "error")))),
        state => Ok(Answer::Thing(
            result.clone(),
            format!("the sync of {package} is {state}; look again with: cargoman package show {package}"),
        )),
    }
}

fn summary(package: &str, result: &Value) -> String {
    let count = |name: &str| result.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    let mut out = format!(
        "{package}: {} added, {} updated, {} removed, {} skipped, in {} ms",
        count("added"),
        count("updated"),
        count("removed"),
        count("skipped"),
        result.get("took_ms").and_then(Value::as_u64).unwrap_or_default()
    );
    for skipped in result.get("skipped").and_then(Value::as_array).into_iter().flatten() {
        out.push_str(&format!("\n  skipped {}: {}", text(skipped, "ref"), text(skipped, "reason")));
    }
    for missing in result.get("missing_requirements").and_then(Value::as_array).into_iter().flatten() {
        let name = missing.as_str().unwrap_or_default();
        out.push_str(&format!("\n  requires {name}, which is neither here nor in public_names of its vendor"));
    }
    out
}
