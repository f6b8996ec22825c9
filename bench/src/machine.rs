//! Where and what was measured.

use std::process::Command;

use serde_json::{Value, json};

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

pub(crate) fn describe() -> Value {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let changed = !said("git", &["status", "--porcelain", "--", "*.rs", "*.toml"]).is_empty();
    json!({
        "commit": said("git", &["rev-parse", "HEAD"]),
        "uncommitted_changes": changed,
        "processor": model.map(|(_, model)| model.trim()),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": said("uname", &["-r"]),
        // It shares the processors out among sessions, and each of PostgreSQL's processes is one: see docs/operations.md.
        "autogroup": std::fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled").ok().map(|on| on.trim() == "1"),
        "date": said("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]),
    })
}

/// The same for people: commit, date and processor.
pub(crate) fn line(machine: &Value) -> String {
    let text = |name: &str| machine[name].as_str().unwrap_or_default().to_owned();
    format!(
        "Commit {}{}, {}, {} × {}",
        text("commit").get(..12).unwrap_or_default(),
        if machine["uncommitted_changes"] == true { " with uncommitted changes" } else { "" },
        text("date"),
        machine["processors"],
        text("processor")
    )
}
