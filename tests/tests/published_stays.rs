//! What is published stays: when the remote fails, when the repository goes bad, when tags move and branches go.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use cargoman_testkit::git::Fault;
use cargoman_testkit::random::Random;
use cargoman_testkit::seed;
use cargoman_tests::World;
use cargoman_tests::operator::texts;
use cargoman_tests::package_files::composer_json;
use cargoman_tests::published::Published;
use cargoman_tests::reader::Shown;
use cargoman_tests::sync_result::{failed, skipped};
use serde_json::json;

/// G-L5, G-J5: whatever the remote does, what was published stays.
#[test]
fn nothing_is_lost_when_the_remote_fails() {
    let world = World::start();
    let other = Published::new(&world, "acme/other");
    let pay = Published::new(&world, "acme/pay");

    for (status, words) in [(404, "no repository"), (403, "credential"), (500, "500"), (503, "503")] {
        world.git.fault(Some(Fault::Status(status)));
        pay.fails(&[words]);
    }
    world.git.fault(Some(Fault::Redirect("http://169.254.169.254/latest/meta-data".to_owned())));
    pay.fails(&["redirect"]);
    world.git.fault(Some(Fault::Close));
    pay.fails(&["127.0.0.1"]);
    // It breaks off in the list of refs, and in the midst of the objects.
    pay.repository.write("noise", noise()).commit("Much").tag("v1.1.0");
    world.git.fault(Some(Fault::Truncate(20)));
    pay.fails(&["127.0.0.1"]);
    world.git.fault(Some(Fault::Truncate(100_000)));
    let broken = pay.operator.try_sync("acme/pay");
    assert!(
        broken["error"].is_string() || skipped(&broken, "refs/tags/v1.1.0").contains("cannot be read"),
        "{broken:#}"
    );
    pay.stands();
    assert_eq!(world.reader(&pay.customer).versions("acme/pay"), ["dev-main", "v1.0.0"]);
    // Whatever it said then, the next sync looks again, although the list of refs is the same.
    world.git.fault(None);
    assert_eq!(texts(&pay.works()["added"]), ["v1.1.0"]);
    assert_eq!(other.operator.sync("acme/other")["unchanged"], true);
    other.stands();

    world.git.require_basic("user", "secret");
    failed(&pay.operator.try_sync("acme/pay"), &["asks for a credential"]);
    pay.stands();
}

/// Bytes that do not compress.
fn noise() -> Vec<u8> {
    let mut random = Random::new(seed());
    (0..100_000).flat_map(|_| random.draw().to_be_bytes()).collect()
}

/// The failures that need a change of the repository.
#[test]
fn nothing_is_lost_when_the_repository_goes_bad() {
    let world = World::start();
    let other = Published::new(&world, "acme/other");
    let pay = Published::new(&world, "acme/pay");
    let repository = &pay.repository;
    let good = repository.head();

    repository.write("composer.json", composer_json("acme/stolen", &json!({}))).commit("Another name").tag("v2.0.0");
    pay.fails(&["`acme/stolen`", "`acme/pay`"]);
    // Repaired: the name is right again; the release with the other name is a release of this package all the same.
    repository.write("composer.json", composer_json("acme/pay", &json!({}))).commit("The old name");
    assert_eq!(texts(&pay.works()["added"]), ["v2.0.0"]);

    repository.write("composer.json", "{").commit("Broken").tag("v2.1.0");
    let result = pay.works();
    assert!(skipped(&result, "refs/heads/main").contains("composer.json"));
    assert!(skipped(&result, "refs/tags/v2.1.0").contains("composer.json"));
    // The branch's last good state stays for whoever uses it.
    assert_eq!(world.reader(&pay.customer).versions("acme/pay"), ["dev-main", "v1.0.0", "v2.0.0"]);
    repository.write("composer.json", composer_json("acme/pay", &json!({}))).commit("Whole again");
    assert_eq!(texts(&pay.works()["updated"]), ["dev-main"]);

    // Its history is gone: a branch without anything, then nothing at all.
    repository.update_ref("refs/heads/spare", "HEAD").default_branch("spare");
    for name in ["v1.0.0", "v2.0.0", "v2.1.0"] {
        repository.delete_tag(name);
    }
    repository.delete_branch("main");
    let result = pay.works();
    assert_eq!(texts(&result["removed"]), ["dev-main"]);
    assert_eq!(world.reader(&pay.customer).versions("acme/pay"), ["dev-spare", "v1.0.0", "v2.0.0"]);
    repository.delete_branch("spare");
    failed(&pay.operator.try_sync("acme/pay"), &["empty"]);
    pay.stands();
    assert_eq!(world.reader(&pay.customer).versions("acme/pay"), ["dev-spare", "v1.0.0", "v2.0.0"]);

    // The folder is gone, and back.
    let away = repository.path().with_extension("away");
    std::fs::rename(repository.path(), &away).unwrap();
    failed(&pay.operator.try_sync("acme/pay"), &["repository"]);
    pay.stands();
    std::fs::rename(&away, repository.path()).unwrap();
    repository.update_ref("refs/heads/main", &good).default_branch("main");
    assert_eq!(texts(&pay.works()["added"]), ["dev-main"]);
    other.stands();
    other.works();
}

/// G-L1, G-L2, G-L4: releases are for ever.
#[test]
fn a_tag_that_moves_or_goes_changes_nothing() {
    let world = World::start();
    let pay = Published::new(&world, "acme/pay");
    let repository = &pay.repository;
    repository.write("src/Two.php", "<?php // two\n").commit("Second").move_tag("v1.0.0");
    for round in 0..2 {
        let result = pay.works();
        let reason = skipped(&result, "refs/tags/v1.0.0");
        assert!(reason.contains("moved") && reason.contains("v1.0.0"), "{reason}");
        assert_eq!(result["unchanged"], round == 1, "reported as long as it is so: {result:#}");
    }
    repository.delete_tag("v1.0.0");
    let result = pay.works();
    assert_eq!((&result["removed"], &result["skipped"]), (&json!([]), &json!([])));
    // A new tag of the old name, elsewhere.
    repository.write("src/Three.php", "<?php // three\n").commit("Third").tag("v1.0.0");
    assert!(skipped(&pay.works(), "refs/tags/v1.0.0").contains("moved"));
    // Another spelling of it is no way around.
    repository.delete_tag("v1.0.0").tag("1.0.0");
    assert!(skipped(&pay.works(), "refs/tags/1.0.0").contains("moved"));
    // Back where it was, all is well.
    repository.delete_tag("1.0.0").update_ref("refs/tags/v1.0.0", "HEAD~2");
    assert_eq!(pay.works()["skipped"], json!([]));
}

#[test]
fn a_branch_that_goes_takes_its_version_and_a_renamed_one_keeps_it() {
    let world = World::start();
    let pay = Published::new(&world, "acme/pay");
    let repository = &pay.repository;
    repository.branch("1.x").checkout("main").branch("feature/x").checkout("main");
    pay.works();
    let reader = world.reader(&pay.customer);
    assert_eq!(reader.versions("acme/pay"), ["1.x-dev", "dev-feature/x", "dev-main", "v1.0.0"]);
    repository.delete_branch("feature/x");
    assert_eq!(texts(&pay.works()["removed"]), ["dev-feature/x"]);
    assert_eq!(reader.versions("acme/pay"), ["1.x-dev", "dev-main", "v1.0.0"]);
    // `v1.x` and `1.x` are one version to Composer.
    repository.update_ref("refs/heads/v1.x", "refs/heads/1.x").delete_branch("1.x");
    pay.works();
    assert_eq!(reader.versions("acme/pay"), ["dev-main", "v1.0.0", "v1.x-dev"]);
    // Another default branch: the mark goes with it.
    repository.default_branch("v1.x");
    pay.works();
    let marked: Vec<String> = reader
        .shown("acme/pay")
        .iter()
        .filter(|version| version.0.get("default-branch") == Some(&json!(true)))
        .map(Shown::pretty)
        .collect();
    assert_eq!(marked, ["v1.x-dev"]);
}
