//! `cargoman constraint --json-lines`: one question a line, one answer a line.

use std::io::{BufRead, Write, stdin, stdout};

use clap::Args;

use crate::exit::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Reads `{"constraint":"^1.2","version":"1.3.0"}` a line and answers `{"normalized":"1.3.0.0","matches":true}` or
    /// `{"error":"…"}`.
    #[arg(long, required = true)]
    json_lines: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    debug_assert!(arguments.json_lines, "clap requires it");
    let mut out = std::io::BufWriter::new(stdout().lock());
    let mut input = stdin().lock();
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return Err(Failure::failed(format!("cannot read standard input: {error}"))),
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        if text.trim().is_empty() {
            continue;
        }
        let answer = cargoman_composer::json_lines::constraint_line(text);
        // Whoever reads our output may stop when he has enough; that is no failure. Each answer leaves at once, for the
        // other side may wait for it before it asks again.
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            return Ok(());
        }
    }
    Ok(())
}
