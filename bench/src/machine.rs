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
        "date": said("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]),
    })
}
