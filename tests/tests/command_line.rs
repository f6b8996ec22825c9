//! The program `cargoman` as people and scripts call it: what it prints where, and how it ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use cargoman_testkit::cargoman::{ADMIN_TOKEN, Registry, command};
use cargoman_testkit::output::{Output, run};
use cargoman_tests::command_line::{LIMIT, admin, ask, ask_json, cargoman, ends};
use cargoman_tests::operator::text;
use cargoman_tests::world::LOCAL;
use cargoman_tests::{Reader, World};
use serde_json::{Value, json};

#[test]
fn constraints_are_answered_line_by_line() {
    let input = r#"{"constraint":"^1.2","version":"1.3.0"}
{"constraint":"^1.2","version":"2.0.0"}
{"constraint":"~1.2.3 || >=3.0 <4.0","version":"v3.9.9"}

{"constraint":">=1.0 <","version":"1.0.0"}
{"constraint":"^1.2","version":"not a version"}
nonsense
{"constraint":"dev-main","version":"dev-main"}
"#;
    let output = run(command().args(["constraint", "--json-lines"]), input.as_bytes(), LIMIT);
    let lines: Vec<Value> =
        output.expect_success().stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 7, "{lines:?}");
    for (at, expected) in [
        (0, json!({"normalized": "1.3.0.0", "matches": true})),
        (1, json!({"normalized": "2.0.0.0", "matches": false})),
        (2, json!({"normalized": "3.9.9.0", "matches": true})),
        (6, json!({"normalized": "dev-main", "matches": true})),
    ] {
        assert_eq!(lines[at], expected);
    }
    for at in [3, 4, 5] {
        assert!(lines[at]["error"].is_string(), "{}", lines[at]);
    }
    ends(&cargoman(&["constraint"]), 2, "--json-lines");
}

#[test]
fn operators_work_from_the_command_line() {
    let world = World::start();
    let registry = &world.registry;
    let repository = world.repository("acme/pay");
    repository.write("composer.json", r#"{"name": "acme/pay"}"#).commit("First").tag("v1.0.0");

    let added = ask_json(registry, &["package", "add", &world.repository_url("acme/pay")]);
    assert_eq!((&added["state"], &added["missing_requirements"]), (&json!("succeeded"), &json!([])));
    assert!(ask(registry, &["package", "list"]).contains("acme/pay"));
    assert!(ask(registry, &["package", "sync", "acme/pay"]).contains("acme/pay: 0 added, 0 updated"));
    let shown = ask_json(registry, &["package", "show", "acme/pay"]);
    assert_eq!((&shown[0]["version"], shown.as_array().unwrap().len()), (&json!("v1.0.0"), 2));

    assert!(ask(registry, &["package", "yank", "acme/pay", "v1.0.0"]).contains("is yanked"));
    assert!(ask(registry, &["package", "unyank", "acme/pay", "1.0.0.0"]).contains("is in metadata"));

    let made =
        ask_json(registry, &["customer", "create", "Ada's shop", "--external-id", "7", "--email", "ada@example.org"]);
    let (id, token) = (text(&made["id"]), text(&made["token"]));
    assert_eq!(ask_json(registry, &["customer", "list", "--q", "shop"])[0]["id"], id);
    let table = ask(registry, &["customer", "list"]);
    assert!(table.contains(&id) && table.contains("external id") && !table.contains(&token), "{table}");
    let granted = ask(registry, &["grant", "add", &id, "acme/pay", "--constraint", "^1.0"]);
    assert!(granted.contains("acme/pay ^1.0"), "{granted}");
    let reader = Reader::new(registry.edge_url(), &token);
    assert_eq!(reader.versions("acme/pay"), ["v1.0.0"]);
    let grant = text(&ask_json(registry, &["grant", "list", &id])[0]["id"]);

    let second = ask_json(registry, &["token", "create", &id, "laptop", "--package", "acme/*"]);
    let (second_id, second) = (text(&second["token"]["id"]), text(&second["plain_token"]));
    assert_eq!(Reader::new(registry.edge_url(), &second).get("/packages.json").status, 200);
    let rotated = ask(registry, &["token", "rotate", &id, &second_id]);
    let hint = format!("composer config http-basic.{} token tok_", registry.edge_address());
    assert!(rotated.contains("token, shown this once: tok_") && rotated.contains(&hint), "{rotated}");
    assert_eq!(Reader::new(registry.edge_url(), &second).get("/packages.json").status, 401);
    let tokens = ask_json(registry, &["token", "list", &id]);
    let first = tokens.as_array().unwrap().iter().find(|one| one["name"] == "default").unwrap();
    assert!(tokens.as_array().unwrap().iter().any(|one| one["id"] == second_id && one["revoked_at"].is_string()));
    ask(registry, &["token", "revoke", &id, &text(&first["id"])]);
    assert_eq!(reader.get("/packages.json").status, 401);

    ask(registry, &["grant", "remove", &id, &grant]);
    assert_eq!(ask(registry, &["grant", "list", &id]).trim(), "none");
    assert!(ask(registry, &["customer", "suspend", &id, "--reason", "unpaid"]).contains("suspended"));
    assert_eq!(ask_json(registry, &["customer", "show", &id])["status_reason"], "unpaid");
    assert!(ask(registry, &["customer", "reactivate", &id]).contains("active"));
    ask(registry, &["customer", "delete", &id]);
    assert_eq!(ask_json(registry, &["customer", "list"]), json!([]));
    assert_eq!(ask_json(registry, &["tenant", "list"])[0]["is_default"], true);
}

#[test]
fn failures_have_their_exit_code_and_say_what_to_do() {
    let world = World::start();
    let registry = &world.registry;
    let fails = |arguments: &[&str]| run(admin(registry, &mut command(), arguments), b"", LIMIT);
    ends(&fails(&["customer", "show", "cust_0"]), 1, "does not exist");
    ends(&fails(&["package", "show", "acme/none"]), 1, "does not exist");
    let made = ask_json(registry, &["customer", "create", "Ada"]);
    ends(
        &fails(&["grant", "add", &text(&made["id"]), "acme/none"]),
        2,
        "there is no package `acme/none`; add it first",
    );
    ends(&fails(&["customer", "create", "Ada", "--expires-at", "tomorrow"]), 2, "expires_at");
    ends(&fails(&["package", "add", &world.git.url("nobody.git")]), 2, "repository_url");
    ends(&fails(&["customer", "creat"]), 2, "creat");
    // Nothing that a person writes climbs out of the path it belongs to.
    let climb = format!("../customers/{}", text(&made["id"]));
    ends(&fails(&["package", "delete", &climb]), 2, "names nothing");
    ends(&fails(&["customer", "delete", ".."]), 2, "names nothing");
    assert_eq!(ask_json(registry, &["customer", "show", &text(&made["id"])])["name"], "Ada");

    let mut wrong = command();
    admin(registry, &mut wrong, &["customer", "list"]).env("CARGOMAN_TOKEN", "another-admin-token-0123");
    ends(&run(&mut wrong, b"", LIMIT), 1, "authentication required");
    let mut without = command();
    without.env("CARGOMAN_URL", registry.control_url()).args(["customer", "list"]);
    ends(&run(&mut without, b"", LIMIT), 2, "set CARGOMAN_TOKEN");
    let mut nowhere = command();
    admin(registry, &mut nowhere, &["customer", "list"]).env("CARGOMAN_URL", "http://127.0.0.1:9");
    ends(&run(&mut nowhere, b"", LIMIT), 1, "is the registry running");

    let mut nonsense = command();
    admin(registry, &mut nonsense, &["customer", "list"]).env("CARGOMAN_URL", "nonsense");
    ends(&run(&mut nonsense, b"", LIMIT), 2, "CARGOMAN_URL");

    assert_eq!(cargoman(&["--version"]).expect_success().stdout.lines().count(), 1);
    assert!(cargoman(&["--help"]).expect_success().stdout.contains("private Composer registry"));
    ends(&cargoman(&["nonsense"]), 2, "nonsense");
}

#[test]
fn a_bad_configuration_is_reported_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    let path = path.to_str().unwrap();
    let check = |toml: &str| {
        std::fs::write(path, toml).unwrap();
        cargoman(&["config", "check", "--config", path])
    };
    let bad = check(
        "[server]\npublic_url = \"ftp://x\"\n[tenancy]\nzone = \"A_B\"\n[jobs]\nworkers = 1000\n[git]\ntimeout_seconds = 0\n",
    );
    for field in ["server.public_url", "tenancy.zone", "jobs.workers", "git.timeout_seconds"] {
        ends(&bad, 2, field);
    }
    let bad = check("[sever]\nlisten = 1\n[gti]\n");
    for section in ["`sever`", "`gti`"] {
        ends(&bad, 2, section);
    }
    ends(&check("[git]\nallow = true\n"), 2, "allow");
    ends(&check("[git\n"), 2, "bad.toml");
    ends(&cargoman(&["config", "check", "--config", "/nonexistent.toml"]), 2, "/nonexistent.toml");
    // Of both programs at once.
    let bad = check("[jobs]\nworkers = 1000\n[limits]\nconnections = \"many\"\n");
    ends(&bad, 2, "jobs.workers");
    ends(&bad, 2, "limits.connections");
    check("[git]\nallow_local = true\n[limits]\nconnections = 100\n").expect_success();
    // Every key of one section does not hide another section.
    let bad = check("[git]\nallow = true\n[jobs]\nworkers = 1000\n");
    ends(&bad, 2, "allow");
    ends(&bad, 2, "jobs.workers");

    let data = folder.path().join("data");
    let up = |toml: &str, name: &str, value: &str| {
        std::fs::write(path, toml).unwrap();
        let mut command = command();
        command.args(["up", "--listen", "127.0.0.1:0", "--config", path, "--data"]).arg(&data);
        run(command.env("ADMIN_TOKEN", ADMIN_TOKEN).env(name, value), b"", LIMIT)
    };
    ends(&up("[jobs]\nworkers = 1000\n", "A", ""), 2, "jobs.workers");
    ends(&up("[limits]\nconnections = \"many\"\n", "A", ""), 2, "connections");
    ends(&up("", "CARGOMAN_GIT__ALLOW_LOCAL", "maybe"), 2, "allow_local");
    ends(&up("", "ADMIN_TOKEN", "short"), 2, "16 or more");
    ends(&up("", "DATABASE_URL", "nonsense"), 2, "DATABASE_URL");
    // A server that is away is waited for; one that refuses us is not.
    let database = cargoman_testkit::postgres::database();
    ends(&up("", "DATABASE_URL", &database.url_as("nobody_of_this_name")), 3, "nobody_of_this_name");
}

/// A second `up` on the first one's folder.
fn second(first: &Registry) -> Output {
    let mut second = command();
    second.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(first.data());
    second.env("ADMIN_TOKEN", ADMIN_TOKEN).env("CARGOMAN_CONTROL_LISTEN", "127.0.0.1:0");
    second.envs(first.database().map(|database| ("DATABASE_URL", database.url())));
    run(&mut second, b"", LIMIT)
}

#[test]
fn up_says_one_line_and_owns_its_folder() {
    let mut first = Registry::builder().config(LOCAL).embedded().start();
    let with_a_server = Registry::builder().config(LOCAL).start();
    for registry in [&first, &with_a_server] {
        let line = format!("ready edge={} control={}", registry.edge_url(), registry.control_url());
        assert_eq!(registry.printed(), [line]);
        let refused = second(registry);
        ends(&refused, 1, &format!("is in use by process {}", registry.pid()));
        assert!(refused.stderr.contains("choose another folder with --data"), "{}", refused.stderr);
        // The first one has not noticed.
        assert_eq!(registry.api("GET", "/api/v1/me", None).0, 200);
    }

    // An address that is taken: named, and nothing is left running.
    let folder = tempfile::Builder::new().prefix("cargoman-test-").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let mut third = command();
    third.args(["up", "--listen", &first.edge_address(), "--data"]).arg(folder.path().join("data"));
    third.env("ADMIN_TOKEN", ADMIN_TOKEN).env("CARGOMAN_CONTROL_LISTEN", "127.0.0.1:0");
    ends(&run(&mut third, b"", LIMIT), 1, &first.edge_address());
    assert!(!folder.path().join("data/postgres/postmaster.pid").exists());

    assert!(first.stop().success());
    first.restart();
    assert_eq!(first.api("GET", "/api/v1/me", None).0, 200);
}

/// Without `ADMIN_TOKEN` a first start makes one, shows it once, and keeps it for its owner alone.
#[test]
fn the_first_start_makes_an_admin_token() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut registry = Registry::builder().env("ADMIN_TOKEN", "").start();
    let kept = registry.data().join("admin-token");
    let token = std::fs::read_to_string(&kept).unwrap().trim().to_owned();
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(registry.log().matches(&token).count(), 1, "{}", registry.log());
    let bearer = format!("Bearer {token}");
    assert_eq!(registry.api_with(&[("Authorization", &bearer)], "GET", "/api/v1/me", None).status, 200);
    registry.restart();
    assert_eq!(registry.log().matches(&token).count(), 1, "shown once");
    assert_eq!(registry.api_with(&[("Authorization", &bearer)], "GET", "/api/v1/me", None).status, 200);
}
