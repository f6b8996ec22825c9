//! Names under a vendor of the tenant: private ones never come from elsewhere, even when somebody plants them there; the
//! vendor's own public ones do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use cargoman_testkit::composer::Composer;
use cargoman_tests::static_repository::StaticRepository;
use cargoman_tests::{Customer, World};
use serde_json::{Value, json};

/// A project that asks the registry first and the other repository, as packagist.org would be asked, after it.
fn project(world: &World, customer: &Customer, other: &StaticRepository, require: &Value) -> Composer {
    let composer = world.composer(&customer.token, &json!({}));
    composer.project(&json!({
        "name": "test/project",
        "repositories": [
            {"type": "composer", "url": world.registry.edge_url()},
            {"type": "composer", "url": other.url()},
        ],
        "require": require,
        "minimum-stability": "dev",
    }));
    composer
}

/// That nothing of the twin gets in: not installed, not even downloaded.
#[track_caller]
fn twin_is_not_taken(world: &World, customer: &Customer, other: &StaticRepository, name: &str) {
    let composer = project(world, customer, other, &json!({name: "*", "psr/log": "*"}));
    let output = composer.run(&["update"]);
    assert!(output.expect_failure().combined.contains(name), "{}", output.combined);
    assert!(composer.installed().is_empty() && !composer.path().join("composer.lock").exists());
    let downloads: Vec<String> =
        other.asked().into_iter().filter(|path| path.starts_with(&format!("/dists/{name}/"))).collect();
    assert_eq!(downloads, [""; 0], "{name}");
}

#[test]
fn private_names_never_come_from_elsewhere_and_public_ones_do() {
    let world = World::start();
    let operator = world.operator();
    world.small_package("acme/pay");
    world.small_package("acme/secret");
    let customer = operator.customer_of(&["acme/pay"]);
    let other = StaticRepository::start();
    for name in ["psr/log", "acme/open-tool", "acme/pay", "acme/secret", "acme/absent"] {
        other.publish(name, "99.0.0");
    }

    // The vendor became exclusive with its first private package.
    assert_eq!(operator.get("/vendors")[0]["exclusive"], true);
    twin_is_not_taken(&world, &customer, &other, "acme/open-tool");
    operator.ask("PUT", "/vendors/acme", &json!({"public_names": ["acme/open-tool"]}));

    let composer = project(&world, &customer, &other, &json!({"acme/pay": "*", "acme/open-tool": "*", "psr/log": "*"}));
    composer.run(&["update", "--prefer-stable"]).expect_success();
    assert_eq!(composer.installed(), ["acme/open-tool 99.0.0", "acme/pay v1.0.0", "psr/log 99.0.0"]);
    assert!(composer.path().join("vendor/acme/open-tool/OTHER").is_file());
    assert!(composer.path().join("vendor/acme/pay/src/One.php").is_file(), "ours, not its twin with a higher version");

    // Absent, granted to nobody, not granted to him: all the same.
    for name in ["acme/absent", "acme/secret"] {
        twin_is_not_taken(&world, &customer, &other, name);
    }
    // A version that the licence hides does not fall through either.
    let narrow = operator.customer("Narrow");
    operator.grant(&narrow, &json!({"package": "acme/pay", "constraint": "^7.0"}));
    twin_is_not_taken(&world, &narrow, &other, "acme/pay");

    // On the wire.
    let reader = world.reader(&customer);
    assert_eq!(reader.get("/packages.json").json()["available-package-patterns"], json!(["acme/*"]));
    for (name, status) in [("acme/open-tool", 404), ("acme/absent", 200), ("acme/secret", 200), ("psr/log", 404)] {
        for suffix in ["", "~dev"] {
            assert_eq!(reader.get(&format!("/p2/{name}{suffix}.json")).status, status, "{name}{suffix}");
        }
    }
    // Not exclusive any more: his names are open again, the granted ones are still ours.
    operator.ask("PUT", "/vendors/acme", &json!({"exclusive": false}));
    assert_eq!(reader.get("/packages.json").json()["available-packages"], json!(["acme/pay"]));
    assert_eq!(reader.get("/p2/acme/absent.json").status, 404);
    assert_eq!(reader.get("/p2/acme/pay.json").status, 200);
}

#[test]
fn a_private_fork_takes_its_name_alone() {
    let world = World::start();
    let operator = world.operator();
    let fork = world.repository("monolog/monolog");
    fork.write("composer.json", r#"{"name": "monolog/monolog"}"#).write("FORK", "ours\n").commit("Ours").tag("3.99.0");
    let url = world.repository_url("monolog/monolog");
    let made = operator.post("/packages", &json!({"repository_url": url, "name": "monolog/monolog", "fork": true}));
    assert_eq!(operator.finished(made["task"].as_str().unwrap())["state"], "succeeded");
    let customer = operator.customer_of(&["monolog/monolog"]);
    let other = StaticRepository::start();
    other.publish("monolog/monolog", "3.99.9").publish("monolog/other", "1.0.0");

    let composer = project(&world, &customer, &other, &json!({"monolog/monolog": "^3", "monolog/other": "*"}));
    composer.run(&["update", "--prefer-stable"]).expect_success();
    assert_eq!(composer.installed(), ["monolog/monolog 3.99.0", "monolog/other 1.0.0"]);
    assert!(composer.path().join("vendor/monolog/monolog/FORK").is_file());
}
