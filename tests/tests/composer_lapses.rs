//! What lapsed, frozen and half-paid customers live through with the real Composer: cold and warm caches, full and partial updates,
//! installs from a lock; and what everyone reads who could renew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use cargoman_testkit::composer::{Composer, Output};
use cargoman_testkit::git::Repository;
use cargoman_tests::operator::text;
use cargoman_tests::package_files::composer_json;
use cargoman_tests::static_repository::StaticRepository;
use cargoman_tests::{Customer, World};
use serde_json::{Value, json};

/// 2020-09-13 12:26:40 UTC.
const FIRST: u64 = 1_600_000_000;
const DAY: u64 = 86_400;

/// Another release of a package, so many days after the first one.
fn release(repository: &Repository, name: &str, version: &str, day: u64) {
    repository.write("composer.json", composer_json(name, &json!({})));
    repository.write("src/Version.php", format!("<?php // {version}\n")).date(FIRST + day * DAY).commit(version);
    repository.tag(&format!("v{version}"));
}

#[track_caller]
fn says(output: &Output, words: &str) {
    assert!(output.combined.contains(words), "{words:?} is missing:\n{}", output.combined);
}

#[track_caller]
fn does_not_say(output: &Output, words: &str) {
    assert!(!output.combined.contains(words), "{words:?} is there:\n{}", output.combined);
}

/// A customer's project: two packages from the registry, one from elsewhere.
struct Project {
    composer: Composer,
    other: StaticRepository,
}

impl Project {
    /// Up to date: installed, locked, everything cached.
    #[track_caller]
    fn new(world: &World, customer: &Customer) -> Self {
        let other = StaticRepository::start();
        other.publish("psr/log", "1.0.0");
        let composer = world.composer(&customer.token, &json!({}));
        composer.project(&json!({
            "name": "test/project",
            "repositories": [
                {"type": "composer", "url": world.registry.edge_url()},
                {"type": "composer", "url": other.url()},
            ],
            "require": {"acme/pay": "^1.0", "acme/log": "^1.0", "psr/log": "^1.0"},
        }));
        composer.run(&["update"]).expect_success();
        assert_eq!(composer.installed(), ["acme/log v1.0.0", "acme/pay v1.0.0", "psr/log 1.0.0"]);
        Self { composer, other }
    }

    /// From the lock, with nothing left on this machine.
    #[track_caller]
    fn install_cold(&self) -> Output {
        self.composer.uninstall(true).clear_cache().run(&["install"])
    }

    /// Without a lock, with nothing left on this machine.
    #[track_caller]
    fn update_cold(&self) -> Output {
        self.composer.uninstall(false).clear_cache().run(&["update"])
    }

    /// The version of one package in the lock.
    #[track_caller]
    fn locked(&self, name: &str) -> String {
        let lock = self.composer.lock();
        let found = lock["packages"].as_array().unwrap().iter().find(|package| package["name"] == name);
        text(&found.unwrap_or_else(|| panic!("{name} is not in the lock"))["version"])
    }
}

/// How a customer lapses.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Suspended,
    Expired,
}

impl Kind {
    fn lapse(self, world: &World, customer: &Customer) {
        let (action, body) = match self {
            Self::Suspended => ("suspend", json!({"reason": "invoice 2041 is unpaid"})),
            Self::Expired => ("expire", json!({})),
        };
        world.operator().post(&format!("/customers/{}/{action}", customer.id), &body);
    }

    fn words(self) -> &'static str {
        match self {
            Self::Suspended => "Your access to this registry is suspended: invoice 2041 is unpaid",
            Self::Expired => "Your access to this registry has expired. Renew at http",
        }
    }

    fn setting(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Expired => "expired",
        }
    }
}

/// A lapse under one of the tenant's choices: what was there before is `project`; afterwards there is a release more of everything.
#[track_caller]
fn lapsed(kind: Kind, left: &str) -> (World, Customer, Project) {
    let world = World::start();
    let operator = world.operator();
    let repositories = ["acme/pay", "acme/log"].map(|name| (world.small_package(name), name));
    // The other kind is left to the default: each has its own setting.
    operator.ask("PATCH", "/settings", &json!({"lapsed": {kind.setting(): left}}));
    let customer = operator.customer_of(&["acme/pay", "acme/log"]);
    let project = Project::new(&world, &customer);
    kind.lapse(&world, &customer);
    for (repository, name) in &repositories {
        repository.write("src/Two.php", "<?php // two\n").commit("Second").tag("v1.1.0");
        operator.sync(name);
    }
    project.other.publish("psr/log", "1.1.0");
    (world, customer, project)
}

/// Whatever was left: when he is back, all is as before, with a warm cache, at the next command.
#[track_caller]
fn comes_back(world: &World, customer: &Customer, project: &Project) {
    world.operator().post(&format!("/customers/{}/reactivate", customer.id), &json!({}));
    let output = project.composer.run(&["update"]);
    output.expect_success();
    assert_eq!(project.composer.installed(), ["acme/log v1.1.0", "acme/pay v1.1.0", "psr/log 1.1.0"]);
}

#[track_caller]
fn nothing_is_left(kind: Kind) {
    let (world, customer, project) = lapsed(kind, "forbid");
    let composer = &project.composer;
    // With a full cache Composer goes on with what it knows; the words are printed all the same.
    let warm = composer.run(&["update", "psr/log"]);
    says(warm.expect_success(), kind.words());
    assert_eq!(project.locked("psr/log"), "1.1.0", "other packages go on updating");
    let warm = composer.run(&["update"]);
    says(warm.expect_success(), kind.words());
    assert_eq!(project.locked("acme/pay"), "v1.0.0");
    // What Composer has the archives of, it installs without asking anyone.
    composer.uninstall(true).run(&["install"]).expect_success();

    says(project.install_cold().expect_failure(), kind.words());
    composer.clear_cache();
    says(composer.run(&["update", "psr/log"]).expect_failure(), kind.words());
    says(project.update_cold().expect_failure(), kind.words());
    assert_eq!(composer.installed(), [""; 0]);
    comes_back(&world, &customer, &project);
}

#[track_caller]
fn metadata_is_left(kind: Kind) {
    let (world, customer, project) = lapsed(kind, "keep-metadata");
    let composer = &project.composer;
    let lock = composer.lock();
    // Full and partial, warm and cold: what is installed stays, other packages go on updating.
    for command in [&["update", "psr/log"][..], &["update"]] {
        for cold in [false, true] {
            if cold {
                composer.clear_cache();
            }
            composer.run(command).expect_success();
            assert_eq!(composer.installed(), ["acme/log v1.0.0", "acme/pay v1.0.0", "psr/log 1.1.0"], "{command:?}");
        }
    }
    assert_eq!(composer.lock()["packages"][0]["dist"], lock["packages"][0]["dist"]);
    // No archive of ours comes any more.
    says(project.install_cold().expect_failure(), kind.words());
    says(project.update_cold().expect_failure(), kind.words());
    assert!(!composer.installed().iter().any(|one| one.starts_with("acme/")), "{:?}", composer.installed());
    comes_back(&world, &customer, &project);
}

#[track_caller]
fn everything_is_left(kind: Kind) {
    let (world, customer, project) = lapsed(kind, "keep");
    let composer = &project.composer;
    let as_before = ["acme/log v1.0.0", "acme/pay v1.0.0", "psr/log 1.0.0"];
    project.install_cold().expect_success();
    assert_eq!(composer.installed(), as_before);
    for partial in [true, false] {
        for cold in [false, true] {
            if cold {
                composer.clear_cache();
            }
            let command: &[&str] = if partial { &["update", "acme/pay"] } else { &["update"] };
            composer.run(command).expect_success();
            assert_eq!(composer.installed()[..2], as_before[..2], "nothing newer: {command:?}");
        }
    }
    project.update_cold().expect_success();
    assert_eq!(composer.installed(), ["acme/log v1.0.0", "acme/pay v1.0.0", "psr/log 1.1.0"]);
    comes_back(&world, &customer, &project);
}

#[test]
fn a_suspended_customer_to_whom_nothing_is_left() {
    nothing_is_left(Kind::Suspended);
}

#[test]
fn an_expired_customer_to_whom_nothing_is_left() {
    nothing_is_left(Kind::Expired);
}

#[test]
fn a_suspended_customer_to_whom_metadata_is_left() {
    metadata_is_left(Kind::Suspended);
}

#[test]
fn an_expired_customer_to_whom_metadata_is_left() {
    metadata_is_left(Kind::Expired);
}

#[test]
fn a_suspended_customer_to_whom_everything_is_left() {
    everything_is_left(Kind::Suspended);
}

#[test]
fn an_expired_customer_to_whom_everything_is_left() {
    everything_is_left(Kind::Expired);
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
    does_not_say(second.expect_success(), RENEWAL);
    // Never in what customers with equal rights share.
    assert!(!world.reader(&customer).get("/p2/acme/pay.json").text().contains("Renew"));

    // Renewed: at the very next command, with a warm cache, and without the words.
    operator.ask(
        "PATCH",
        &format!("/customers/{}/grants/{grant}", customer.id),
        &json!({"updates_until": "2030-01-01T00:00:00Z"}),
    );
    let third = composer.run(&["update"]);
    does_not_say(third.expect_success(), RENEWAL);
    assert_eq!(composer.installed(), ["acme/pay v1.2.0"]);

    // Moved back: what he has locked is beyond his limit now, and he reads that.
    let back = json!({"updates_until": "2020-09-28T00:00:00Z"});
    operator.ask("PATCH", &format!("/customers/{}/grants/{grant}", customer.id), &back);
    let refused = composer.uninstall(true).clear_cache().run(&["install"]);
    says(
        refused.expect_failure(),
        "Your licence for acme/pay covers versions published up to 2020-09-28; v1.2.0 came later. Renew at http",
    );
}

/// `Last-Modified` of `packages.json` follows its bytes, so that the words of a new day, or their end, come through a warm cache.
#[test]
fn words_to_a_customer_are_validated_by_their_bytes() {
    let world = World::start();
    let operator = world.operator();
    let (customer, grant) = window_over(&world);
    let reader = world.reader(&customer);
    let root = || reader.get("/packages.json");
    let date = |answer: &cargoman_testkit::raw_http::Response| answer.header("last-modified").unwrap().to_owned();
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

/// One subscription is one grant: a failed payment for one product does not touch the others.
#[test]
fn a_suspended_grant_concerns_its_package_alone() {
    let world = World::start();
    let operator = world.operator();
    world.small_package("acme/log");
    let pay = world.small_package("acme/pay");
    let customer = operator.customer("Shop");
    operator.grant(&customer, &json!({"package": "acme/log"}));
    let grant = operator.grant(&customer, &json!({"package": "acme/pay", "external_id": "sub_1"}));
    let path = format!("/customers/{}/grants/{}", customer.id, text(&grant["id"]));
    let project = Project::new(&world, &customer);
    operator.post(&format!("{path}/suspend"), &json!({"reason": "card declined"}));
    let words = "Your licence for acme/pay is suspended: card declined";

    // A project without it notices nothing.
    let untouched = world.composer(&customer.token, &json!({"acme/log": "^1.0"}));
    does_not_say(untouched.run(&["update"]).expect_success(), "suspended");
    // One with it: warm, Composer goes on with what it knows; cold, other packages go on updating.
    says(project.composer.run(&["update"]).expect_success(), words);
    project.other.publish("psr/log", "1.1.0");
    project.composer.clear_cache().run(&["update", "psr/log", "acme/log"]).expect_success();
    assert_eq!(project.locked("psr/log"), "1.1.0");
    says(project.update_cold().expect_failure(), words);
    let reader = world.reader(&customer);
    assert_eq!(reader.versions("acme/log"), ["v1.0.0"]);

    // Another grant of his shows it: nothing is refused any more.
    let second = operator.grant(&customer, &json!({"package": "acme/pay", "constraint": "^1.0"}));
    project.update_cold().expect_success();
    operator.ask("DELETE", &format!("/customers/{}/grants/{}", customer.id, text(&second["id"])), &Value::Null);
    says(project.update_cold().expect_failure(), words);

    // What is left of suspended grants is what is left to suspended customers.
    operator.ask("PATCH", "/settings", &json!({"lapsed": {"suspended": "keep"}}));
    pay.write("src/Two.php", "<?php // two\n").commit("Second").tag("v1.1.0");
    operator.sync("acme/pay");
    project.update_cold().expect_success();
    assert_eq!(project.composer.installed(), ["acme/log v1.0.0", "acme/pay v1.0.0", "psr/log 1.1.0"]);
    operator.post(&format!("{path}/reactivate"), &json!({}));
    project.composer.run(&["update"]).expect_success();
    assert_eq!(project.composer.installed()[1], "acme/pay v1.1.0");
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
    says(composer.uninstall(true).clear_cache().run(&["install"]).expect_failure(), words);
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
