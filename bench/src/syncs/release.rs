//! A release, from its webhook at the edge until an edge shows it; the repository is read over HTTP.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use cargoman_testkit::git::Shape;
use cargoman_testkit::raw_http::request;
use ring::hmac;
use serde::Serialize;
use serde_json::{Value, json};

use super::first::{again, registry};
use super::median;

const NAME: &str = "bench/many";
const LIMIT: Duration = Duration::from_secs(60);

/// Releases in one repository.
#[derive(Debug, Serialize)]
pub(super) struct Release {
    pub(super) tags: usize,
    pub(super) pulls: usize,
    pub(super) median_ms: f64,
    pub(super) longest_ms: f64,
    /// A sync that finds nothing, by the job's own clock.
    pub(super) unchanged_ms: f64,
}

impl Release {
    pub(super) fn measure(tags: usize, pulls: usize, quick: bool) -> Result<Self> {
        eprintln!("releases in a repository of {tags} tags and {pulls} pull requests");
        let (world, customer) = registry();
        let repository = world.repository(NAME);
        repository.fill(&Shape { name: NAME.to_owned(), tags, branches: 3, ..Shape::monolog() });
        let head = repository.head();
        let packed = repository.path().join("packed-refs");
        repository.git(&["pack-refs", "--all"]);
        let mut refs = std::fs::read_to_string(&packed)?;
        for number in 0..pulls {
            writeln!(refs, "{head} refs/zz/{number:05}/head")?;
        }
        std::fs::write(&packed, refs)?;
        let address = world.repository_url(NAME);
        world.operator().add(NAME, &address);
        let hook = world.operator().post("/hooks", &json!({"provider": "gitea"}));
        let reader = world.reader(&customer);
        let mut took = Vec::new();
        for number in 0..if quick { 3 } else { 15 } {
            let tag = format!("v90.0.{number}");
            repository.write("src/More.php", format!("<?php // {number}\n")).commit("More").tag(&tag);
            let (began, shown) = (Instant::now(), format!("\"version\":\"{tag}\""));
            tell(&hook, &address, &tag)?;
            let path = format!("/p2/{NAME}.json");
            while !String::from_utf8_lossy(&reader.get(&path).body).contains(&shown) {
                if began.elapsed() > LIMIT {
                    bail!("{tag} does not come");
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let longest_ms = took.iter().copied().fold(0.0, f64::max);
        Ok(Self { tags, pulls, median_ms: median(took), longest_ms, unchanged_ms: median(again(&world, NAME)?) })
    }
}

/// A push as Gitea tells of it.
fn tell(hook: &Value, address: &str, delivery: &str) -> Result<()> {
    let body = json!({"repository": {"id": 1, "full_name": NAME, "clone_url": address}}).to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, hook["secret"].as_str().unwrap_or_default().as_bytes());
    let mut signature = String::new();
    for byte in hmac::sign(&key, body.as_bytes()).as_ref() {
        write!(signature, "{byte:02x}")?;
    }
    let headers = [
        ("X-Gitea-Event", "push"),
        ("X-Gitea-Delivery", delivery),
        ("X-Gitea-Signature", signature.as_str()),
        ("Content-Type", "application/json"),
    ];
    let answer = request("POST", hook["url"].as_str().unwrap_or_default(), &headers, body.as_bytes());
    if answer.status != 202 {
        bail!("the webhook was answered with {}", answer.status);
    }
    Ok(())
}
