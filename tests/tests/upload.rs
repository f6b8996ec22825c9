//! Versions that come as a zip instead of from a repository: through the edge, by whoever may, installed by the real Composer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use cargoman_testkit::git::{self, Repository};
use cargoman_testkit::raw_http::{Response, request};
use cargoman_tests::archive::{Entry, unzip};
use cargoman_tests::operator::text;
use cargoman_tests::package_files::composer_json;
use cargoman_tests::reader::sha1;
use cargoman_tests::{Operator, World};
use serde_json::{Value, json};

/// A zip of these files, made by git.
fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let repository = Repository::bare();
    for (path, content) in files {
        repository.write(path, content);
    }
    repository.commit("All");
    archive(&repository, "main^{tree}")
}

/// What `git archive` makes of it: of a commit with its id as the zip's comment, of a tree without.
fn archive(repository: &Repository, of: &str) -> Vec<u8> {
    let output = git::command(repository.path()).args(["archive", "--format=zip", of]).output().expect("git");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// A release of a package, with its composer.json in it.
fn release(name: &str, version: &str, more: &Value) -> Vec<u8> {
    zip(&[("composer.json", &composer_json(name, more)), ("src/Version.php", &format!("<?php // {version}\n"))])
}

/// Uploads through the edge, with a bearer.
#[track_caller]
fn put(world: &World, bearer: &str, version: &str, kind: &str, body: &[u8]) -> Response {
    let url = format!("{}/api/v1/packages/{version}", world.registry.edge_url());
    let bearer = format!("Bearer {bearer}");
    request("PUT", &url, &[("Authorization", &bearer), ("Content-Type", kind)], body)
}

#[track_caller]
fn put_zip(world: &World, bearer: &str, version: &str, body: &[u8]) -> Response {
    put(world, bearer, version, "application/zip", body)
}

/// A zip and a composer.json beside it.
#[track_caller]
fn put_both(world: &World, bearer: &str, version: &str, zip: &[u8], metadata: &str) -> Response {
    let boundary = "cargoman-tests-0123456789";
    let part = |name: &str, kind: &str| {
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n"
        )
    };
    let mut body = part("metadata", "application/json").into_bytes();
    body.extend_from_slice(metadata.as_bytes());
    body.extend_from_slice(format!("\r\n{}", part("zip", "application/zip")).as_bytes());
    body.extend_from_slice(zip);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    put(world, bearer, version, &format!("multipart/form-data; boundary={boundary}"), &body)
}

/// That it is refused with this status, and names this field, if any.
#[track_caller]
fn refused(response: &Response, status: u16, field: Option<&str>) {
    assert_eq!(response.status, status, "{}", String::from_utf8_lossy(&response.body));
    let error = &response.json()["error"];
    assert!(!text(&error["message"]).is_empty(), "{error}");
    if let Some(field) = field {
        assert_eq!(error["details"][0]["field"], field, "{error}");
    }
}

fn artifact(operator: &Operator<'_>, name: &str) {
    let made = operator.post("/packages", &json!({"type": "artifact", "name": name}));
    assert_eq!((&made["name"], &made["type"]), (&json!(name), &json!("artifact")), "{made}");
}

/// A credential for a machine that builds the packages of these patterns.
fn publisher(operator: &Operator<'_>, globs: &[&str]) -> String {
    let body = json!({"name": "CI", "level": "publisher", "package_scopes": globs});
    text(&operator.post("/credentials", &body)["plain_token"])
}

#[test]
fn what_ci_uploads_composer_installs() {
    let world = World::start();
    let operator = world.operator();
    artifact(&operator, "acme/theme");
    world.small_package("acme/log");
    let ci = publisher(&operator, &["acme/theme*"]);
    let bytes = release("acme/theme", "1.0.0", &json!({"require": {"acme/log": "^1.0"}}));

    let made = put_zip(&world, &ci, "acme/theme/versions/1.0.0", &bytes);
    assert_eq!(made.status, 201, "{}", made.text());
    let version = made.json()["data"].take();
    assert_eq!((&version["version"], &version["version_normalized"]), (&json!("1.0.0"), &json!("1.0.0.0")));
    assert_eq!((&version["kind"], &version["reference"]), (&json!("upload"), &json!(sha1(&bytes))), "{version}");

    // The same bytes again change nothing; others are refused, and what is published stays.
    let again = put_zip(&world, &ci, "acme/theme/versions/1.0.0", &bytes);
    assert_eq!((again.status, &again.json()["data"]["published_at"]), (200, &version["published_at"]));
    let other = release("acme/theme", "1.0.0 but different", &json!({}));
    refused(&put_zip(&world, &ci, "acme/theme/versions/v1.0.0", &other), 409, None);
    let (status, answer) = operator.call("POST", "/packages/acme/theme/sync", Some(&json!({})));
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("CONFLICT")), "{answer}");

    let customer = operator.customer_of(&["acme/theme", "acme/log"]);
    let composer = world.composer(&customer.token, &json!({"acme/theme": "^1.0"}));
    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/log v1.0.0", "acme/theme 1.0.0"]);
    let lock = composer.lock();
    let theme = lock["packages"].as_array().unwrap().iter().find(|one| one["name"] == "acme/theme").unwrap();
    assert_eq!((&theme["dist"]["reference"], &theme["dist"]["shasum"]), (&json!(sha1(&bytes)), &json!(sha1(&bytes))));
    let file = composer.path().join("vendor/acme/theme/src/Version.php");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "<?php // 1.0.0\n");

    // The next one, with the next command; and back to the first from a lock.
    assert_eq!(
        put_zip(&world, &ci, "acme/theme/versions/v1.1.0", &release("acme/theme", "1.1.0", &json!({}))).status,
        201
    );
    let lock = std::fs::read(composer.path().join("composer.lock")).unwrap();
    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/theme v1.1.0"]);
    std::fs::write(composer.path().join("composer.lock"), lock).unwrap();
    composer.uninstall(true).clear_cache().run(&["install"]).expect_success();
    assert_eq!(composer.installed(), ["acme/log v1.0.0", "acme/theme 1.0.0"]);
}

/// Premium plugins come without a composer.json: it is given beside the zip.
#[test]
fn a_zip_with_its_metadata_beside_it() {
    let world = World::start();
    let operator = world.operator();
    artifact(&operator, "acme/plugin");
    let ci = publisher(&operator, &["acme/*"]);
    let bytes = zip(&[("plugin.php", "<?php // plugin\n"), ("assets/style.css", "a {}\n")]);
    let path = "acme/plugin/versions/4.2.1";
    // Without one nobody knows what it is.
    refused(&put_zip(&world, &ci, path, &bytes), 422, Some("composer.json"));
    let metadata = composer_json("acme/plugin", &json!({"type": "wordpress-plugin", "autoload": {}}));
    let wrong = composer_json("acme/other", &json!({}));
    refused(&put_both(&world, &ci, path, &bytes, &wrong), 422, Some("name"));
    refused(&put_both(&world, &ci, path, &bytes, "{"), 422, Some("metadata"));
    let made = put_both(&world, &ci, path, &bytes, &metadata);
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(put_both(&world, &ci, path, &bytes, &metadata).status, 200);

    let customer = operator.customer_of(&["acme/plugin"]);
    let reader = world.reader(&customer);
    let shown = &reader.shown("acme/plugin")[0];
    assert_eq!(shown.text("/type"), "wordpress-plugin");
    // The bytes are those that came in: nobody packs them anew.
    assert_eq!(reader.get(&shown.dist_path()).body, bytes);
    let composer = world.composer(&customer.token, &json!({"acme/plugin": "4.2.1"}));
    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/plugin 4.2.1"]);
    let file = composer.path().join("vendor/acme/plugin/plugin.php");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "<?php // plugin\n");
}

/// What is no good archive, or not what its address says, changes nothing.
#[test]
fn a_zip_that_is_none_is_refused() {
    let world = World::start();
    let operator = world.operator();
    artifact(&operator, "acme/theme");
    let ci = publisher(&operator, &["acme/*"]);
    let good = release("acme/theme", "1.0.0", &json!({}));
    let path = "acme/theme/versions/1.0.0";
    let commented = Repository::bare();
    commented.write("composer.json", composer_json("acme/theme", &json!({}))).commit("All");
    for (what, body) in [
        ("nothing", Vec::new()),
        ("a comment", archive(&commented, "main")),
        ("text", b"not a zip".to_vec()),
        ("cut off", good[..good.len() - 10].to_vec()),
        ("bytes behind", [&good[..], b"more"].concat()),
        ("bytes before", [b"more", &good[..]].concat()),
        ("a way out", python_zip("z.writestr('composer.json', MANIFEST); z.writestr('../out.php', 'x')")),
        ("an absolute path", python_zip("z.writestr('composer.json', MANIFEST); z.writestr('/etc/out', 'x')")),
        (
            "twice the same",
            python_zip("z.writestr('composer.json', MANIFEST); z.writestr('a', 'x'); z.writestr('a', 'y')"),
        ),
        ("a bomb", python_zip("z.writestr('composer.json', MANIFEST); z.writestr('a', '0' * (1 << 30))")),
    ] {
        let answer = put_zip(&world, &ci, path, &body);
        assert!(matches!(answer.status, 413 | 422), "{what}: {} {}", answer.status, answer.text());
        refused(&answer, answer.status, (answer.status == 422).then_some("zip"));
    }
    refused(&put_zip(&world, &ci, path, &release("acme/other", "1.0.0", &json!({}))), 422, Some("name"));
    let versioned = release("acme/theme", "1.0.0", &json!({"version": "1.0.1"}));
    refused(&put_zip(&world, &ci, path, &versioned), 422, Some("version"));
    refused(&put_zip(&world, &ci, "acme/theme/versions/not-a-version", &good), 422, Some("version"));
    refused(&put_zip(&world, &ci, "acme/none/versions/1.0.0", &good), 404, None);
    refused(&put(&world, &ci, path, "application/json", b"{}"), 422, Some("Content-Type"));
    assert_eq!(operator.versions("acme/theme").len(), 0);
    assert_eq!(put_zip(&world, &ci, path, &good).status, 201, "after all that");
}

/// A zip as only a program makes it on purpose; `MANIFEST` is a good composer.json.
fn python_zip(script: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.zip");
    let manifest = composer_json("acme/theme", &json!({}));
    let program = format!(
        "import sys, zipfile, warnings\nwarnings.simplefilter('ignore')\nMANIFEST = sys.argv[2]\nwith zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as z: {script}\n"
    );
    let run = std::process::Command::new("python3").args(["-c", &program]).arg(&path).arg(manifest).status();
    assert!(run.expect("`python3` is needed: apt install python3").success());
    std::fs::read(path).unwrap()
}

/// Who may upload, and who may not: C-Z2 for uploads.
#[test]
fn only_those_upload_whom_somebody_allowed_to() {
    let world = World::start();
    let operator = world.operator();
    for name in ["acme/theme", "acme/other"] {
        artifact(&operator, name);
    }
    let body = json!({"name": "Agency", "may_publish": ["acme/theme"]});
    let agency = operator.post("/customers", &body);
    let id = text(&agency["id"]);
    let token = |scope: &str, globs: &[&str]| {
        let body = json!({"name": scope, "scope": scope, "package_scopes": globs});
        text(&operator.post(&format!("/customers/{id}/tokens"), &body)["plain_token"])
    };
    let developer = token("developer", &[]);
    let bytes = |name: &str, version: &str| release(name, version, &json!({}));
    let made = put_zip(&world, &developer, "acme/theme/versions/1.0.0", &bytes("acme/theme", "1.0.0"));
    assert_eq!(made.status, 201, "{}", made.text());

    let theme = |bearer: &str| put_zip(&world, bearer, "acme/theme/versions/2.0.0", &bytes("acme/theme", "2.0.0"));
    // Not what he may publish; not with any other token of his.
    refused(&put_zip(&world, &developer, "acme/other/versions/1.0.0", &bytes("acme/other", "1.0.0")), 403, None);
    for bearer in [
        text(&agency["token"]),
        token("download", &[]),
        token("admin", &[]),
        token("webhook", &[]),
        token("developer", &["acme/other"]),
    ] {
        refused(&theme(&bearer), 403, None);
    }
    // Nor may anybody have such a token who was not allowed to publish.
    let plain = operator.customer("Plain");
    let path = format!("/customers/{}/tokens", plain.id);
    let (status, answer) = operator.call("POST", &path, Some(&json!({"name": "dev", "scope": "developer"})));
    assert_eq!((status, &answer["error"]["details"][0]["field"]), (422, &json!("scope")), "{answer}");
    refused(&theme(&plain.token), 403, None);
    refused(&theme("tok_nobody"), 401, None);

    // Operators of every level.
    let credential = |level: &str, globs: Option<&[&str]>| {
        let mut body = json!({"name": level, "level": level});
        if let Some(globs) = globs {
            body["package_scopes"] = json!(globs);
        }
        text(&operator.post("/credentials", &body)["plain_token"])
    };
    refused(&theme(&credential("viewer", None)), 403, None);
    refused(&theme(&credential("publisher", Some(&["acme/other"]))), 403, None);
    let publisher = credential("publisher", Some(&["acme/*"]));
    for (method, path) in
        [("GET", "/customers"), ("POST", "/customers"), ("DELETE", "/packages/acme/theme"), ("GET", "/settings")]
    {
        let url = format!("{}/api/v1{path}", world.registry.edge_url());
        let bearer = format!("Bearer {publisher}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        refused(&request(method, &url, &headers, if method == "POST" { b"{\"name\":\"x\"}" } else { b"" }), 403, None);
    }
    // An operator's credential is no customer's token.
    let basic = world.reader(&cargoman_tests::Customer { id: String::new(), token: publisher.clone() });
    assert_eq!(basic.get("/packages.json").status, 401);

    // Suspended, and allowed again; allowed no more.
    operator.post(&format!("/customers/{id}/suspend"), &json!({}));
    refused(&theme(&developer), 403, None);
    operator.post(&format!("/customers/{id}/reactivate"), &json!({}));
    operator.ask("PATCH", &format!("/customers/{id}"), &json!({"may_publish": []}));
    refused(&theme(&developer), 403, None);
    operator.ask("PATCH", &format!("/customers/{id}"), &json!({"may_publish": ["acme/*"]}));
    assert_eq!(theme(&developer).status, 201);
    assert_eq!(operator.versions("acme/theme").len(), 2);
}

/// An uploaded version is a version: windows, yanks, takedowns and releases from a repository beside it.
#[test]
fn an_uploaded_version_is_licensed_like_any_other() {
    let world = World::start();
    let operator = world.operator();
    world.small_package("acme/pay");
    let ci = publisher(&operator, &["acme/pay"]);
    let made = put_zip(&world, &ci, "acme/pay/versions/1.1.0", &release("acme/pay", "1.1.0", &json!({})));
    assert_eq!(made.status, 201, "{}", made.text());
    // A version of the repository is the repository's.
    refused(&put_zip(&world, &ci, "acme/pay/versions/1.0.0", &release("acme/pay", "1.0.0", &json!({}))), 409, None);
    // A sync leaves it alone.
    operator.sync("acme/pay");

    let all = operator.customer_of(&["acme/pay"]);
    let ended = operator.customer("Ended");
    operator.grant(&ended, &json!({"package": "acme/pay", "updates_until": "2021-01-01T00:00:00Z"}));
    let (all, ended) = (world.reader(&all), world.reader(&ended));
    assert_eq!(all.versions("acme/pay"), ["1.1.0", "dev-main", "v1.0.0"]);
    assert_eq!(ended.versions("acme/pay"), ["v1.0.0"]);
    let path = all.shown("acme/pay")[0].dist_path();
    assert_eq!((all.get(&path).status, ended.get(&path).status), (200, 403));
    let tree = unzip(&all.get(&path).body);
    assert_eq!(tree["src/Version.php"], Entry::File(false, b"<?php // 1.1.0\n".to_vec()));

    let body = json!({"published_at": "2020-12-31T00:00:00Z", "reason": "it was on the old server since then"});
    operator.ask("PATCH", "/packages/acme/pay/versions/1.1.0", &body);
    assert_eq!(ended.versions("acme/pay"), ["1.1.0", "v1.0.0"]);
    operator.post("/packages/acme/pay/yank/1.1.0", &Value::Null);
    assert_eq!((ended.versions("acme/pay"), ended.get(&path).status), (vec!["v1.0.0".to_owned()], 200));
    operator.post("/packages/acme/pay/unyank/1.1.0", &Value::Null);
    operator.post("/packages/acme/pay/takedown/1.1.0", &json!({"reason": "wrong file"}));
    assert_eq!(ended.get(&path).status, 403);
}
