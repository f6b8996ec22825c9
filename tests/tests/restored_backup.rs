//! A backup that was restored, and an export of the audit trail from just before the loss: what was taken away since is taken away
//! again, and what cannot be known is said.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::time::Duration;

use cargoman_testkit::cargoman::command;
use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::output::run;
use cargoman_testkit::raw_http;
use cargoman_tests::command_line::{LIMIT, admin, ask, ask_json, ends};
use cargoman_tests::package_files::composer_json;
use cargoman_tests::scale_out::{Link, P2};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn what_was_taken_away_is_taken_away_again() {
    let mut link = Link::start(1, 1);
    let (kept, _) = link.token(0);
    let (revoked, _) = link.token(0);
    let customer = |link: &Link, name: &str| {
        let made = link.world.api(0, "POST", "/api/v1/customers", Some(&json!({"name": name}))).1;
        made["data"]["id"].as_str().unwrap().to_owned()
    };
    let (late, gone) = (customer(&link, "Late Ltd"), customer(&link, "Gone Ltd"));
    let backup = tempfile::tempdir().unwrap();
    link.world.database.stop();
    link.world.database.back_up(&backup.path().join("data"));
    link.world.database.restart();
    poll_until("it is revoked", PATIENCE, || (link.revoke(0, &revoked).1["effective"] == true).then_some(()));

    let plane = |link: &Link, arguments: &[&str]| ask(&link.world.control_planes[0], arguments);
    let made = customer(&link, "After the backup");
    plane(&link, &["customer", "suspend", &late, "--reason", "unpaid"]);
    plane(&link, &["customer", "delete", &gone]);
    plane(&link, &["customer", "suspend", &made]);
    let verified = poll_until("every entry has its place", PATIENCE, || {
        let all = ask_json(&link.world.control_planes[0], &["audit-trail", "list"]);
        let all = all.as_array().unwrap();
        all.iter().all(|entry| entry["hash"].is_string()).then_some(all.len())
    });
    assert!(plane(&link, &["audit-trail", "verify"]).contains(&format!("all {verified} entries hold")));
    let export = backup.path().join("audit.json");
    std::fs::write(&export, plane(&link, &["audit-trail", "list", "--json"])).unwrap();
    let export = export.to_str().unwrap().to_owned();

    link.world.database.stop();
    link.world.database.set_back(&backup.path().join("data"));
    link.world.database.restart();
    let shown = |link: &Link, id: &str| ask_json(&link.world.control_planes[0], &["customer", "show", id]);
    poll_until("it is set back", PATIENCE, || {
        let status = link.world.api(0, "GET", &format!("/api/v1/customers/{gone}"), None).0;
        (status == 200).then_some(())
    });
    assert_eq!(shown(&link, &late)["status"], "active");

    let planned = plane(&link, &["restore", "--audit", &export, "--dry-run"]);
    assert!(planned.contains("would be done again") && shown(&link, &late)["status"] == "active", "{planned}");
    let told = plane(&link, &["restore", "--audit", &export]);
    for (action, subject, outcome) in [
        ("customer.status", &late, "done again"),
        ("customer.delete", &gone, "done again"),
        ("customer.status", &made, "nothing to do"),
        ("customer.create", &made, "not done"),
        ("token.revoke", &link.customer, "done again"),
    ] {
        let line = told.lines().find(|line| line.contains(action) && line.contains(subject.as_str()));
        assert!(line.is_some_and(|line| line.contains(outcome)), "{action} {subject}: {told}");
    }
    assert_eq!(shown(&link, &late)["status"], "suspended");
    assert_eq!(shown(&link, &late)["status_reason"], "unpaid");
    assert_eq!(link.world.api(0, "GET", &format!("/api/v1/customers/{gone}"), None).0, 404);
    assert_eq!(link.status(0, &revoked, P2), 401);
    poll_until("the other token is good", PATIENCE, || (link.status(0, &kept, P2) == 200).then_some(()));
    // Once more: nothing changes, for the trail says now what was done.
    plane(&link, &["restore", "--audit", &export]);
    assert_eq!(shown(&link, &late)["status"], "suspended");
}

/// The restored database gives its revisions once more, for other contents: nothing that an edge rendered from the first ones may
/// show again.
#[test]
fn what_was_published_after_the_backup_is_forgotten() {
    let mut link = Link::start(1, 1);
    let repository = link.git.repository("fresh.git");
    let release = |description: &str, tag: &str| {
        repository.write("composer.json", composer_json("acme/fresh", &json!({"description": description})));
        repository.commit(description).tag(tag);
    };
    release("at first", "v1.0.0");
    link.write("POST", "/packages", &json!({"repository_url": link.git.url("fresh.git"), "name": "acme/fresh"}));
    link.write("POST", &format!("/customers/{}/packages", link.customer), &json!({"package": "acme/fresh"}));
    let sync = |link: &Link| link.write("POST", "/packages/acme/fresh/sync?wait=true", &json!({}));
    sync(&link);
    let (token, _) = link.token(0);
    let shown = |link: &Link| {
        let authorization = format!("Bearer {}", token.plain);
        let url = format!("http://{}/p2/acme/fresh.json", link.world.edges[0].address());
        let response = raw_http::get(&url, &[("Authorization", &authorization)]);
        String::from_utf8_lossy(&response.body).into_owned()
    };
    poll_until("the package shows", PATIENCE, || shown(&link).contains("at first").then_some(()));
    let backup = tempfile::tempdir().unwrap();
    link.world.database.stop();
    link.world.database.back_up(&backup.path().join("data"));
    link.world.database.restart();
    poll_until("a sync goes through", PATIENCE, || {
        let path = "/api/v1/packages/acme/fresh/sync?wait=true";
        (link.world.api(0, "POST", path, Some(&json!({}))).0 == 200).then_some(())
    });
    release("forgotten", "v1.1.0");
    sync(&link);
    poll_until("the release shows", PATIENCE, || shown(&link).contains("forgotten").then_some(()));
    link.world.database.stop();
    link.world.database.set_back(&backup.path().join("data"));
    link.world.database.restart();
    repository.delete_tag("v1.1.0");
    release("instead", "v1.1.0");
    poll_until("a sync goes through", PATIENCE, || {
        let path = "/api/v1/packages/acme/fresh/sync?wait=true";
        (link.world.api(0, "POST", path, Some(&json!({}))).0 == 200).then_some(())
    });
    poll_until("the other release shows", PATIENCE, || shown(&link).contains("instead").then_some(()));
    assert!(!shown(&link).contains("forgotten"));
}

#[test]
fn exports_that_do_not_fit() {
    let link = Link::start(1, 1);
    let folder = tempfile::tempdir().unwrap();
    let with = |text: &str| {
        let file = folder.path().join("audit.json");
        std::fs::write(&file, text).unwrap();
        let mut command = command();
        let file = file.to_str().unwrap().to_owned();
        run(admin(&link.world.control_planes[0], &mut command, &["restore", "--audit", &file]), b"", LIMIT)
    };
    ends(&with("{}"), 2, "is not what `cargoman audit-trail list --json` prints");
    let foreign = r#"[{"id":1,"actor":"root","action":"customer.delete","subject":"cust_1","detail":{},"at":"2020-01-01T00:00:00Z","seq":1,"hash":null}]"#;
    ends(&with(foreign), 2, "no entry in common");
}
