//! Which processes a program has started, and whether they are still there.

use std::collections::BTreeMap;

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub id: u32,
    /// Its command line.
    pub command: String,
    started: u64,
}

struct Row {
    parent: u32,
    process: Process,
}

/// Everything that `id` has started and that has not ended, children of children included.
pub fn descendants(id: u32) -> Vec<Process> {
    let rows = rows();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![id];
    while let Some(parent) = parents.pop() {
        for row in rows.values().filter(|row| row.parent == parent) {
            parents.push(row.process.id);
            found.push(row.process.clone());
        }
    }
    found
}

/// Those of `processes` that have not ended.
pub fn still_there(processes: &[Process]) -> Vec<Process> {
    let rows = rows();
    processes.iter().filter(|known| rows.get(&known.id).is_some_and(|row| row.process == **known)).cloned().collect()
}

fn rows() -> BTreeMap<u32, Row> {
    let entries = std::fs::read_dir("/proc").expect("a /proc").flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
    // A process may end while it is looked at.
    numbers.filter_map(|id| Some((id, row(id)?))).collect()
}

fn row(id: u32) -> Option<Row> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything; after it: state, parent, …, start time as the 20th field.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return None;
    }
    let command = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned();
    let (parent, started) = (fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?);
    Some(Row { parent, process: Process { id, command, started } })
}
