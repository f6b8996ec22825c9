//! One line per request, under the target `cargoman::access`: JSON, or plain words on a terminal. No secret and no query is ever in it.
//!
//! Requests never wait for whoever reads standard error: a line goes into memory, and a thread of its own writes many at once. What
//! does not fit is dropped and counted.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, Utc};

/// What one line says.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) at: DateTime<Utc>,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) client: Option<IpAddr>,
    pub(crate) tenant: Option<&'a str>,
    pub(crate) customer: Option<&'a str>,
    pub(crate) token: Option<&'a str>,
    pub(crate) user_agent: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
}

/// Longest user agent that is written.
const LONGEST_AGENT: usize = 200;
/// How long a line may wait.
const EVERY: Duration = Duration::from_millis(100);
/// Each thread that serves has a place of its own, as far as they go.
const PLACES: usize = 16;
/// Bytes that wait at one place at most.
const MOST_WAITING: usize = 1 << 20;
/// With so many the writer is woken before its time.
const WAKES: usize = 256 << 10;

/// Lines on their way to standard error.
#[derive(Debug)]
pub(crate) struct AccessLog {
    places: [Mutex<Waiting>; PLACES],
    json: bool,
    wanted: bool,
    ended: Mutex<bool>,
    wake: Condvar,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: String,
    lost: u64,
    stamp: Stamp,
}

/// The date and time of the last line up to its second, which most lines share.
#[derive(Debug, Default)]
struct Stamp {
    second: i64,
    text: String,
}

/// The thread that writes.
pub(crate) struct Writer {
    log: Arc<AccessLog>,
    thread: JoinHandle<()>,
}

impl AccessLog {
    /// For standard error, if anybody wants to see it.
    pub(crate) fn new() -> Arc<Self> {
        let wanted = tracing::enabled!(target: "cargoman::access", tracing::Level::INFO);
        Arc::new(Self::of_kind(!std::io::stderr().is_terminal(), wanted))
    }

    fn of_kind(json: bool, wanted: bool) -> Self {
        Self {
            places: Default::default(),
            json,
            wanted,
            ended: Mutex::default(),
            wake: Condvar::new(),
            lost: AtomicU64::new(0),
        }
    }

    /// Takes a line.
    pub(crate) fn write(&self, line: &Line<'_>) {
        if !self.wanted {
            return;
        }
        let Some(place) = self.places.get(own_place()) else { return };
        let mut waiting = place.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() > MOST_WAITING {
            waiting.lost += 1;
            return;
        }
        let Waiting { lines, stamp, .. } = &mut *waiting;
        match self.json {
            true => json(lines, stamp, line),
            false => words(lines, stamp, line),
        }
        if waiting.lines.len() > WAKES {
            self.wake.notify_one();
        }
    }

    /// Starts the thread that writes.
    pub(crate) fn start(self: &Arc<Self>) -> std::io::Result<Writer> {
        let log = Arc::clone(self);
        let thread = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || log.run())?;
        Ok(Writer { log: Arc::clone(self), thread })
    }

    /// Lines that were dropped, as far as it was told.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn run(&self) {
        let mut lines = String::new();
        loop {
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            let (ended, _) = match *ended {
                true => (ended, None),
                false => {
                    let (ended, late) = self.wake.wait_timeout(ended, EVERY).unwrap_or_else(PoisonError::into_inner);
                    (ended, Some(late))
                }
            };
            let last = *ended;
            drop(ended);
            let mut lost = 0;
            for place in &self.places {
                lost += take(place, &mut lines);
                // Nobody is left to tell where this fails.
                std::io::stderr().lock().write_all(lines.as_bytes()).ok();
                lines.clear();
            }
            if lost > 0 {
                self.lost.fetch_add(lost, Ordering::Relaxed);
                tracing::warn!(target: "cargoman::edge", lost, "lines of the access log were dropped: standard error is read too slowly");
            }
            if last {
                return;
            }
        }
    }
}

impl Writer {
    /// Writes what there is and ends.
    pub(crate) fn end(self) {
        *self.log.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.log.wake.notify_all();
        // A panic there was reported as one.
        self.thread.join().ok();
    }
}

/// Exchanges what waits for the empty `lines`; how many were dropped.
fn take(place: &Mutex<Waiting>, lines: &mut String) -> u64 {
    let mut waiting = place.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::swap(&mut waiting.lines, lines);
    std::mem::take(&mut waiting.lost)
}

fn own_place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % PLACES;
    }
    PLACE.with(|place| *place)
}

impl Stamp {
    fn of(&mut self, at: DateTime<Utc>) -> &str {
        if self.second != at.timestamp() || self.text.is_empty() {
            self.second = at.timestamp();
            self.text = at.format("%Y-%m-%dT%H:%M:%S").to_string();
        }
        &self.text
    }
}

fn microseconds(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// Up to so many characters.
fn beginning(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| text.get(..end).unwrap_or(text))
}

/// Writing to a string cannot fail, which is why nobody looks whether it did.
fn json(out: &mut String, stamp: &mut Stamp, line: &Line<'_>) {
    let second = stamp.of(line.at);
    out.push_str("{\"timestamp\":\"");
    out.push_str(second);
    out.push('.');
    // Six digits: those behind a one that is left out.
    let micros = u64::from(line.at.timestamp_subsec_micros());
    out.push_str(itoa::Buffer::new().format(1_000_000 + micros).get(1..).unwrap_or_default());
    out.push_str("Z\",\"level\":\"INFO\",\"target\":\"cargoman::access\"");
    let texts = [
        ("method", Some(line.method)),
        ("host", Some(line.host)),
        ("path", Some(line.path)),
        ("tenant", line.tenant),
        ("customer", line.customer),
        ("token", line.token),
        ("agent", Some(beginning(line.user_agent, LONGEST_AGENT))),
    ];
    for (name, text) in texts {
        let Some(text) = text else { continue };
        out.push_str(",\"");
        out.push_str(name);
        out.push_str("\":\"");
        escaped(out, text);
        out.push('"');
    }
    if let Some(client) = line.client {
        out.push_str(",\"client\":\"");
        address(out, client);
        out.push('"');
    }
    let numbers = [("status", u64::from(line.status)), ("bytes", line.bytes), ("took_us", microseconds(line.took))];
    for (name, number) in numbers {
        out.push_str(",\"");
        out.push_str(name);
        out.push_str("\":");
        out.push_str(itoa::Buffer::new().format(number));
    }
    out.push_str("}\n");
}

/// Formatting by the standard library's means costs more than all else of a line.
fn address(out: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (number, octet) in address.octets().into_iter().enumerate() {
                if number > 0 {
                    out.push('.');
                }
                out.push_str(itoa::Buffer::new().format(octet));
            }
        }
        IpAddr::V6(address) => {
            let _ = write!(out, "{address}");
        }
    }
}

fn escaped(out: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\' && byte != 0x7f) {
        return out.push_str(text);
    }
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

fn words(out: &mut String, stamp: &mut Stamp, line: &Line<'_>) {
    let second = stamp.of(line.at);
    let client = line.client.map(|client| client.to_string()).unwrap_or_default();
    let agent: String = beginning(line.user_agent, LONGEST_AGENT).chars().filter(|c| !c.is_control()).collect();
    let _ = writeln!(
        out,
        "{second}Z  INFO cargoman::access: {client} {} {}{} {} {} bytes {} µs tenant={} customer={} token={} {agent}",
        line.method,
        line.host,
        line.path,
        line.status,
        line.bytes,
        microseconds(line.took),
        line.tenant.unwrap_or("-"),
        line.customer.unwrap_or("-"),
        line.token.unwrap_or("-"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(agent: &str) -> Line<'_> {
        Line {
            at: "2026-01-31T12:00:00.000123Z".parse().unwrap(),
            method: "GET",
            host: "t1.example",
            path: "/p2/acme/pay.json",
            client: Some("192.0.2.1".parse().unwrap()),
            tenant: Some("t1"),
            customer: Some("cust_1"),
            token: None,
            user_agent: agent,
            status: 200,
            bytes: 12,
            took: Duration::from_micros(34),
        }
    }

    fn waiting(log: &AccessLog) -> (String, u64) {
        let (mut all, mut lost) = (String::new(), 0);
        for place in &log.places {
            let mut lines = String::new();
            lost += take(place, &mut lines);
            all.push_str(&lines);
        }
        (all, lost)
    }

    /// Whatever a client calls itself, the line stays one line of JSON.
    #[test]
    fn lines() {
        let log = AccessLog::of_kind(true, true);
        let agent = format!("Composer/2 \"quoted\" \\ \n\u{1b}[31m é{}", "x".repeat(400));
        log.write(&line(&agent));
        log.write(&line("Composer/2"));
        let (text, lost) = waiting(&log);
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), lost), (2, 0), "{text}");
        assert!(!text.contains('\u{1b}'));
        assert_eq!(lines[0]["agent"].as_str().unwrap(), agent.chars().take(LONGEST_AGENT).collect::<String>());
        assert_eq!(
            lines[1],
            serde_json::json!({
                "timestamp": "2026-01-31T12:00:00.000123Z", "level": "INFO", "target": "cargoman::access", "method": "GET",
                "host": "t1.example", "path": "/p2/acme/pay.json", "tenant": "t1", "customer": "cust_1", "agent": "Composer/2",
                "client": "192.0.2.1", "status": 200, "bytes": 12, "took_us": 34,
            })
        );
    }

    #[test]
    fn on_a_terminal() {
        let log = AccessLog::of_kind(false, true);
        log.write(&line("a\u{1b}[31mb"));
        let (text, _) = waiting(&log);
        assert_eq!(
            text,
            "2026-01-31T12:00:00Z  INFO cargoman::access: 192.0.2.1 GET t1.example/p2/acme/pay.json 200 12 bytes 34 µs \
             tenant=t1 customer=cust_1 token=- a[31mb\n"
        );
    }

    #[test]
    fn nobody_waits_for_a_slow_reader() {
        let log = AccessLog::of_kind(true, true);
        for _ in 0..10_000 {
            log.write(&line("Composer/2"));
        }
        let (text, lost) = waiting(&log);
        assert!(text.len() < MOST_WAITING + 1_000 && lost > 1_000, "{} {lost}", text.len());
        assert_eq!(text.lines().count() as u64 + lost, 10_000);
        let unwanted = AccessLog::of_kind(true, false);
        unwanted.write(&line("x"));
        assert_eq!(waiting(&unwanted), (String::new(), 0));
    }
}
