//! What the process itself takes, under the names that Prometheus' own libraries use.

use std::fs;

use prometheus_client::encoding::DescriptorEncoder;

use super::gauge;

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    if let Some(bytes) = resident() {
        gauge(encoder, "process_resident_memory_bytes", "Resident memory", &bytes)?;
    }
    if let Some(seconds) = processor() {
        gauge(encoder, "process_cpu_seconds", "Time of processors that was used", &seconds)?;
    }
    let open = fs::read_dir("/proc/self/fd").map_or(0, |files| i64::try_from(files.count()).unwrap_or(i64::MAX));
    gauge(encoder, "process_open_fds", "Open files and sockets", &open)
}

fn resident() -> Option<i64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = text.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(i64::try_from(rustix::param::page_size()).ok()?)
}

fn processor() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may hold spaces; what follows does not.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / rustix::param::clock_ticks_per_second() as f64)
}
