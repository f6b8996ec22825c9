//! The real Composer installs packages of one repository together: by their releases, and from the branch they share.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use cargoman_testkit::git::Repository;
use cargoman_tests::World;
use serde_json::{Value, json};

fn package(repository: &Repository, name: &str, require: &Value) {
    let short = name.split('/').nth(1).unwrap();
    let manifest = json!({
        "name": name, "type": "library", "require": require, "autoload": {"psr-4": {format!("Acme\\{short}\\"): "src/"}},
    });
    repository.write(&format!("src/Acme/Component/{short}/composer.json"), manifest.to_string());
    repository.write(&format!("src/Acme/Component/{short}/src/One.php"), format!("<?php // {name}\n"));
}

fn fill(repository: &Repository) {
    package(repository, "acme/core", &json!({}));
    package(repository, "acme/clock", &json!({"acme/core": "^1.0"}));
    package(repository, "acme/console", &json!({"acme/core": "self.version", "acme/clock": "self.version"}));
    repository.write("README.md", "many packages\n").commit("First").tag("v1.0.0");
    repository.write("src/Acme/Component/core/src/Two.php", "<?php // two\n").commit("Second").tag("v1.1.0");
}

#[test]
fn a_package_comes_with_its_siblings() {
    let world = World::start();
    let operator = world.operator();
    fill(&world.repository("acme/monorepo"));
    let url = world.repository_url("acme/monorepo");
    let body = json!({"repository_url": url, "name": "acme/monorepo", "monorepo": "src/Acme/*/*"});
    let made = operator.post("/packages", &body);
    let task = operator.finished(made["task"].as_str().unwrap());
    assert_eq!(task["state"], "succeeded", "{task:#}");
    assert_eq!(task["result"]["packages"], json!(["acme/clock", "acme/console", "acme/core"]));

    let all = operator.customer_of(&["acme/console", "acme/clock", "acme/core"]);
    let branch = json!({"acme/console": "dev-main", "acme/clock": "dev-main", "acme/core": "dev-main as 1.9.0"});
    for (require, expected) in [
        (json!({"acme/console": "^1.0"}), "v1.1.0"),
        (json!({"acme/console": "1.0.0"}), "v1.0.0"),
        // What packages require of each other's branches is only taken where the project allows branches.
        (branch, "dev-main"),
    ] {
        let composer = world.composer(&all.token, &require);
        composer.run(&["update", "--no-interaction", "--prefer-dist"]).expect_success();
        let lock = composer.lock();
        let locked = |name: &str| {
            let packages = lock["packages"].as_array().unwrap();
            packages.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name}: {lock:#}")).clone()
        };
        assert_eq!(locked("acme/console")["version"], expected);
        // `self.version` means the sibling of the same release.
        assert_eq!(
            (&locked("acme/core")["version"], &locked("acme/clock")["version"]),
            (&json!(expected), &json!(expected))
        );
        for name in ["acme/console", "acme/clock", "acme/core"] {
            let file = composer.path().join("vendor").join(name).join("src/One.php");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("<?php // {name}\n"));
        }
        let two = composer.path().join("vendor/acme/core/src/Two.php");
        assert_eq!(two.is_file(), expected != "v1.0.0");
    }
}

/// Siblings stand behind one reference; what somebody may read of one says nothing about the other.
#[test]
fn one_reference_and_two_rights() {
    let world = World::start();
    let operator = world.operator();
    fill(&world.repository("acme/monorepo"));
    let body = json!({"repository_url": world.repository_url("acme/monorepo"), "name": "acme/monorepo", "monorepo": "src/Acme/Component/*"});
    let made = operator.post("/packages", &body);
    assert_eq!(operator.finished(made["task"].as_str().unwrap())["state"], "succeeded");
    let (one, both) = (operator.customer_of(&["acme/core"]), operator.customer_of(&["acme/core", "acme/console"]));
    let (reader, other) = (world.reader(&one), world.reader(&both));
    let path = |shown: &cargoman_tests::reader::Shown| {
        let url = shown.0["dist"]["url"].as_str().unwrap();
        url.strip_prefix(world.registry.edge_url()).unwrap().to_owned()
    };
    let shown = |name: &str| {
        let all = other.shown(name);
        path(all.iter().find(|shown| shown.0["version"] == "v1.0.0").unwrap())
    };
    let (core, console) = (shown("acme/core"), shown("acme/console"));
    let reference = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    assert_eq!(reference(&core), reference(&console), "one commit");
    assert_eq!((reader.get(&core).status, reader.get(&console).status), (200, 404));
    assert_eq!((other.get(&core).status, other.get(&console).status), (200, 200));
    // The allowed one's name does not open the other's archive, nor the other way round.
    let swapped = console.replace("acme/console", "acme/core");
    assert_eq!(reader.get(&swapped).body, reader.get(&core).body);
    assert_ne!(other.get(&console).body, other.get(&core).body);
}
