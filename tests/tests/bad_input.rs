//! Repositories with something wrong: each gets a clear reason, nothing that is published is lost, and nobody else notices.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::path::Path;

use cargoman_testkit::git::Repository;
use cargoman_tests::World;
use cargoman_tests::altered_git::AlteredGit;
use cargoman_tests::operator::{text, texts};
use cargoman_tests::package_files::composer_json;
use cargoman_tests::published::Published;
use cargoman_tests::sync_result::{failed, skipped};
use serde_json::{Value, json};

/// A package whose default branch has this composer.json, as it is.
fn with_manifest(world: &World, name: &str, manifest: &str) -> Repository {
    let repository = world.repository(name);
    repository.write("composer.json", manifest).commit("First").tag("v1.0.0");
    repository
}

#[test]
fn what_never_was_right_says_why() {
    let world = World::start();
    let operator = world.operator();
    let add = |name: &str| operator.try_add(name, &world.repository_url(name));

    // A name that disagrees, and nothing to read at all: the sync fails.
    with_manifest(&world, "acme/wrong", &composer_json("acme/else", &json!({})));
    failed(&add("acme/wrong"), &["`acme/else`", "`acme/wrong`"]);
    with_manifest(&world, "acme/upper", &composer_json("Acme/Upper", &json!({})));
    failed(&add("acme/upper"), &["`main`", "name"]);
    world.repository("acme/empty");
    failed(&add("acme/empty"), &["empty"]);
    let headless = with_manifest(&world, "acme/headless", &composer_json("acme/headless", &json!({})));
    headless.default_branch("gone");
    failed(&add("acme/headless"), &["default branch", "HEAD"]);

    // A composer.json that is of no use: each ref is skipped for itself, and as nothing is left the sync fails.
    world.repository("acme/none").write("README.md", "Hello\n").commit("First").tag("v1.0.0");
    with_manifest(&world, "acme/broken", "{\"name\": \"acme/broken\",");
    let big = json!({"extra": {"text": "x".repeat(2 << 20)}});
    with_manifest(&world, "acme/big", &composer_json("acme/big", &big));
    for (name, words) in
        [("acme/none", "no composer.json"), ("acme/broken", "line 1 column"), ("acme/big", "larger than 1024 KiB")]
    {
        let task = add(name);
        failed(&task, &["refs/heads/main", words]);
        for reference in ["refs/heads/main", "refs/tags/v1.0.0"] {
            let reason = skipped(&task["result"], reference);
            assert!(reason.contains(words) && reason.contains("composer.json"), "{name}: {reason}");
        }
        assert_eq!(operator.versions(name).len(), 0);
    }
    with_manifest(&world, "acme/unnamed", "{\"type\": \"library\"}");
    let unnamed = add("acme/unnamed");
    assert_eq!(texts(&unnamed["result"]["added"]), ["v1.0.0", "dev-main"], "{unnamed:#}");

    // Without a name there must be one in the repository.
    for (name, word) in [
        ("acme/none", "composer.json"),
        ("acme/broken", "composer.json"),
        ("acme/unnamed", "name"),
        ("acme/big", "1024 KiB"),
        ("acme/empty", "empty"),
    ] {
        let body = json!({"repository_url": world.repository_url(name)});
        let (status, answer) = operator.call("POST", "/packages", Some(&body));
        assert_eq!(
            (status, &answer["error"]["details"][0]["field"]),
            (422, &json!("repository_url")),
            "{name}: {answer}"
        );
        let message = text(&answer["error"]["details"][0]["message"]);
        assert!(message.contains(word), "{name}: {message}");
    }
    let package = operator.get("/packages/acme/wrong");
    assert!(text(&package["sync_error"]).contains("`acme/else`") && package["synced_at"].is_null(), "{package:#}");
}

/// G-U1 to G-U7, as an operator types them.
#[test]
fn addresses_that_are_not_taken() {
    let world = World::start();
    for url in [
        "",
        "../x",
        "x",
        "git@example.com",
        "ext::sh -c id",
        "fd::7",
        "git://example.com/x.git",
        "ftp://example.com/x",
        "ssh://-oProxyCommand=id/x",
        "-oX",
        "--upload-pack=x",
        "http://example.com/x.git",
        "http://10.0.0.1/x.git",
        "https://user:password@example.com/x.git",
        "https://127.0.0.1/x.git\r\nX: y",
        "https://example.com:22/x\u{0}",
        "http://2130706433/x.git",
        "https://example.com:6379/x.git",
        "file:///etc",
        "/etc/passwd",
    ] {
        let body = json!({"repository_url": url, "name": "acme/x"});
        let (status, answer) = world.operator().call("POST", "/packages", Some(&body));
        if status == 201 {
            // Taken as an address; then it must fail as one.
            failed(&world.operator().finished(&text(&answer["data"]["task"])), &[]);
            world.operator().ask("DELETE", "/packages/acme/x", &Value::Null);
            continue;
        }
        assert!(status == 422 || status == 400, "{url:?}: {status} {answer}");
        assert!(!answer.to_string().contains("password@"), "{answer}");
    }
}

/// G-R1, G-S6, G-R5: names of tags that git delivers.
#[test]
fn odd_tags_are_skipped_one_by_one() {
    let world = World::start();
    let operator = world.operator();
    let name = "acme/odd";
    let repository = world.repository(name);
    repository.write("composer.json", composer_json(name, &json!({}))).commit("First").tag("v1.0.0");
    let head = repository.head();
    let long = format!("refs/tags/v1.0.0-{}", "a".repeat(300));
    let names: [&[u8]; 11] = [
        b"refs/tags/v1.0.1-\xff\xfe",
        long.as_bytes(),
        b"refs/tags/v2.0.0\x1b[31mred",
        b"refs/tags/v2.0.1\x07",
        b"refs/tags/v2.0.2\x7f",
        "refs/tags/v2.0.3\u{202e}".as_bytes(),
        "refs/tags/v2.0.4\u{200b}".as_bytes(),
        b"refs/tags/-rf",
        b"refs/tags/../../x",
        b"refs/tags/v2.0.5 six",
        b"refs/tags/v2.0.6.lock",
    ];
    let lines: Vec<(&str, &[u8])> = names.iter().map(|name| (head.as_str(), *name)).collect();
    let git = AlteredGit::adding(world.git.address(), &lines);
    let result = operator.add(name, &git.url("odd.git"));
    assert_eq!(texts(&result["added"]), ["v1.0.0", "dev-main"]);
    let reported = result["skipped"].as_array().unwrap();
    assert_eq!(reported.len(), names.len(), "{result:#}");
    for one in reported {
        let (shown, reason) = (text(&one["ref"]), text(&one["reason"]));
        assert!(!shown.contains(char::is_control) && !shown.contains(['\u{202e}', '\u{200b}']), "{shown:?}");
        assert!(shown.len() < 1_000 && reason.starts_with("its name"), "{shown}: {reason}");
    }
    assert_eq!(operator.sync(name)["unchanged"], true);

    // Tags that are no versions, or lead to no commit.
    repository.tag("latest").tag("1.0.0;rm").tag(&"9".repeat(200));
    let blob = repository.raw_object("blob", b"x");
    repository.git(&["update-ref", "refs/tags/v3.0.0", &blob]);
    let result = operator.sync(name);
    assert_eq!(result["added"], json!([]));
    for (tag, word) in [("latest", "latest"), ("1.0.0;rm", "1.0.0;rm"), ("v3.0.0", "not to a commit")] {
        let reason = skipped(&result, &format!("refs/tags/{tag}"));
        assert!(reason.contains(word), "{tag}: {reason}");
    }
}

/// What is missing in the remote's object database costs the versions that need it, and no others.
#[test]
fn a_missing_object_costs_its_own_versions() {
    for over_http in [true, false] {
        let world = World::start();
        let operator = world.operator();
        let name = "acme/holes";
        let repository = world.repository(name);
        repository.write("composer.json", composer_json(name, &json!({}))).commit("First").tag("v1.0.0");
        // On a branch of its own: a server walks the history of what it sends.
        repository.branch("side").write("lost", "this will be lost\n").commit("Second").tag("v1.1.0");
        repository
            .delete_branch("side")
            .checkout("main")
            .write("src/Three.php", "<?php\n")
            .commit("Third")
            .tag("v1.2.0");
        remove_object(&repository, "v1.1.0:lost");
        let url = if over_http { world.repository_url(name) } else { repository.url() };
        let task = operator.try_add(name, &url);
        assert_eq!(task["state"], "succeeded", "over http: {over_http}: {task:#}");
        let result = &task["result"];
        assert!(skipped(result, "refs/tags/v1.1.0").contains("cannot be read"), "{result:#}");
        assert!(texts(&result["added"]).contains(&"v1.0.0".to_owned()), "{result:#}");
        assert_eq!(texts(&result["added"]), ["v1.2.0", "dev-main", "v1.0.0"]);
        let reader = world.reader(&operator.customer_of(&[name]));
        assert_eq!(reader.shown(name).len(), texts(&result["added"]).len());
    }
}

/// Takes the object out of the repository's database.
fn remove_object(repository: &Repository, name: &str) {
    let id = repository.git(&["rev-parse", name]);
    // `fast-import` writes packs; loose objects can be removed one by one.
    let pack = repository.path().join("objects/pack");
    let spare = repository.path().join("spare");
    std::fs::rename(&pack, &spare).unwrap();
    std::fs::create_dir(&pack).unwrap();
    for entry in std::fs::read_dir(&spare).unwrap().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "pack") {
            unpack(repository.path(), &entry.path());
        }
    }
    std::fs::remove_dir_all(&spare).unwrap();
    std::fs::remove_file(repository.path().join("objects").join(&id[..2]).join(&id[2..])).unwrap();
}

fn unpack(repository: &Path, pack: &Path) {
    let input = std::fs::File::open(pack).unwrap();
    let mut command = cargoman_testkit::git::command(repository);
    let done = command.args(["unpack-objects", "-q"]).stdin(input).status().unwrap();
    assert!(done.success());
}

#[test]
fn a_remote_that_is_not_there() {
    let world = World::start();
    let operator = world.operator();
    let other = Published::new(&world, "acme/other");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    failed(&operator.try_add("acme/away", &format!("http://{closed}/x.git")), &["127.0.0.1", "refused"]);
    failed(&operator.try_add("acme/nobody", &world.git.url("nobody.git")), &["repository"]);
    // While one remote hangs, others go on.
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.git", hanging.local_addr().unwrap());
    operator.post("/packages", &json!({"repository_url": url, "name": "acme/hangs"}));
    other.repository.write("src/Two.php", "<?php // two\n").commit("Second").tag("v1.1.0");
    assert_eq!(texts(&other.works()["added"]), ["v1.1.0"]);
}
