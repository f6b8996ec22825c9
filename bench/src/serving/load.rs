//! Drives one server with wrk for a while and reads what it cost.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::process;
use super::world::Scenario;

/// A server and the processes whose time counts.
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) processes: Vec<u32>,
}

/// One round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) requests_per_second: f64,
    pub(crate) cpu_microseconds: f64,
    pub(crate) p50_microseconds: f64,
    pub(crate) p99_microseconds: f64,
    pub(crate) memory_bytes: f64,
}

const CONNECTIONS: &str = "16";

pub(crate) fn drive(target: &Target, scenario: &Scenario, authorization: &str, length: Duration) -> Result<Measured> {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c", CONNECTIONS, "--latency", "-d"]).arg(format!("{}s", length.as_secs()));
    if scenario.authorized {
        command.arg("-H").arg(format!("Authorization: {authorization}"));
    }
    if let Some(known) = &scenario.known {
        command.arg("-H").arg(format!("If-Modified-Since: {known}"));
    }
    let used = || target.processes.iter().map(|process| process::cpu(*process)).sum::<Duration>();
    let before = used();
    let output = command.arg(&target.url).output().context("cannot run wrk; ./dev bench installs it")?;
    let spent = used() - before;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || text.contains("Socket errors") {
        bail!("{}: wrk says\n{text}{}", scenario.name, String::from_utf8_lossy(&output.stderr));
    }
    let requests = requests(&text).with_context(|| format!("cannot read what wrk says:\n{text}"))?;
    let memory: u64 = target.processes.iter().map(|process| process::memory(*process)).sum();
    Ok(Measured {
        requests_per_second: requests / length.as_secs_f64(),
        cpu_microseconds: spent.as_secs_f64() * 1e6 / requests,
        p50_microseconds: percentile(&text, "50%").unwrap_or(f64::NAN),
        p99_microseconds: percentile(&text, "99%").unwrap_or(f64::NAN),
        memory_bytes: memory as f64,
    })
}

fn requests(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains("requests in"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn percentile(text: &str, which: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.trim_start().starts_with(which))?;
    let value = line.split_whitespace().nth(1)?;
    let (number, unit) = value.split_at(value.find(|c: char| c.is_ascii_alphabetic())?);
    let factor = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 1s test @ http://127.0.0.1:1/x
  Latency Distribution
     50%  123.00us
     75%    1.50ms
     99%    2.00s
  12345 requests in 1.00s, 3.00MB read
Requests/sec:  12345.00
";

    #[test]
    fn what_wrk_says() {
        assert_eq!(requests(SAID), Some(12345.0));
        assert_eq!(percentile(SAID, "50%"), Some(123.0));
        assert_eq!(percentile(SAID, "75%"), Some(1500.0));
        assert_eq!(percentile(SAID, "99%"), Some(2e6));
    }
}
