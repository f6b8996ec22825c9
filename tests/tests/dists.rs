//! Archives: whatever metadata shows can be had, holds what `git archive` would hold, and stays the same for ever.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use cargoman_testkit::git::{Repository, Shape};
use cargoman_tests::archive::{Entry, differences, git_archive, unzip};
use cargoman_tests::operator::{text, texts};
use cargoman_tests::package_files::composer_json;
use cargoman_tests::reader::sha1;
use cargoman_tests::{Reader, World};
use serde_json::json;

/// Compares every version that metadata shows with what git makes of its commit; gives how many there were.
#[track_caller]
fn all_are_right(reader: &Reader, package: &str, repository: &Repository) -> usize {
    let shown = reader.shown(package);
    for version in &shown {
        let pretty = version.pretty();
        let archive = reader.get(&version.dist_path());
        assert_eq!(archive.status, 200, "{pretty}");
        assert_eq!(sha1(&archive.body), version.text("/dist/shasum"), "{pretty}");
        let reference = version.text("/dist/reference");
        let (ours, gits) = (unzip(&archive.body), git_archive(repository, &reference));
        assert_eq!(differences(&ours, &gits), [""; 0], "{pretty}");
    }
    shown.len()
}

/// Z-5, Z-12.
#[test]
fn every_version_of_a_large_package_is_what_git_archives() {
    let world = World::start();
    let operator = world.operator();
    let shape = Shape::monolog();
    let repository = world.repository(&shape.name);
    repository.fill(&shape);
    operator.add(&shape.name, &world.repository_url(&shape.name));
    let reader = world.reader(&operator.customer_of(&[&shape.name]));
    assert_eq!(all_are_right(&reader, &shape.name, &repository), shape.tags + shape.branches);

    let newest = unzip(&reader.get(&reader.shown(&shape.name)[0].dist_path()).body);
    assert!(newest.keys().any(|path| path.starts_with("src/")) && !newest.keys().any(|path| path.starts_with("tests")));
}

/// Z-2, Z-3, Z-5, Z-7: everything that a tree may hold.
#[test]
fn odd_trees_are_what_git_archives() {
    let world = World::start();
    let operator = world.operator();
    let name = "acme/odd";
    let repository = world.repository(name);
    repository.write("composer.json", composer_json(name, &json!({"bin": ["bin/run"]})));
    repository.executable("bin/run", "#!/usr/bin/env php\n").write("empty", "").write("größe/ünï code.txt", "ü\n");
    repository.write("src/A.php", "<?php // A\n").write("src/a.php", "<?php // a\n");
    repository.symlink("link", "src/A.php").symlink("dangling", "../../nowhere");
    repository.write("binary", [0_u8, 255, 10, 13].repeat(5_000)).write("zeros", vec![0_u8; 300_000]);
    repository.commit("Plain").tag("v1.0.0");
    repository.write(
        ".gitattributes",
        "/docs export-ignore\n*.dist export-ignore\n/keep.dist -export-ignore\n**/cache/** export-ignore\n/.gitattributes export-ignore\n[attr]dev export-ignore\n/dev dev\n",
    );
    for path in
        ["docs/a.md", "docs/deep/b.md", "x.dist", "keep.dist", "src/y.dist", "src/cache/z", "src/cached/z", "dev"]
    {
        repository.write(path, path);
    }
    repository.write("src/.gitattributes", "/only-here export-ignore\n*.dist -export-ignore\n");
    repository.write("src/only-here", "").write("only-here", "").commit("With attributes").tag("v1.1.0");
    repository.submodule("vendor-lib", &"1".repeat(40)).write(".gitmodules", "").commit("Submodule").tag("v1.2.0");
    let added = operator.add(name, &world.repository_url(name));
    assert_eq!(texts(&added["added"]).len(), 4, "{added:#}");
    let customer = operator.customer_of(&[name]);
    let reader = world.reader(&customer);
    assert_eq!(all_are_right(&reader, name, &repository), 4);

    let plain = unzip(&reader.get(&dist(&reader, name, "v1.0.0")).body);
    assert_eq!(plain["bin/run"], Entry::File(true, b"#!/usr/bin/env php\n".to_vec()));
    assert_eq!(plain["link"], Entry::Link(b"src/A.php".to_vec()));
    let newest = unzip(&reader.get(&dist(&reader, name, "v1.2.0")).body);
    assert_eq!((&newest["vendor-lib"], newest.contains_key("docs")), (&Entry::Folder, false));
    // And Composer itself can do something with it.
    let composer = world.composer(&customer.token, &json!({name: "1.2.0"}));
    composer.run(&["update"]).expect_success();
    assert!(composer.path().join("vendor/bin/run").is_file());
}

#[track_caller]
fn dist(reader: &Reader, package: &str, pretty: &str) -> String {
    reader.shown(package).iter().find(|version| version.pretty() == pretty).expect("it is shown").dist_path()
}

/// E-G1 to E-G5 on real archives.
#[test]
fn heads_ranges_and_validators() {
    let world = World::start();
    let operator = world.operator();
    world.small_package("acme/pay");
    let reader = world.reader(&operator.customer_of(&["acme/pay"]));
    let path = dist(&reader, "acme/pay", "v1.0.0");
    let whole = reader.get(&path);
    let size = whole.body.len();
    assert_eq!(whole.header("content-type"), Some("application/zip"));
    assert_eq!(whole.header("content-length"), Some(size.to_string().as_str()));
    let tag = whole.header("etag").unwrap().to_owned();

    let head = reader.ask("HEAD", &path, &[]);
    assert_eq!(
        (head.status, head.header("content-length"), head.header("etag")),
        (200, whole.header("content-length"), Some(tag.as_str()))
    );
    let unchanged = reader.ask("GET", &path, &[("If-None-Match", &tag)]);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(reader.ask("GET", &path, &[("If-None-Match", "\"other\"")]).body, whole.body);

    let first = reader.ask("GET", &path, &[("Range", "bytes=0-9")]);
    let rest = reader.ask("GET", &path, &[("Range", "bytes=10-"), ("If-Range", &tag)]);
    assert_eq!((first.status, rest.status), (206, 206));
    assert_eq!(first.header("content-range"), Some(format!("bytes 0-9/{size}").as_str()));
    assert_eq!([first.body, rest.body].concat(), whole.body);
    assert_eq!(reader.ask("GET", &path, &[("Range", "bytes=-3")]).body, whole.body[size - 3..]);
    let beyond = reader.ask("GET", &path, &[("Range", &format!("bytes={size}-"))]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(format!("bytes */{size}").as_str())));
    assert_eq!(reader.ask("POST", &path, &[]).status, 405);
}

/// G-L3: a lock holds a commit of a branch; the branch goes on, even by force, and the lock still installs.
#[test]
fn an_old_reference_of_a_branch_stays_installable() {
    let world = World::start();
    let operator = world.operator();
    let repository = world.small_package("acme/pay");
    let customer = operator.customer_of(&["acme/pay"]);
    let reader = world.reader(&customer);
    let composer = world.composer(&customer.token, &json!({"acme/pay": "dev-main"}));
    composer.run(&["update"]).expect_success();
    let old = repository.head();
    let old_path = dist(&reader, "acme/pay", "dev-main");
    let bytes = reader.get(&old_path).body;

    repository.write("src/Two.php", "<?php // two\n").commit("Second");
    assert_eq!(texts(&operator.sync("acme/pay")["updated"]), ["dev-main"]);
    // History is written anew: the old commits hang on nothing any more, and git forgets them.
    repository
        .checkout("other")
        .write("composer.json", composer_json("acme/pay", &json!({})))
        .write("NEW", "")
        .commit("Anew");
    repository.update_ref("refs/heads/main", "HEAD").delete_tag("v1.0.0").delete_branch("other").checkout("main");
    repository.git(&["gc", "--quiet", "--prune=now"]);
    assert_eq!(texts(&operator.sync("acme/pay")["updated"]), ["dev-main"]);
    assert_eq!(reader.shown("acme/pay").last().unwrap().text("/dist/reference"), repository.head());

    assert_eq!(reader.get(&old_path).body, bytes);
    composer.uninstall(true).clear_cache().run(&["install"]).expect_success();
    assert_eq!(composer.lock()["packages"][0]["dist"]["reference"], old);
    assert!(composer.path().join("vendor/acme/pay/src/One.php").is_file());
    composer.run(&["update"]).expect_success();
    assert!(composer.path().join("vendor/acme/pay/NEW").is_file());
    // The tag is gone upstream; the release stays (G-L2).
    assert_eq!(reader.versions("acme/pay"), ["dev-main", "v1.0.0"]);
    assert_eq!(text(&operator.versions("acme/pay")[0]["version"]), "v1.0.0");
}

/// A yanked version leaves metadata; locks go on.
#[test]
fn a_yanked_version_is_for_locks_alone() {
    let world = World::start();
    let operator = world.operator();
    let repository = world.small_package("acme/pay");
    repository.write("src/Two.php", "<?php // two\n").commit("Second").tag("v1.1.0");
    operator.sync("acme/pay");
    let customer = operator.customer_of(&["acme/pay"]);
    let composer = world.composer(&customer.token, &json!({"acme/pay": "^1.0"}));
    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay v1.1.0"]);
    operator.post("/packages/acme/pay/yank/v1.1.0", &json!(null));
    composer.uninstall(true).clear_cache().run(&["install"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay v1.1.0"]);
    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay v1.0.0"]);
    operator.post("/packages/acme/pay/unyank/1.1.0.0", &json!(null));
    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay v1.1.0"]);
}
