//! `cargoman package sync`: waits, shows how far it is, and tells what came of it.

use std::io::IsTerminal;

use serde_json::Value;

use crate::admin::client::Client;
use crate::admin::output::text;
use crate::admin::path::package as address;
use crate::admin::{Answer, watch};
use crate::exit::Failure;

pub(super) async fn sync(client: &Client, package: &str) -> Result<Answer, Failure> {
    let result = match std::io::stderr().is_terminal() {
        true => watched(client, package).await?,
        false => client.post(&format!("{}/sync?wait=true", address(package)), &Value::Null).await?,
    };
    match text(&result, "state") {
        "succeeded" => Ok(Answer::Thing(result.clone(), summary(package, &result))),
        "failed" => Err(Failure::failed(format!("the sync of {package} failed: {}", text(&result, "error")))),
        state => Ok(Answer::Thing(
            result.clone(),
            format!("the sync of {package} is {state}; look again with: cargoman task list --package {package}"),
        )),
    }
}

/// The same as waiting at the API, with a bar meanwhile.
async fn watched(client: &Client, package: &str) -> Result<Value, Failure> {
    let asked = client.post(&format!("{}/sync", address(package)), &Value::Null).await?;
    Ok(flattened(watch::task(client, text(&asked, "id"), package).await?))
}

/// The result's fields beside the state, as an answer to `?wait=true` has them.
fn flattened(task: Value) -> Value {
    let mut out = serde_json::json!({"task": task.get("id"), "state": task.get("state")});
    let Some(map) = out.as_object_mut() else { return out };
    if let Some(error) = task.get("error").filter(|error| !error.is_null()) {
        map.insert("error".to_owned(), error.clone());
    }
    if let Some(result) = task.get("result").and_then(Value::as_object) {
        map.extend(result.clone());
    }
    out
}

fn summary(package: &str, result: &Value) -> String {
    let list = |name: &str| result.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut out = format!(
        "{package}: {} added, {} updated, {} removed, {} skipped, in {} ms",
        list("added").len(),
        list("updated").len(),
        list("removed").len(),
        list("skipped").len(),
        result.get("took_ms").and_then(Value::as_u64).unwrap_or_default()
    );
    for made in list("packages") {
        out.push_str(&format!("\n  new package {}", made.as_str().unwrap_or_default()));
    }
    for skipped in list("skipped") {
        out.push_str(&format!("\n  skipped {}: {}", text(&skipped, "ref"), text(&skipped, "reason")));
    }
    for missing in list("missing_requirements") {
        let name = missing.as_str().unwrap_or_default();
        out.push_str(&format!("\n  requires {name}, which is neither here nor in public_names of its vendor"));
    }
    out
}
