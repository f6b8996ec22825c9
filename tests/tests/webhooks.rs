//! A push, told by a forge: the new release is on the edge within a second of it, in a repository of a thousand tags.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::time::{Duration, Instant};

use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::full;
use cargoman_testkit::git::Shape;
use cargoman_testkit::raw_http::request;
use cargoman_tests::World;
use ring::hmac;
use serde_json::{Value, json};

const NAME: &str = "acme/many";

/// A push as Gitea tells of it, rightly signed, to the edge.
fn tell(world: &World, hook: &Value, address: &str, delivery: &str) -> u16 {
    let body = json!({"repository": {"id": 1, "full_name": NAME, "clone_url": address}}).to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, hook["secret"].as_str().unwrap().as_bytes());
    let signature: String =
        hmac::sign(&key, body.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let headers = [
        ("X-Gitea-Event", "push"),
        ("X-Gitea-Delivery", delivery),
        ("X-Gitea-Signature", signature.as_str()),
        ("Content-Type", "application/json"),
    ];
    let url = hook["url"].as_str().unwrap();
    assert!(url.starts_with(world.registry.edge_url()), "the hook's address is the edge's: {url}");
    request("POST", url, &headers, body.as_bytes()).status
}

#[test]
fn a_release_is_on_the_edge_a_moment_after_its_push() {
    let world = World::start();
    let operator = world.operator();
    let tags = if full() { 1_000 } else { 200 };
    let shape = Shape { name: NAME.to_owned(), tags, branches: 3, ..Shape::monolog() };
    let repository = world.repository(NAME);
    repository.fill(&shape);
    let address = world.repository_url(NAME);
    operator.add(NAME, &address);
    let reader = world.reader(&operator.customer_of(&[NAME]));
    assert_eq!(reader.versions(NAME).len(), tags + 3);
    let hook = operator.post("/hooks", &json!({"provider": "gitea"}));

    let mut took = Vec::new();
    for number in 0..5 {
        let tag = format!("v90.0.{number}");
        repository.write("src/More.php", format!("<?php // {number}\n")).commit("More").tag(&tag);
        let began = Instant::now();
        assert_eq!(tell(&world, &hook, &address, &tag), 202);
        let limit = Duration::from_secs(20);
        poll_until("the release is on the edge", limit, || reader.versions(NAME).contains(&tag).then_some(()));
        took.push(began.elapsed());
        // The same again is nothing.
        assert_eq!(tell(&world, &hook, &address, &tag), 200);
    }
    took.sort();
    println!(
        "{tags} tags: a new one is on the edge {} ms after its webhook (median), {} at the longest",
        took[2].as_millis(),
        took[4].as_millis()
    );
    let deliveries = operator.get(&format!("/hooks/{}/deliveries", hook["id"].as_str().unwrap()));
    assert_eq!(deliveries.as_array().unwrap().len(), 5);

    // Whoever does not know the secret is not heard, at the edge either.
    let forged = json!({"url": hook["url"], "secret": "another"});
    assert_eq!(tell(&world, &forged, &address, "forged"), 401);
}
