//! HTTP/2 by h2load.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{GRACE, HTTP2_CONNECTIONS, Question, STREAMS, Said};

pub(super) fn run(url: &str, question: &Question<'_>, (length, folder): (Duration, &Path)) -> Result<Said> {
    let log = folder.join("h2load.log");
    // It adds to what is there.
    std::fs::remove_file(&log).ok();
    let mut command = Command::new("timeout");
    command.args([&format!("{}s", length.as_secs() + GRACE), "h2load"]);
    command.args(["-t1", "-c", &HTTP2_CONNECTIONS.to_string(), "-m", &STREAMS.to_string()]);
    command.arg("-D").arg(length.as_secs().to_string()).arg("--log-file").arg(&log);
    for (name, value) in &question.headers {
        command.arg("-H").arg(format!("{}: {value}", name.to_ascii_lowercase()));
    }
    let output = command.arg(url).output().context("cannot run h2load; ./dev bench installs it")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{url}: h2load says\n{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    let lines = std::fs::read_to_string(&log)?;
    std::fs::remove_file(&log)?;
    let taken =
        taken(&lines, question.status).with_context(|| format!("{url}: another status than expected:\n{text}"))?;
    let requests = requests(&text).with_context(|| format!("cannot read what h2load says:\n{text}"))?;
    let at = |share: f64| taken.get((taken.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    Ok(Said { requests, p50_microseconds: at(0.5), p99_microseconds: at(0.99) })
}

/// `requests: 65 total, 80 started, 65 done, …`
fn requests(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("requests: "))?;
    let done = line.split(", ").find_map(|part| part.strip_suffix(" done"))?;
    done.parse().ok().filter(|requests| *requests > 0.0)
}

/// Each line: start, status, microseconds. In order; none when an answer has another status.
fn taken(lines: &str, status: u16) -> Option<Vec<f64>> {
    let status = status.to_string();
    let mut all = Vec::new();
    for line in lines.lines() {
        let mut fields = line.split('\t').skip(1);
        let (said, took) = (fields.next()?, fields.next()?);
        if said != status {
            return None;
        }
        all.push(took.parse().ok()?);
    }
    all.sort_by(f64::total_cmp);
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_h2load_says() {
        let text = "finished in 2.00s, 32.50 req/s, 1.00MB/s\nrequests: 65 total, 80 started, 60 done, 60 succeeded, 5 failed\n";
        assert_eq!(requests(text), Some(60.0));
        assert_eq!(requests("requests: 0 total, 0 started, 0 done"), None);
        assert_eq!(taken("1\t200\t30\n2\t200\t10\n", 200), Some(vec![10.0, 30.0]));
        assert_eq!(taken("1\t200\t30\n2\t401\t10\n", 200), None);
        assert_eq!(taken("", 200), None);
    }
}
