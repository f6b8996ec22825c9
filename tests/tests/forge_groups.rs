//! From a group at a forge to `composer install` through the real programs: the forge's projects become packages, it tells of pushes at
//! the address it was given, and nothing had to be set up there by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::time::Duration;

use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::forge::{Forge, Kind, TOKEN};
use cargoman_testkit::raw_http::request;
use cargoman_tests::World;
use cargoman_tests::command_line::{ask, ask_json};
use serde_json::json;

#[test]
fn a_group_becomes_packages_that_composer_installs() {
    let world = World::start();
    let forge = Forge::start(Kind::Gitlab);
    let repository = forge.package("acme/team/pay", "acme/pay");
    forge.package("acme/shop", "acme/shop");
    forge.package("acme/console", "symfony/console");
    let secrets = tempfile::tempdir().unwrap();
    let file = secrets.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let registry = &world.registry;
    let create = ["git-credential", "create", "forge", "--kind", "https", "--host", &forge.url()];
    let credential = ask_json(registry, &[&create[..], &["--password-file", file.to_str().unwrap()]].concat());
    let credential = credential["id"].as_str().unwrap();

    let url = format!("{}/acme", forge.url());
    let add = ["forge-group", "add", &url, "--type", "gitlab", "--credential", credential, "--packages", "acme/*"];
    let said = ask(registry, &add);
    for words in [
        "3 projects looked at, 2 packages added, 2 hooks made",
        "new package acme/pay",
        "no package: acme/console: `symfony/console` is not among the names",
        "next: cargoman forge-group projects fgrp_",
    ] {
        assert!(said.contains(words), "{words} is missing:\n{said}");
    }
    let group = ask_json(registry, &["forge-group", "list"])[0]["id"].as_str().unwrap().to_owned();
    let projects = ask(registry, &["forge-group", "projects", &group]);
    assert!(projects.contains("acme/team/pay") && projects.contains("refused"), "{projects}");

    let operator = world.operator();
    let customer = operator.customer_of(&["acme/pay"]);
    let reader = world.reader(&customer);
    poll_until("the first version", Duration::from_secs(20), || {
        reader.versions("acme/pay").contains(&"1.0.0".to_owned()).then_some(())
    });
    let composer = world.composer(&customer.token, &json!({"acme/pay": "^1.0"}));
    composer.run(&["install"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay 1.0.0"]);

    // The forge tells of a push at the address that it was given, which is the edge's.
    repository.write("more.php", "<?php\n").commit("more").tag("1.1.0");
    let (hook, id) = {
        let world = forge.world();
        let project = world.projects.iter().find(|project| project.path == "acme/team/pay").unwrap().id;
        (world.hooks.iter().find(|hook| hook.project == project).unwrap().clone(), project)
    };
    assert!(hook.url.starts_with(registry.edge_url()), "{}", hook.url);
    let address = format!("{}/acme/team/pay.git", forge.url());
    let push = json!({"object_kind": "push", "project": {"id": id, "git_http_url": address}}).to_string();
    let tell = |secret: &str| {
        let headers = [("X-Gitlab-Token", secret), ("Content-Type", "application/json")];
        request("POST", &hook.url, &headers, push.as_bytes()).status
    };
    assert_eq!(tell("another"), 401);
    assert_eq!(tell(&hook.secret), 202);
    poll_until("the release is on the edge", Duration::from_secs(20), || {
        reader.versions("acme/pay").contains(&"1.1.0".to_owned()).then_some(())
    });
    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay 1.1.0"]);

    let gone = ask(registry, &["forge-group", "delete", &group]);
    assert!(gone.contains("its packages stay") && !gone.contains("left"), "{gone}");
    assert_eq!(forge.world().hooks.len(), 0);
    assert!(reader.versions("acme/pay").contains(&"1.1.0".to_owned()));
}
