//! What lapsed and half-paid customers live through with the real Composer: cold and warm caches, full and partial updates, installs
//! from a lock, under each choice of what is left to them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use cargoman_testkit::composer::{Composer, Output};
use cargoman_tests::operator::text;
use cargoman_tests::static_repository::StaticRepository;
use cargoman_tests::{Customer, World};
use serde_json::{Value, json};

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
    warm.expect_success().says(kind.words());
    assert_eq!(project.locked("psr/log"), "1.1.0", "other packages go on updating");
    let warm = composer.run(&["update"]);
    warm.expect_success().says(kind.words());
    assert_eq!(project.locked("acme/pay"), "v1.0.0");
    // What Composer has the archives of, it installs without asking anyone.
    composer.uninstall(true).run(&["install"]).expect_success();

    project.install_cold().expect_failure().says(kind.words());
    composer.clear_cache();
    composer.run(&["update", "psr/log"]).expect_failure().says(kind.words());
    project.update_cold().expect_failure().says(kind.words());
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
    project.install_cold().expect_failure().says(kind.words());
    project.update_cold().expect_failure().says(kind.words());
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
    untouched.run(&["update"]).expect_success().does_not_say("suspended");
    // One with it: warm, Composer goes on with what it knows; cold, other packages go on updating.
    project.composer.run(&["update"]).expect_success().says(words);
    project.other.publish("psr/log", "1.1.0");
    project.composer.clear_cache().run(&["update", "psr/log", "acme/log"]).expect_success();
    assert_eq!(project.locked("psr/log"), "1.1.0");
    project.update_cold().expect_failure().says(words);
    let reader = world.reader(&customer);
    assert_eq!(reader.versions("acme/log"), ["v1.0.0"]);

    // Another grant of his shows it: nothing is refused any more.
    let second = operator.grant(&customer, &json!({"package": "acme/pay", "constraint": "^1.0"}));
    project.update_cold().expect_success();
    operator.ask("DELETE", &format!("/customers/{}/grants/{}", customer.id, text(&second["id"])), &Value::Null);
    project.update_cold().expect_failure().says(words);

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
