//! What the pure steps of a request cost: `cargo bench -p cargoman-proxy --features steps`. Nanoseconds, medians.

use std::hint::black_box;
use std::time::Instant;

use bytes::BytesMut;
use cargoman_proxy::steps::Steps;

/// As Composer asks.
const HEAD: &str = "GET /p2/acme/pay.json HTTP/1.1\r\nHost: packages.acme.example\r\nUser-Agent: Composer/2.8.1 (Linux; 6.1.0; PHP 8.3.6; cURL 8.5.0)\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nAuthorization: Basic dG9rZW46dG9rX1c4a1pSQUhFTkhFZ3V5TE1xSUl6OTZoUEtaU3AxT2pJTVRabDNh\r\nConnection: keep-alive\r\n\r\n";

fn main() {
    let document = "{\"version\":\"1.2.3\",\"require\":{\"php\":\">=8.1\"}},".repeat(1_000);
    let Some(steps) = Steps::new(HEAD.as_bytes(), document.as_bytes()) else {
        eprintln!("the head cannot be read");
        std::process::exit(1);
    };
    let mut out = BytesMut::new();
    let ready = steps.document();
    row("read the head", || steps.read_head());
    row("canonical form", || steps.admit());
    row("route", || steps.route());
    row("token and its digest", || steps.credential());
    row("write a refusal's head", || steps.write_refusal(&mut out));
    row("write a document's head", || steps.write_document(&ready, &mut out));
    row("compress 46 KB", || steps.compress());
}

fn row(name: &str, mut run: impl FnMut() -> usize) {
    // So many at a time that the clock does not count.
    let mut once = || {
        let start = Instant::now();
        for _ in 0..100 {
            black_box(run());
        }
        start.elapsed().as_nanos() as f64 / 100.0
    };
    let mut times: Vec<f64> = (0..301).map(|_| once()).collect();
    times.sort_by(f64::total_cmp);
    println!("{name:<26} {:>10.0} ns", times.get(times.len() / 2).copied().unwrap_or_default());
}
