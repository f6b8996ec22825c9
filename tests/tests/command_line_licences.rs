//! Licences from the command line: the guide as it is written, freezes, previews, explanations, the brake and the way back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::path::Path;
use std::process::Command;

use cargoman_testkit::cargoman::{ADMIN_TOKEN, binary, command};
use cargoman_testkit::git::{self, Repository};
use cargoman_testkit::output::{Output, run};
use cargoman_tests::command_line::{LIMIT, admin, ask, ask_json, ends};
use cargoman_tests::operator::text;
use cargoman_tests::package_files::composer_json;
use cargoman_tests::{Customer, World};
use serde_json::{Value, json};

/// A world with `acme/pay` v1.0.0, v1.1.0 and v2.0.0, ten days apart since 2020-09-13.
fn world() -> World {
    let world = World::start();
    let pay = world.repository("acme/pay");
    for (number, version) in (0..).zip(["1.0.0", "1.1.0", "2.0.0"]) {
        pay.write("composer.json", composer_json("acme/pay", &json!({})));
        pay.write("src/Version.php", format!("<?php // {version}\n")).date(1_600_000_000 + number * 864_000);
        pay.commit(version).tag(&format!("v{version}"));
    }
    world.operator().add("acme/pay", &world.repository_url("acme/pay"));
    world
}

fn fails(world: &World, arguments: &[&str]) -> Output {
    run(admin(&world.registry, &mut command(), arguments), b"", LIMIT)
}

#[track_caller]
fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
}

/// Every command of the guide for sellers, word by word, in its order.
#[test]
fn the_guide_works_as_it_is_written() {
    let world = world();
    let pay = world.git.root().join("pay.git");
    git::command(&pay).args(["tag", "v2.1.0", "v2.0.0"]).status().unwrap();
    world.operator().sync("acme/pay");
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(binary(), folder.path().join("cargoman")).unwrap();
    let zip = Repository::bare();
    zip.write("style.css", "a {}\n").commit("Theme");
    let zip = git::command(zip.path()).args(["archive", "--format=zip", "main^{tree}"]).output().unwrap().stdout;
    std::fs::write(folder.path().join("theme-1.4.0.zip"), zip).unwrap();
    std::fs::write(folder.path().join("composer.json"), composer_json("acme/theme", &json!({}))).unwrap();

    let guide = include_str!("../../docs/licences.md");
    let commands = guide.lines().filter(|line| line.starts_with("cargoman "));
    let (mut customer, mut grant, mut count, mut failed) = (String::new(), String::new(), 0, String::new());
    for line in commands {
        let line = line.replace("cust_…", &customer).replace("grant_…", &grant);
        assert!(!line.contains('…'), "a place that this test cannot fill: {line}");
        let output = shell(&world, folder.path(), &line);
        if !output.status.success() {
            failed.push_str(&format!("{line}\n{}\n", output.combined));
        }
        let printed = output.stdout;
        let word = |start: &str| {
            let mut words = printed.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            words.find(|word| word.starts_with(start)).map(str::to_owned)
        };
        if customer.is_empty() {
            customer = word("cust_").unwrap_or_default();
        }
        if grant.is_empty() {
            grant = word("grant_").unwrap_or_default();
        }
        count += 1;
    }
    assert!(failed.is_empty(), "{failed}");
    assert!(count >= 10, "{count} commands");
    let settings = ask_json(&world.registry, &["settings", "show"]);
    assert_eq!(settings["lapsed"], json!({"expired": "keep", "suspended": "forbid"}));
    assert_eq!(ask_json(&world.registry, &["package", "show", "acme/theme"])[0]["version"], "1.4.0");
}

/// Runs a line in a folder where `cargoman` is on the path.
fn shell(world: &World, folder: &Path, line: &str) -> Output {
    let mut command = Command::new("sh");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    command.args(["-e", "-c", line]).env_clear().env("PATH", path).env("HOME", folder).current_dir(folder);
    command.env("CARGOMAN_URL", world.registry.control_url()).env("CARGOMAN_TOKEN", ADMIN_TOKEN);
    run(&mut command, b"", LIMIT)
}

#[test]
fn a_customer_is_frozen_looked_at_and_let_go() {
    let world = world();
    let registry = &world.registry;
    let customer = world.operator().customer("Shop");
    world.operator().grant(&customer, &json!({"package": "acme/pay"}));
    let (id, reader) = (customer.id.as_str(), world.reader(&customer));
    ends(&fails(&world, &["customer", "freeze", id, "--version", "acme/pay"]), 2, "PACKAGE:VERSION");
    ends(&fails(&world, &["customer", "freeze", id, "--version", "acme/pay:3.0.0"]), 2, "versions[0]");

    let preview = ask(registry, &["customer", "freeze", id, "--version", "acme/pay:v1.0.0", "--dry-run"]);
    holds(&preview, &["losing something: 1 customer", "acme/pay v2.0.0 v1.1.0", "nothing was changed"]);
    assert_eq!(reader.versions("acme/pay").len(), 3, "it was a preview");

    let frozen = ask(registry, &["customer", "freeze", id, "--version", "acme/pay:v1.0.0"]);
    holds(&frozen, &["is frozen at 1 version"]);
    assert_eq!(reader.versions("acme/pay"), ["v1.0.0"]);
    let shown = ask_json(registry, &["customer", "show", id]);
    assert_eq!(shown["status"], "frozen");
    holds(&ask(registry, &["customer", "show", id]), &["frozen", "acme/pay"]);
    assert_eq!(ask_json(registry, &["customer", "list", "--status", "frozen"])[0]["id"], id);
    assert_eq!(ask_json(registry, &["customer", "list", "--status", "active"]), json!([]));

    // Suspended on top of it, he comes back to what he was.
    ask(registry, &["customer", "suspend", id, "--reason", "unpaid"]);
    holds(&ask(registry, &["customer", "reactivate", id]), &["is frozen", "the same again lifts this too"]);
    assert_eq!(reader.versions("acme/pay"), ["v1.0.0"]);
    holds(&ask(registry, &["customer", "reactivate", id]), &["is active"]);
    assert_eq!(reader.versions("acme/pay").len(), 3);
}

#[test]
fn previews_change_nothing_and_say_what_would_be() {
    let world = world();
    let registry = &world.registry;
    let operator = world.operator();
    let customer = operator.customer("Shop");
    let grant = operator.grant(&customer, &json!({"package": "acme/pay"}));
    let (id, grant) = (customer.id.as_str(), text(&grant["id"]));
    let reader = world.reader(&customer);
    // He says that he installed the one that he is about to lose.
    let installed = json!({"downloads": [{"name": "acme/pay", "version": "2.0.0.0"}]}).to_string();
    installs(&world, &customer, &installed);

    let update = ["grant", "update", id, &grant, "--updates-until", "2020-09-25T00:00:00Z"];
    let dry = [&update[..], &["--dry-run"]].concat();
    cargoman_testkit::deadline::poll_until("the install to be counted", LIMIT, || {
        let effect = ask_json(registry, &dry)["effect"].take();
        assert_eq!((&effect["customers_losing"], &effect["customers_gaining"]), (&json!(1), &json!(0)));
        assert_eq!(effect["customers"][0]["lost"], json!([{"package": "acme/pay", "version": "v2.0.0"}]));
        (effect["installed_30_days"] == 1).then_some(())
    });
    holds(&ask(registry, &dry), &["losing something: 1 customer, 1 of them with an install", "acme/pay v2.0.0"]);
    assert_eq!(reader.versions("acme/pay").len(), 3, "nothing was changed");
    assert_eq!(operator.get(&format!("/customers/{id}/grants/{grant}"))["updates_until"], Value::Null);

    ask(registry, &update);
    assert_eq!(reader.versions("acme/pay"), ["v1.0.0", "v1.1.0"]);
    // A grant that would be added.
    let preview = ask_json(registry, &["grant", "preview", id, "--package", "acme/pay", "--constraint", "^2.0"]);
    assert_eq!(preview["effect"]["customers"][0]["gained"], json!([{"package": "acme/pay", "version": "v2.0.0"}]));
    assert_eq!(reader.versions("acme/pay").len(), 2);
    // Of everything that may take something away.
    for words in [
        &["customer", "suspend", id][..],
        &["customer", "expire", id],
        &["customer", "delete", id],
        &["grant", "suspend", id, &grant],
        &["grant", "remove", id, &grant],
        &["package", "yank", "acme/pay", "v1.1.0"],
        &["package", "takedown", "acme/pay", "v1.1.0", "--reason", "malware"],
        &["package", "date", "acme/pay", "v1.1.0", "2022-01-01T00:00:00Z", "--reason", "wrong clock"],
        &["package", "delete", "acme/pay"],
    ] {
        let effect = ask_json(registry, &[words, &["--dry-run"]].concat())["effect"].take();
        assert_eq!(effect["customers_losing"], 1, "{words:?}: {effect}");
        assert_eq!(reader.versions("acme/pay"), ["v1.0.0", "v1.1.0"], "{words:?}");
    }
}

/// What Composer sends after an install.
#[track_caller]
fn installs(world: &World, customer: &Customer, body: &str) {
    let url = format!("{}/downloads", world.registry.edge_url());
    let bearer = format!("Bearer {}", customer.token);
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let answer = cargoman_testkit::raw_http::request("POST", &url, &headers, body.as_bytes());
    assert!((200..300).contains(&answer.status), "{answer:?}");
}

#[test]
fn explanations_name_the_rule_and_what_failed() {
    let world = world();
    let registry = &world.registry;
    let operator = world.operator();
    let customer = operator.customer("Shop");
    let limit = json!({"package": "acme/pay", "constraint": "^1.0", "updates_until": "2020-09-14T00:00:00Z", "external_id": "sub_17"});
    let grant = text(&operator.grant(&customer, &limit)["id"]);
    let id = customer.id.as_str();
    let explain =
        |version: &str| ask(registry, &["explain", "--customer", id, "--package", "acme/pay", "--version", version]);
    holds(&explain("1.0.0.0"), &["Shop", "v1.0.0 visible", &grant, "sub_17", "shows it"]);
    holds(&explain("v1.1.0"), &["hidden", "a renewal alone would show it", "published after its limit 2020-09-14"]);
    holds(&explain("v2.0.0"), &["hidden", "its constraint does not match", "published after its limit"]);
    let json = ask_json(registry, &["explain", "--customer", id, "--package", "acme/pay", "--version", "v1.1.0"]);
    assert_eq!(
        (&json["visible"], &json["installable"], &json["rule"]["rule"]),
        (&json!(false), &json!(false), &json!("hidden"))
    );
    // All versions, and each reference of the branch.
    let all = ask_json(registry, &["explain", "--customer", id, "--package", "acme/pay"]);
    assert_eq!(all["versions"].as_array().unwrap().len(), 4, "{all:#}");

    // The bearer of a narrower token.
    let path = format!("/customers/{id}/tokens");
    let narrow = operator.post(&path, &json!({"name": "narrow", "package_scopes": ["acme/other"]}));
    let narrow = text(&narrow["token"]["id"]);
    let shown = ask(registry, &["explain", "--token", &narrow, "--package", "acme/pay", "--version", "v1.0.0"]);
    holds(&shown, &["hidden", "narrowed to other packages"]);
    operator.post(&format!("/customers/{id}/suspend"), &json!({"reason": "unpaid"}));
    holds(&explain("1.0.0.0"), &["is suspended", "unpaid", "hidden"]);
    operator.post("/packages/acme/pay/takedown/v1.0.0", &json!({"reason": "malware"}));
    operator.post(&format!("/customers/{id}/reactivate"), &json!({}));
    holds(&explain("1.0.0.0"), &["hidden", "taken down: malware"]);
    ends(&fails(&world, &["explain", "--customer", id, "--package", "acme/none"]), 1, "package not found");
    ends(&fails(&world, &["explain", "--package", "acme/pay"]), 2, "--customer");
}

/// A script gone wild is stopped; a deleted customer comes back with all he had.
#[test]
fn the_brake_and_the_way_back() {
    let world = world();
    let registry = &world.registry;
    let operator = world.operator();
    ask(registry, &["collection", "create", "Suite", "--package", "acme/*"]);
    let customers: Vec<Customer> = (0..3).map(|_| operator.customer("Shop")).collect();
    for customer in &customers {
        ask(registry, &["grant", "add", &customer.id, "--collection", "suite"]);
    }
    ask(registry, &["settings", "set", "brake.customers_per_hour=2"]);
    let empty = ["collection", "update", "suite", "--package", "nobody/*"];
    let refused = fails(&world, &empty);
    ends(&refused, 1, "--confirm");
    holds(&refused.stderr, &["3", "2"]);
    assert_eq!(world.reader(&customers[0]).versions("acme/pay").len(), 3);
    ask(registry, &[&empty[..], &["--confirm"]].concat());
    assert_eq!(world.reader(&customers[0]).versions("acme/pay").len(), 0);
    ask(registry, &["collection", "update", "suite", "--package", "acme/*"]);

    let id = customers[0].id.as_str();
    let gone = ask(registry, &["customer", "delete", id, "--confirm"]);
    holds(&gone, &["deleted", "cargoman deletion restore del_"]);
    assert_eq!(world.reader(&customers[0]).get("/packages.json").status, 401);
    let deletions = ask_json(registry, &["deletion", "list", "--kind", "customer"]);
    ask(registry, &["deletion", "restore", &text(&deletions[0]["id"])]);
    assert_eq!(world.reader(&customers[0]).versions("acme/pay").len(), 3, "his old token, his grants");
    assert_eq!(ask_json(registry, &["deletion", "list"]), json!([]));

    ask(registry, &["package", "delete", "acme/pay", "--confirm"]);
    assert_eq!(world.reader(&customers[1]).get("/list.json").json()["packageNames"], json!([]));
    ask(registry, &["package", "restore", "acme/pay"]);
    assert_eq!(world.reader(&customers[1]).versions("acme/pay").len(), 3);
}

/// Versions that are taken back, warned of and dated anew.
#[test]
fn versions_are_withdrawn_from_the_command_line() {
    let world = world();
    let registry = &world.registry;
    let customer = world.operator().customer("Shop");
    let until = json!({"package": "acme/pay", "updates_until": "2020-09-25T00:00:00Z"});
    world.operator().grant(&customer, &until);
    let reader = world.reader(&customer);
    let version = |action: &[&str]| ask(registry, &[&["package"], action].concat());
    assert_eq!(reader.versions("acme/pay"), ["v1.0.0", "v1.1.0"]);
    ends(&fails(&world, &["package", "takedown", "acme/pay", "v1.1.0"]), 2, "--reason");
    version(&["takedown", "acme/pay", "v1.1.0", "--reason", "malware"]);
    assert_eq!(reader.versions("acme/pay"), ["v1.0.0"]);
    version(&["untakedown", "acme/pay", "v1.1.0"]);
    version(&["deprecate", "acme/pay", "v1.1.0", "--replacement", "acme/pay2"]);
    let abandoned = |reader: &cargoman_tests::Reader| -> Vec<Value> {
        reader.shown("acme/pay").iter().map(|one| one.0.get("abandoned").cloned().unwrap_or_default()).collect()
    };
    assert_eq!(abandoned(&reader), [json!("acme/pay2"), Value::Null], "this version alone");
    version(&["undeprecate", "acme/pay", "v1.1.0"]);
    assert_eq!(abandoned(&reader), [Value::Null, Value::Null]);
    version(&["date", "acme/pay", "v2.0.0", "2020-09-20T00:00:00Z", "--reason", "it was on the old server"]);
    assert_eq!(reader.versions("acme/pay"), ["v1.0.0", "v1.1.0", "v2.0.0"]);
    ends(
        &fails(&world, &["package", "date", "acme/pay", "v2.0.0", "2999-01-01T00:00:00Z", "--reason", "no"]),
        2,
        "published_at",
    );
}

/// Tagged `v1.1.0`, a version is meant by every way to write it, wherever one can be named.
#[test]
fn a_version_is_known_by_every_way_to_write_it() {
    let world = world();
    let registry = &world.registry;
    let customer = world.operator().customer_of(&["acme/pay"]);
    let id = customer.id.as_str();
    for version in ["v1.1.0", "1.1.0.0", "1.1.0", "1.1"] {
        for words in [
            &["package", "yank", "acme/pay", version][..],
            &["package", "unyank", "acme/pay", version],
            &["package", "takedown", "acme/pay", version, "--reason", "malware"],
            &["package", "untakedown", "acme/pay", version],
            &["package", "deprecate", "acme/pay", version],
            &["package", "undeprecate", "acme/pay", version],
            &["package", "date", "acme/pay", version, "2020-09-20T00:00:00Z", "--reason", "wrong clock"],
            &["explain", "--customer", id, "--package", "acme/pay", "--version", version],
            &["customer", "freeze", id, "--version", &format!("acme/pay:{version}")],
            &["customer", "reactivate", id],
        ] {
            ask(registry, words);
        }
        let shown = world.operator().get(&format!("/packages/acme/pay/versions/{version}"));
        assert_eq!(shown["version"], "v1.1.0");
    }
    ends(&fails(&world, &["package", "yank", "acme/pay", "1.1.1"]), 1, "does not exist");
}
