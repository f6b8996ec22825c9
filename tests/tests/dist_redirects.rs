//! Dists by presigned redirect, where a tenant chooses so: the edge decides who may have one and counts it, the storage gives it. Composer's
//! token stays with the registry.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::time::Duration;

use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::raw_http;
use cargoman_testkit::s3::Call;
use cargoman_tests::reader::sha1;
use cargoman_tests::stored::StoredWorld;
use serde_json::{Value, json};

const NAME: &str = "acme/parcel";
const PATIENCE: Duration = Duration::from_secs(60);

fn gets(calls: Vec<Call>) -> Vec<Call> {
    calls.into_iter().filter(|call| call.method == "GET" && call.path.contains("/dists/")).collect()
}

#[test]
fn composer_is_sent_to_the_storage_without_its_token() {
    let stored = StoredWorld::bucket();
    let (world, server) = (&stored.world, stored.server.as_ref().unwrap());
    world.small_package(NAME);
    let operator = world.operator();
    let customer = operator.customer_of(&[NAME]);
    assert_eq!(operator.ask("PATCH", "/settings", &json!({"dist_redirects": true}))["dist_redirects"], true);
    server.calls();

    let composer = world.composer(&customer.token, &json!({NAME: "^1.0"}));
    let output = composer.run(&["install", "-vvv"]);
    output.expect_success();
    assert_eq!(composer.installed(), [format!("{NAME} v1.0.0")]);
    let calls = gets(server.calls());
    assert_eq!(calls.len(), 1, "one download, and nobody else fetched it: {calls:#?}");
    assert!(calls[0].query.contains("X-Amz-Signature=") && calls[0].query.contains("X-Amz-Expires=60"), "{calls:#?}");
    assert_eq!(calls[0].authorization, None, "the token went to another host");

    // Counted as one that was given from here.
    poll_until("it is counted", PATIENCE, || {
        let counted = stored.sql("select count(*), sum(w.bytes) = max(d.size) from download w, dist d");
        (counted.trim() == "1|t").then_some(())
    });

    let reader = world.reader(&customer);
    let shown = reader.shown(NAME).into_iter().find(|one| one.pretty() == "v1.0.0").unwrap();
    let (path, shasum) = (shown.dist_path(), shown.text("/dist/shasum"));
    let sent = reader.get(&path);
    assert_eq!((sent.status, sent.body.len()), (302, 0));
    assert_eq!(sent.header("cache-control"), Some("private, no-store"));
    let address = sent.header("location").unwrap().to_owned();
    assert!(address.starts_with(&server.endpoint()), "{address}");
    assert_eq!(sha1(&raw_http::request("GET", &address, &[], b"").body), shasum);
    // What is no whole download is given from here: nothing is fetched for it elsewhere, and it counts as before.
    assert_eq!(reader.ask("HEAD", &path, &[]).status, 200);
    assert_eq!(reader.ask("GET", &path, &[("Range", "bytes=0-9")]).status, 206);

    // Nobody is sent anywhere who may not have it.
    let stranger = operator.customer("Stranger");
    for reader in [world.reader(&stranger), cargoman_tests::Reader::anonymous(world.registry.edge_url())] {
        let refused = reader.get(&path);
        assert!(matches!(refused.status, 401 | 403 | 404) && refused.header("location").is_none(), "{refused:?}");
    }

    // What was given away cannot be taken back: the revocation says until when.
    let token = operator.first_token(&customer);
    let (status, answer) = operator.call("DELETE", &format!("/customers/{}/tokens/{token}", customer.id), None);
    let about = &answer["propagation"];
    assert_eq!((status, &about["effective"], &about["pending"]), (202, &json!(false), &json!([])), "{answer:#}");
    let until: chrono::DateTime<chrono::Utc> = about["presigned_until"].as_str().unwrap().parse().unwrap();
    let left = (until - chrono::Utc::now()).num_seconds();
    assert!((40..=61).contains(&left), "{left} s");
    let again = operator.get(&format!("/propagation/{}", about["seq"]));
    assert_eq!(
        (&again["effective"], &again["presigned_until"]),
        (&json!(false), &about["presigned_until"]),
        "{again:#}"
    );
    assert_eq!(reader.get(&path).status, 401, "nobody is sent there any more");

    let (status, answer) = operator.call("PATCH", "/settings", Some(&json!({"dist_redirects": false})));
    assert_eq!(
        (status, &answer["propagation"]["effective"]),
        (202, &json!(false)),
        "addresses outlive the choice: {answer:#}"
    );
    let other = operator.customer_of(&[NAME]);
    let given = world.reader(&other).get(&path);
    assert_eq!((given.status, sha1(&given.body)), (200, shasum));
}

#[test]
fn a_folder_cannot_be_redirected_to() {
    let stored = StoredWorld::folder();
    let operator = stored.world.operator();
    let (status, answer) = operator.call("PATCH", "/settings", Some(&json!({"dist_redirects": true})));
    assert_eq!(status, 422, "{answer:#}");
    assert!(answer.to_string().contains("storage.kind"), "{answer:#}");
    for (given, expected) in [(json!(false), false), (Value::Null, false)] {
        assert_eq!(operator.ask("PATCH", "/settings", &json!({"dist_redirects": given}))["dist_redirects"], expected);
    }
    // The choice of a time when dists lay in a bucket.
    stored.world.small_package(NAME);
    let customer = operator.customer_of(&[NAME]);
    stored.sql("update tenant set settings = (settings::jsonb || '{\"dist_redirects\": true}')::json, revision = nextval('revision')");
    let reader = stored.world.reader(&customer);
    assert_eq!(reader.get(&reader.shown(NAME)[0].dist_path()).status, 200);
}
