//! What limits that take nothing away look like to the real Composer: the end of updates and its renewal, a freeze, a version that was
//! taken down; and what everyone reads who could renew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use cargoman_testkit::git::Repository;
use cargoman_testkit::raw_http::Response;
use cargoman_tests::operator::text;
use cargoman_tests::package_files::composer_json;
use cargoman_tests::{Customer, World};
use serde_json::json;

/// 2020-09-13 12:26:40 UTC.
const FIRST: u64 = 1_600_000_000;
const DAY: u64 = 86_400;

/// Another release of a package, so many days after the first one.
fn release(repository: &Repository, name: &str, version: &str, day: u64) {
    repository.write("composer.json", composer_json(name, &json!({})));
    repository.write("src/Version.php", format!("<?php // {version}\n")).date(FIRST + day * DAY).commit(version);
    repository.tag(&format!("v{version}"));
}

/// A package with v1.0.0, v1.1.0 and v1.2.0, 10 days apart, and a customer whose updates ended between the last two.
fn window_over(world: &World) -> (Customer, String) {
    let operator = world.operator();
    let repository = world.repository("acme/pay");
    for (version, day) in [("1.0.0", 0), ("1.1.0", 10), ("1.2.0", 20)] {
        release(&repository, "acme/pay", version, day);
    }
    operator.add("acme/pay", &world.repository_url("acme/pay"));
    let customer = operator.customer("Shop 17");
    let grant = operator.grant(&customer, &json!({"package": "acme/pay", "updates_until": "2020-09-28T00:00:00Z"}));
    (customer, text(&grant["id"]))
}

const RENEWAL: &str = "acme/pay v1.2.0 is out; your licence covers versions published up to 2020-09-28. Renew at http";

/// His time for updates is over: he keeps what he has, gets the newest of his time, and reads once a day that there is more.
#[test]
fn updates_that_ended_take_nothing_and_are_mentioned_once() {
    let world = World::start();
    let operator = world.operator();
    let (customer, grant) = window_over(&world);
    let composer = world.composer(&customer.token, &json!({"acme/pay": "1.0.0"}));
    composer.run(&["update"]).expect_success();
    composer.uninstall(true).clear_cache().run(&["install"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay v1.0.0"]);

    composer.project_with(world.registry.edge_url(), &json!({"acme/pay": "^1.0"})).clear_cache();
    let first = composer.run(&["update"]);
    first.expect_success();
    assert_eq!(composer.installed(), ["acme/pay v1.1.0"]);
    assert_eq!(first.combined.matches(RENEWAL).count(), 1, "once: {}", first.combined);
    // Warm, on the same day: nothing has changed, so nothing is transferred and nothing printed.
    let second = composer.run(&["update"]);
    second.expect_success().does_not_say(RENEWAL);
    // Never in what customers with equal rights share.
    assert!(!world.reader(&customer).get("/p2/acme/pay.json").text().contains("Renew"));

    // Renewed: at the very next command, with a warm cache, and without the words.
    operator.ask(
        "PATCH",
        &format!("/customers/{}/grants/{grant}", customer.id),
        &json!({"updates_until": "2030-01-01T00:00:00Z"}),
    );
    let third = composer.run(&["update"]);
    third.expect_success().does_not_say(RENEWAL);
    assert_eq!(composer.installed(), ["acme/pay v1.2.0"]);

    // Moved back: what he has locked is beyond his limit now, and he reads that.
    let back = json!({"updates_until": "2020-09-28T00:00:00Z"});
    operator.ask("PATCH", &format!("/customers/{}/grants/{grant}", customer.id), &back);
    let refused = composer.uninstall(true).clear_cache().run(&["install"]);
    refused
        .expect_failure()
        .says("Your licence for acme/pay covers versions published up to 2020-09-28; v1.2.0 came later. Renew at http");
}

/// `Last-Modified` of `packages.json` follows its bytes, so that the words of a new day, or their end, come through a warm cache.
#[test]
fn words_to_a_customer_are_validated_by_their_bytes() {
    let world = World::start();
    let operator = world.operator();
    let (customer, grant) = window_over(&world);
    let reader = world.reader(&customer);
    let root = || reader.get("/packages.json");
    let date = |answer: &Response| answer.header("last-modified").unwrap().to_owned();
    let with_words = root();
    assert!(with_words.text().contains(RENEWAL), "{}", with_words.text());
    assert_eq!(date(&root()), date(&with_words), "the same day, the same words");
    let unchanged = reader.ask("GET", "/packages.json", &[("If-Modified-Since", &date(&with_words))]);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));

    // His own words, with every place filled in, and no way to steer his terminal.
    operator.ask(
        "PATCH",
        "/settings",
        &json!({
            "renew_url": "https://shop.example/renew",
            "messages": {"renewal": "{customer}: {package} {version} after {until} at {renew_url}"},
        }),
    );
    let renamed =
        |name: &str| operator.call("PATCH", &format!("/customers/{}", customer.id), Some(&json!({"name": name}))).0;
    assert_eq!((renamed("Shop \u{1b}[31m17"), renamed("Shop {until} 17")), (422, 200));
    let own = root();
    assert_ne!(date(&own), date(&with_words));
    let words = text(&own.json()["info"]);
    assert!(words.contains("acme/pay v1.2.0 after 2020-09-28 at https://shop.example/renew"), "{words:?}");
    assert!(words.starts_with("Shop {until} 17: "), "a name is no template: {words:?}");

    let renewed = json!({"updates_until": null});
    operator.ask("PATCH", &format!("/customers/{}/grants/{grant}", customer.id), &renewed);
    let without = root();
    assert!(without.json().get("info").is_none(), "{}", without.text());
    assert_ne!(date(&without), date(&own));
}

/// Frozen: his lock goes on, nothing newer comes, and he reads why.
#[test]
fn a_frozen_customer_stays_where_he_is() {
    let world = World::start();
    let operator = world.operator();
    let pay = world.small_package("acme/pay");
    let customer = operator.customer_of(&["acme/pay"]);
    let composer = world.composer(&customer.token, &json!({"acme/pay": "^1.0"}));
    composer.run(&["update"]).expect_success();
    let frozen = operator.post(&format!("/customers/{}/freeze", customer.id), &json!({}));
    assert_eq!((&frozen["status"], &frozen["frozen_versions"]), (&json!("frozen"), &json!(2)), "{frozen}");
    pay.write("src/Two.php", "<?php // two\n").commit("Second").tag("v1.1.0");
    operator.sync("acme/pay");

    // The branch's new head is as new as the release; its old one stays installable for locks.
    let reader = world.reader(&customer);
    assert_eq!(reader.versions("acme/pay"), ["v1.0.0"]);
    let old = pay.resolve("v1.0.0");
    assert_eq!(reader.get(&format!("/dist/acme/pay/dev-main/{old}.zip")).status, 200);
    composer.run(&["update"]).expect_success();
    composer.uninstall(true).clear_cache().run(&["install"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay v1.0.0"]);

    let path = format!("/dist/acme/pay/1.1.0.0/{}.zip", pay.resolve("v1.1.0"));
    let refused = reader.get(&path);
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json()["warning"], "Your access to acme/pay is frozen; this version is not part of it.");
    operator.post(&format!("/customers/{}/reactivate", customer.id), &json!({}));
    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay v1.1.0"]);
}

/// Malware: gone from metadata, and no lock brings it back; whoever has it reads why.
#[test]
fn a_version_that_was_taken_down_is_for_nobody() {
    let world = World::start();
    let operator = world.operator();
    let pay = world.small_package("acme/pay");
    pay.write("src/Two.php", "<?php // two\n").commit("Second").tag("v1.1.0");
    operator.sync("acme/pay");
    let customer = operator.customer_of(&["acme/pay"]);
    let composer = world.composer(&customer.token, &json!({"acme/pay": "^1.0"}));
    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay v1.1.0"]);

    let (status, answer) = operator.call("POST", "/packages/acme/pay/takedown/v1.1.0", Some(&json!({})));
    assert_eq!((status, &answer["error"]["details"][0]["field"]), (422, &json!("reason")), "{answer}");
    operator.post("/packages/acme/pay/takedown/v1.1.0", &json!({"reason": "it steals keys"}));
    let words = "acme/pay v1.1.0 was taken down: it steals keys";
    composer.uninstall(true).clear_cache().run(&["install"]).expect_failure().says(words);
    // Who is not entitled reads nothing about it.
    let narrow = operator.customer("Narrow");
    operator.grant(&narrow, &json!({"package": "acme/pay", "constraint": "~1.0.0"}));
    let path = format!("/dist/acme/pay/1.1.0.0/{}.zip", pay.resolve("v1.1.0"));
    let refused = world.reader(&narrow).get(&path);
    assert_eq!(refused.status, 403);
    assert!(!refused.text().contains("steals"), "{}", refused.text());

    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay v1.0.0"]);
    operator.post("/packages/acme/pay/untakedown/1.1.0.0", &json!({}));
    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay v1.1.0"]);
}
