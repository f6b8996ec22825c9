//! The git worker alone, as the control plane runs it: what of a sync is reading.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cargoman_testkit::cargoman::command;
use serde_json::{Value, json};

/// Milliseconds from the worker's start to its first dist: it has listed the refs, taken the objects over, and read and checked all
/// manifests by then.
pub(super) fn manifests(repository: &Path, folder: &Path) -> Result<f64> {
    let output = folder.join("output");
    std::fs::create_dir_all(&output)?;
    let request = json!({
        "mode": "sync", "repository_url": repository, "mirror": folder.join("mirror.git"), "output": output,
        "network": {"allow_local": true},
    });
    let since = Instant::now();
    let mut child = command().arg("git-worker").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    stdin.write_all(request.to_string().as_bytes())?;
    drop(stdin);
    let mut took = None;
    for line in BufReader::new(child.stdout.take().context("no stdout")?).lines() {
        let event: Value = serde_json::from_str(&line?)?;
        match event["event"].as_str() {
            Some("progress") if event["phase"] == "archiving" && took.is_none() => {
                took = Some(since.elapsed().as_secs_f64() * 1e3);
            }
            Some("failed") => bail!("{event}"),
            _ => {}
        }
    }
    child.wait()?;
    took.context("nothing was archived")
}
