//! HTTP/1.1 by wrk.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{CONNECTIONS, GRACE, Question, Said};

/// Another token for each request, and at the end how many answers had another status than they should.
const SCRIPT: &str = r#"
local wanted, file = nil, nil
local tokens = {}
function init(args)
  wanted, file = tonumber(args[1]), args[2]
  if file then
    for line in io.lines(file) do tokens[#tokens + 1] = line end
    math.randomseed(tonumber(args[3]))
    function request()
      wrk.headers["Authorization"] = tokens[math.random(#tokens)]
      return wrk.format(nil, nil)
    end
  end
end
wrong = 0
function setup(thread) thread_ = thread end
function response(status) if status ~= wanted then wrong = wrong + 1 end end
function done() io.write("wrong answers: " .. thread_:get("wrong") .. "\n") end
"#;

pub(super) fn run(url: &str, question: &Question<'_>, (length, folder): (Duration, &Path)) -> Result<Said> {
    let mut command = Command::new("timeout");
    command.args([&format!("{}s", length.as_secs() + GRACE), "wrk"]);
    command.args(["-t1", "--latency", "-c", &CONNECTIONS.to_string(), "-d", &format!("{}s", length.as_secs())]);
    for (name, value) in &question.headers {
        command.arg("-H").arg(format!("{name}: {value}"));
    }
    // A script costs the tool time for each answer, so there is none where it decides nothing.
    if question.tokens.is_some() {
        let script = folder.join("tokens.lua");
        std::fs::write(&script, SCRIPT)?;
        command.arg("-s").arg(script);
    }
    command.arg(url);
    if let Some(tokens) = question.tokens {
        command.arg("--").arg(question.status.to_string()).arg(tokens).arg("7");
    }
    let output = command.output().context("cannot run wrk; ./dev bench installs it")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || text.contains("Socket errors") || !is_right(&text, question.status) {
        bail!("{url}: wrk says\n{text}{errors}");
    }
    read(&text).with_context(|| format!("cannot read what wrk says:\n{text}"))
}

/// Without a script wrk only tells answers that are no success or redirection.
fn is_right(text: &str, status: u16) -> bool {
    let failed = text.lines().find_map(|line| line.trim().strip_prefix("Non-2xx or 3xx responses: "));
    let wrong = text.lines().find_map(|line| line.strip_prefix("wrong answers: "));
    let refused = (400..600).contains(&status);
    wrong.is_none_or(|wrong| wrong == "0") && failed.is_some() == refused
}

fn read(text: &str) -> Option<Said> {
    let line = text.lines().find(|line| line.contains("requests in"))?;
    let requests = line.split_whitespace().next()?.parse().ok()?;
    Some(Said { requests, p50_microseconds: percentile(text, "50%")?, p99_microseconds: percentile(text, "99%")? })
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
        let said = read(SAID).unwrap();
        assert_eq!((said.requests, said.p50_microseconds, said.p99_microseconds), (12345.0, 123.0, 2e6));
        assert_eq!(percentile(SAID, "75%"), Some(1500.0));
        assert!(is_right(SAID, 200) && is_right(SAID, 304) && !is_right(SAID, 401));
        let refused = format!("{SAID}  Non-2xx or 3xx responses: 12345\n");
        assert!(is_right(&refused, 401) && !is_right(&refused, 200));
        assert!(!is_right(&format!("{SAID}wrong answers: 3\n"), 200));
    }
}
