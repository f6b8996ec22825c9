//! The real Composer against packages that came from git repositories: install, update, lock, and the commands that look
//! around. On the address itself, and on a host name of a tenant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::path::Path;

use cargoman_testkit::cargoman::Registry;
use cargoman_testkit::composer::{Composer, Output};
use cargoman_testkit::git::Repository;
use cargoman_tests::forward_proxy::ForwardProxy;
use cargoman_tests::operator::texts;
use cargoman_tests::package_files::composer_json;
use cargoman_tests::world::LOCAL;
use cargoman_tests::{Operator, World};
use serde_json::{Value, json};

/// `acme/pay` needs `acme/log`: releases on two lines, and branches of every kind.
struct Suite {
    pay: Repository,
}

impl Suite {
    #[track_caller]
    fn publish(world: &World, operator: &Operator<'_>) -> Self {
        let log = world.repository("acme/log");
        for version in ["1.0.0", "1.1.0", "1.2.0", "2.0.0"] {
            release(&log, "acme/log", version, &json!({}));
        }
        let added = texts(&operator.add("acme/log", &world.repository_url("acme/log"))["added"]);
        assert_eq!(added.len(), 5, "four tags and main: {added:?}");

        let pay = world.repository("acme/pay");
        let needs = json!({"require": {"php": ">=7.2", "acme/log": "^1.1"}});
        release(&pay, "acme/pay", "1.0.0", &needs);
        release(&pay, "acme/pay", "1.1.0", &needs);
        pay.branch("1.x").write("src/Line.php", "<?php // 1.x\n").commit("On the line 1.x");
        pay.checkout("main");
        release(&pay, "acme/pay", "2.0.0-beta1", &needs);
        pay.branch("feature/new-parser").write("src/Parser.php", "<?php // new\n").commit("A new parser");
        pay.checkout("main").write("src/Next.php", "<?php // next\n").commit("Further");
        operator.add("acme/pay", &world.repository_url("acme/pay"));
        Self { pay }
    }
}

fn release(repository: &Repository, name: &str, version: &str, more: &Value) {
    repository.write("composer.json", composer_json(name, more));
    repository.write("src/Version.php", format!("<?php // {version}\n")).commit(version);
    repository.annotated_tag(&format!("v{version}"), version);
}

fn holds(output: &Output, part: &str) {
    assert!(output.combined.contains(part), "{part:?} is missing:\n{}", output.combined);
}

/// The answers to requests in the output of `-vvv`: status and URL.
fn answers(output: &Output) -> Vec<(u16, String)> {
    let line = |line: &str| {
        let (status, url) = line.trim_start().strip_prefix('[')?.split_once("] ")?;
        Some((status.parse().ok()?, url.trim().to_owned()))
    };
    output.combined.lines().filter_map(line).collect()
}

#[test]
fn installs_and_updates_with_dependencies_branches_and_lock() {
    let world = World::start();
    let operator = world.operator();
    let suite = Suite::publish(&world, &operator);
    let customer = operator.customer_of(&["acme/pay", "acme/log"]);
    let composer = world.composer(&customer.token, &json!({"acme/pay": "^1.0"}));

    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/log v1.2.0", "acme/pay v1.1.0"]);
    let installed = composer.path().join("vendor/acme/pay/src/Version.php");
    assert_eq!(std::fs::read_to_string(&installed).unwrap(), "<?php // 1.1.0\n");
    let lock = composer.lock();
    for package in lock["packages"].as_array().unwrap() {
        let url = package["dist"]["url"].as_str().unwrap();
        assert!(url.starts_with(world.registry.edge_url()) && package["source"].is_null(), "{package:#}");
        assert_eq!(package["dist"]["shasum"].as_str().unwrap().len(), 40);
    }

    // Nothing changed: every document is 304, and nothing is downloaded.
    let again = composer.run(&["update", "-vvv"]);
    holds(again.expect_success(), "Nothing to install, update or remove");
    let documents: Vec<(u16, String)> =
        answers(&again).into_iter().filter(|(_, url)| !url.ends_with("/downloads")).collect();
    assert!(documents.len() >= 3, "packages.json and two packages: {documents:?}\n{}", again.combined);
    assert!(documents.iter().all(|(status, _)| *status == 304), "{documents:?}");

    another_release_arrives(&operator, &suite, &composer);
    branches(&world, &customer.token, &suite);
    the_lock_is_enough(&world, &customer.token, &composer);
    looking_around(&world, &customer.token, &composer);
}

fn another_release_arrives(operator: &Operator<'_>, suite: &Suite, composer: &Composer) {
    suite.pay.checkout("1.x");
    release(&suite.pay, "acme/pay", "1.2.0", &json!({"require": {"acme/log": "^1.1 || ^2.0"}}));
    let synced = operator.sync("acme/pay");
    assert_eq!((texts(&synced["added"]), texts(&synced["updated"])), (vec!["v1.2.0".into()], vec!["1.x-dev".into()]));
    holds(composer.run(&["outdated"]).expect_success(), "v1.2.0");
    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/log v2.0.0", "acme/pay v1.2.0"]);
}

fn branches(world: &World, token: &str, suite: &Suite) {
    for (branch, constraint, version) in [
        ("main", "dev-main", "dev-main"),
        ("1.x", "1.x-dev", "1.x-dev"),
        ("feature/new-parser", "dev-feature/new-parser", "dev-feature/new-parser"),
    ] {
        let composer = world.composer(token, &json!({"acme/pay": constraint}));
        composer.run(&["update"]).expect_success();
        assert_eq!(composer.installed().last().unwrap(), &format!("acme/pay {version}"));
        let lock = composer.lock();
        let pay = lock["packages"].as_array().unwrap().iter().find(|one| one["name"] == "acme/pay").unwrap().clone();
        assert_eq!(pay["dist"]["reference"], suite.pay.resolve(branch), "{branch}");
        let url = pay["dist"]["url"].as_str().unwrap().to_owned();
        // Composer names a version with a slash by its MD5; so does the registry.
        let segment = url.rsplit('/').nth(1).unwrap();
        let hashed = segment.len() == 32 && segment.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert_eq!(hashed, branch.contains('/'), "{url}");
        // From the lock alone, with nothing cached: the mirror's URL, which Composer makes itself, must work too.
        composer.uninstall(true).clear_cache().run(&["install"]).expect_success();
        assert_eq!(composer.installed().len(), 2);
    }
}

fn the_lock_is_enough(world: &World, token: &str, source: &Composer) {
    let fresh = world.composer(token, &json!({}));
    for name in ["composer.json", "composer.lock"] {
        std::fs::copy(source.path().join(name), fresh.path().join(name)).unwrap();
    }
    let output = fresh.run(&["install", "-vvv"]);
    output.expect_success();
    assert_eq!(fresh.installed(), source.installed());
    let documents = answers(&output).into_iter().filter(|(_, url)| url.contains("/p2/")).count();
    assert_eq!(documents, 0, "an install from a lock reads no metadata:\n{}", output.combined);
    fresh.run(&["validate", "--no-check-publish"]).expect_success();
}

fn looking_around(world: &World, token: &str, composer: &Composer) {
    let shown = composer.run(&["show", "-a"]);
    holds(shown.expect_success(), "acme/log");
    holds(&shown, "acme/pay");
    let one = composer.run(&["show", "-a", "acme/pay"]);
    for version in ["dev-main", "dev-feature/new-parser", "1.x-dev", "v2.0.0-beta1", "v1.2.0", "v1.1.0", "v1.0.0"] {
        holds(one.expect_success(), version);
    }
    for words in [&["search", "pay"][..], &["search", "-N", "pay"]] {
        let found = composer.run(words);
        holds(found.expect_success(), "acme/pay");
        assert!(!found.combined.contains("acme/log"), "{}", found.combined);
    }
    holds(composer.run(&["search", "package acme"]).expect_success(), "acme/log");
    let repository = json!({"type": "composer", "url": world.registry.edge_url()}).to_string();
    let maker = world.composer(token, &json!({}));
    let made = ["create-project", "acme/pay", "made", "1.1.0", "--repository", &repository, "--add-repository"];
    maker.run(&made).expect_success();
    let vendor = maker.path().join("made/vendor/acme/log/src/Version.php");
    assert!(Path::new(&vendor).is_file(), "its dependencies come along");
    assert_eq!(std::fs::read_to_string(maker.path().join("made/src/Version.php")).unwrap(), "<?php // 1.1.0\n");
}

#[test]
fn installs_on_the_host_name_of_a_tenant() {
    let config = format!("{LOCAL}[tenancy]\nzone = \"registry.example\"\n");
    let world = World::start_with(Registry::builder().config(&config));
    world.operator().post("/tenants", &json!({"slug": "acme", "name": "Acme"}));
    let operator = world.operator_of("acme");
    let suite = Suite::publish(&world, &operator);
    let customer = operator.customer_of(&["acme/pay", "acme/log"]);

    let port = world.registry.edge_address().rsplit(':').next().unwrap().to_owned();
    let host = format!("acme.registry.example:{port}");
    let url = format!("http://{host}");
    let made = operator.post(&format!("/customers/{}/tokens", customer.id), &json!({"name": "laptop"}));
    assert_eq!(made["composer_auth"]["repository_url"], url);
    assert_eq!(made["composer_auth"]["username"], "token");
    let token = made["composer_auth"]["password"].as_str().unwrap();

    let proxy = ForwardProxy::to(&world.registry.edge_address());
    let through = proxy.url();
    let through = [("http_proxy", through.as_str()), ("no_proxy", "")];
    let mut composer = Composer::new();
    composer.config_auth(&host, "token", token).project_with(&url, &json!({"acme/pay": "^1.0"}));
    composer.run_with(&through, &["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/log v1.2.0", "acme/pay v1.1.0"]);
    for package in composer.lock()["packages"].as_array().unwrap() {
        assert!(package["dist"]["url"].as_str().unwrap().starts_with(&url), "{package:#}");
    }
    assert!(
        proxy
            .asked()
            .iter()
            .all(|asked| asked.starts_with(&format!("GET {url}/")) || asked.starts_with(&format!("POST {url}/"))),
        "{:?}",
        proxy.asked()
    );

    composer.project_with(&url, &json!({"acme/pay": "dev-feature/new-parser"}));
    composer.run_with(&through, &["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/log v1.2.0", "acme/pay dev-feature/new-parser"]);
    assert!(composer.lock().to_string().contains(&suite.pay.resolve("feature/new-parser")));
    composer.uninstall(true).clear_cache().run_with(&through, &["install"]).expect_success();
    assert_eq!(composer.installed().len(), 2);

    // The same token at the address, which is another tenant's: no answer for it.
    let mut elsewhere = world.composer(token, &json!({"acme/pay": "^1.0"}));
    elsewhere.config_auth(&world.registry.edge_address(), "token", token);
    holds(elsewhere.run(&["update"]).expect_failure(), "This registry needs a valid token");
}
