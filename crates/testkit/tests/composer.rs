//! The real Composer: isolated, and able to install from a repository on loopback.

use cargoman_testkit::composer::Composer;
use cargoman_testkit::git::{HttpServer, Repository};
use serde_json::json;

#[test]
fn says_its_version_and_knows_no_packagist() {
    let composer = Composer::new();
    assert!(composer.run(&["--version"]).expect_success().stdout.contains("Composer version 2."));

    composer.project(&json!({"name": "test/project", "require": {"monolog/monolog": "*"}}));
    let output = composer.run(&["update"]);
    output.expect_failure();
    assert!(output.combined.contains("requires monolog/monolog, it could not be found"), "{}", output.combined);

    composer.project(&json!({
        "name": "test/project",
        "repositories": [{"type": "composer", "url": "http://registry.example"}],
        "require": {"acme/library": "*"},
    }));
    let output = composer.run(&["update"]);
    output.expect_failure();
    assert!(
        output.combined.contains("127.0.0.1 port 9"),
        "it goes to the proxy that is not there: {}",
        output.combined
    );
}

#[test]
fn installs_from_loopback() {
    let server = HttpServer::start();
    let fill = |repository: &Repository| {
        repository.write("composer.json", r#"{"name": "acme/library"}"#).commit("First").tag("v1.2.3");
    };
    fill(&server.repository("library.git"));
    server.require_basic("token", "secret");

    let mut composer = Composer::new();
    composer.project(&json!({
        "name": "test/project",
        "repositories": [{"type": "vcs", "url": server.url("library.git").replace("http://", "http://token:secret@")}],
        "require": {"acme/library": "^1.2"},
    }));
    composer.config_auth(&server.address().to_string(), "token", "secret");
    composer.run(&["update", "--no-progress"]).expect_success();
    assert_eq!(composer.installed(), ["acme/library v1.2.3"]);
    assert_eq!(composer.lock()["packages"][0]["name"], "acme/library");
    composer.uninstall(false).clear_cache();
    assert!(composer.installed().is_empty());
}
