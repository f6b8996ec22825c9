//! A repository gives exactly the versions that Composer's own reading of it gives: names, normal forms, commits, default
//! branch, and everything else that composer.json says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use cargoman_testkit::git::{Repository, Shape};
use cargoman_tests::World;
use cargoman_tests::package_files::composer_json;
use serde_json::{Map, Value, json};

/// By normalized version: everything but where the bytes lie.
type Versions = BTreeMap<String, Map<String, Value>>;

fn comparable(mut version: Map<String, Value>) -> (String, Map<String, Value>) {
    // Composer knows the bytes by their source, the registry by their dist. The commit is the same.
    let reference = ["source", "dist"].into_iter().filter_map(|key| version.shift_remove(key)).next().unwrap();
    version.insert("reference".to_owned(), reference["reference"].clone());
    let normalized = version["version_normalized"].as_str().unwrap().to_owned();
    version.sort_keys();
    (normalized, version)
}

/// What Composer makes of the repository.
fn by_composer(repository: &Path) -> Versions {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("php");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("COMPOSER_HOME", home.path());
    command.env("HOME", home.path()).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    if let Some(path) = std::env::var_os("CARGOMAN_TEST_COMPOSER_AUTOLOAD") {
        command.env("CARGOMAN_TEST_COMPOSER_AUTOLOAD", path);
    }
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vcs_repository.php")).arg(repository);
    let output = command.output().expect("php is installed");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let list: Vec<Map<String, Value>> = serde_json::from_slice(&output.stdout).expect("one JSON list");
    list.into_iter().map(comparable).collect()
}

/// What a customer of the registry sees.
fn by_registry(world: &World, name: &str) -> Versions {
    let operator = world.operator();
    operator.add(name, &world.repository_url(name));
    let reader = world.reader(&operator.customer_of(&[name]));
    reader.shown(name).into_iter().map(|shown| comparable(shown.0)).collect()
}

#[track_caller]
fn equal(world: &World, name: &str, repository: &Repository) -> usize {
    let (ours, theirs) = (by_registry(world, name), by_composer(repository.path()));
    let keys = |versions: &Versions| versions.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&ours), keys(&theirs));
    for (normalized, version) in &ours {
        assert_eq!(json!(version), json!(theirs[normalized]), "{normalized}");
    }
    ours.len()
}

#[test]
fn a_package_like_monolog() {
    let world = World::start();
    let shape = Shape::monolog();
    let repository = world.repository(&shape.name);
    repository.fill(&shape);
    assert_eq!(equal(&world, &shape.name, &repository), 93);
}

#[test]
fn a_package_like_symfony_console() {
    let world = World::start();
    let shape = Shape::console();
    let repository = world.repository(&shape.name);
    repository.fill(&shape);
    assert_eq!(equal(&world, &shape.name, &repository), 679);
}

/// G-R2, G-R3, G-J5, G-J7: refs and manifests off the beaten track.
#[test]
fn odd_refs_and_manifests() {
    let world = World::start();
    let name = "acme/odd";
    let repository = world.repository(name);
    let commit = |more: Value| {
        repository.write("composer.json", composer_json(name, &more)).commit("A commit");
    };
    commit(
        json!({"require": {"php": ">=7.2", "acme/b": "^1 || ^2", "acme/a": "self.version"}, "authors": [{"name": "Ada", "email": "ada@example.org"}]}),
    );
    for tag in [
        "1.0.0",
        "v1.0.1",
        "release-1.0.2",
        "1.1",
        "2.0.0-beta.1",
        "2.0.0-RC2",
        "2.0.0b3",
        "v2.0.0+build.5",
        "2.0",
        "2021.03.04",
        "1.2.3.4",
        "latest",
        "1.0.0.0.0",
        "v3.0.0-dev",
        "release-",
        "01.05.0",
    ] {
        repository.tag(tag);
    }
    commit(
        json!({"version": "1.5.0", "keywords": ["b", "a"], "bin": ["bin/x"], "extra": {"branch-alias": {"dev-main": "3.x-dev"}}}),
    );
    repository.tag("v1.5.0").tag("v1.0.0").tag("V1.0.1").tag("1.6.0");
    commit(
        json!({"name": "acme/other", "type": "metapackage", "replace": {"acme/old": "self.version"}, "support": {"issues": "https://example.org/issues"}, "funding": [{"type": "other", "url": "https://example.org"}]}),
    );
    repository.annotated_tag("1.7.0", "Another name");
    repository.write("composer.json", "{broken").commit("Broken").tag("1.8.0");
    repository.remove("composer.json").commit("None").tag("1.9.0");
    commit(
        json!({"extra": {"branch-alias": {"dev-main": "3.x-dev"}}, "abandoned": "acme/new", "minimum-stability": "dev", "time": "2020-01-02T03:04:05+00:00"}),
    );
    for branch in ["1.x", "2.0", "3.0.x", "feature/größe", "release/1.2", "v4.x", "5", "dev-strange", "0.0.1"] {
        repository.branch(branch).checkout("main");
    }
    repository.checkout("main").branch("bare").remove("composer.json").commit("A branch without composer.json");
    repository.checkout("main");
    assert!(equal(&world, name, &repository) > 20);
}
