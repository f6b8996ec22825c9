//! Drives one server for a while and reads what it cost.

mod h2load;
mod wrk;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::process;
use super::protocol::Protocol;

/// A server and the processes whose time counts.
#[derive(Debug)]
pub(crate) struct Target {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) processes: Vec<u32>,
}

/// What is asked again and again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question<'a> {
    pub(crate) path: &'a str,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The status of a right answer.
    pub(crate) status: u16,
    /// One token a line, drawn at random for each request; HTTP/1.1 alone.
    pub(crate) tokens: Option<&'a Path>,
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

/// What a tool says of a round.
struct Said {
    requests: f64,
    p50_microseconds: f64,
    p99_microseconds: f64,
}

/// Seconds after its time that a tool may take to end: one that hangs is a fault that must show.
pub(crate) const GRACE: u64 = 20;

/// HTTP/1.1: connections. HTTP/2: so many connections of eight streams.
pub(crate) const CONNECTIONS: usize = 64;
pub(crate) const HTTP2_CONNECTIONS: usize = 16;
pub(crate) const STREAMS: usize = 8;

pub(crate) fn drive(
    target: &Target,
    protocol: Protocol,
    question: &Question<'_>,
    (length, folder): (Duration, &Path),
) -> Result<Measured> {
    let url = format!("{}://{}{}", protocol.scheme(), target.address, question.path);
    let used = || target.processes.iter().map(|process| process::cpu(*process)).sum::<Duration>();
    let before = used();
    let said = match protocol {
        Protocol::Plain | Protocol::Tls => wrk::run(&url, question, (length, folder))?,
        Protocol::Http2 => h2load::run(&url, question, (length, folder))?,
    };
    let spent = used() - before;
    let memory: u64 = target.processes.iter().map(|process| process::memory(*process)).sum();
    Ok(Measured {
        requests_per_second: said.requests / length.as_secs_f64(),
        cpu_microseconds: spent.as_secs_f64() * 1e6 / said.requests,
        p50_microseconds: said.p50_microseconds,
        p99_microseconds: said.p99_microseconds,
        memory_bytes: memory as f64,
    })
}
