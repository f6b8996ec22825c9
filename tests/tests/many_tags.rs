//! A repository with 500 tags: one sync brings all of them, and the next one, when nothing has changed, does next to nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::process::Command;

use cargoman_testkit::cargoman::binary;
use cargoman_testkit::full;
use cargoman_testkit::git::{Shape, command};
use cargoman_tests::World;
use cargoman_tests::operator::texts;
use serde_json::{Value, json};

const TAGS: usize = 500;

#[test]
fn five_hundred_tags_in_one_sync_and_an_unchanged_second_one() {
    let world = World::start();
    let operator = world.operator();
    let shape = Shape { name: "acme/many".to_owned(), tags: TAGS, branches: 5, ..Shape::monolog() };
    let repository = world.repository(&shape.name);
    repository.fill(&shape);

    let first = operator.add(&shape.name, &world.repository_url(&shape.name));
    let mut expected = shape.tag_names();
    expected.extend(["1.x-dev", "2.x-dev", "3.x-dev", "4.x-dev", "dev-main"].map(str::to_owned));
    let mut added = texts(&first["added"]);
    added.sort();
    expected.sort();
    assert_eq!(added, expected);
    assert_eq!((&first["skipped"], &first["unchanged"]), (&json!([]), &json!(false)));
    let customer = operator.customer_of(&[&shape.name]);
    assert_eq!(world.reader(&customer).versions(&shape.name).len(), TAGS + 5);

    let before = world.git.requests().len();
    let second = operator.sync(&shape.name);
    let asked: Vec<String> = world.git.requests()[before..].iter().map(|request| request.target.clone()).collect();
    assert_eq!(second["unchanged"], true);
    for list in ["added", "updated", "removed", "skipped"] {
        assert_eq!(second[list], json!([]), "{list}");
    }
    // The refs were listed; nothing was fetched, whatever their number.
    assert_eq!(asked, ["/many.git/info/refs?service=git-upload-pack", "/many.git/git-upload-pack"]);
    let took = |result: &Value| result["took_ms"].as_u64().unwrap();
    println!("sync of {TAGS} tags: first {} ms, unchanged {} ms", took(&first), took(&second));
    assert!(took(&second) * 4 < took(&first), "an unchanged sync costs as much as a first one: {second:#}");

    // One tag more: only it is looked at.
    repository.write("src/More.php", "<?php // more\n").commit("More").tag("v9.0.0");
    let third = operator.sync(&shape.name);
    assert_eq!((texts(&third["added"]), texts(&third["updated"])), (vec!["v9.0.0".into()], vec!["dev-main".into()]));
    assert!(took(&third) < took(&first), "{third:#}");
    if full() {
        record(took(&first), took(&second), took(&third));
    }
}

/// Writes the figures down, with what they were measured on.
fn record(first: u64, unchanged: u64, one_more: u64) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let line = |mut command: Command| String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned();
    let mut head = command(root.as_ref());
    head.args(["describe", "--always", "--dirty", "--abbrev=40"]);
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let figures = json!({
        "what": format!("sync of a repository with {TAGS} tags and 5 branches of 200 files each, over loopback"),
        "build": binary().parent().and_then(|folder| Some(folder.file_name()?.to_string_lossy().into_owned())),
        "first_ms": first,
        "unchanged_ms": unchanged,
        "one_more_tag_ms": one_more,
        "processors": line(Command::new("nproc")),
        "processor": model.trim_start_matches([' ', '\t', ':']),
        "commit": line(head),
    });
    let folder = format!("{root}/bench/results");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(format!("{folder}/sync-500-tags.json"), format!("{figures:#}\n")).unwrap();
}
