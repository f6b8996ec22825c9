//! `Idempotency-Key`: a POST may be repeated, and nothing is done twice.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fixture::{Call, Registry};

fn keyed(registry: &Registry, key: &str, path: &str, body: &Value) -> Call {
    registry.call("POST", path).header("idempotency-key", key).json(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_post_gets_the_first_answer_without_the_secret() {
    let registry = Registry::new().await;
    // What an operator keeps beside a customer is no secret of ours.
    let body = json!({"name": "a", "metadata": {"token": "his own", "password": "x"}});
    let first = keyed(&registry, "k1", "/customers", &body).send().await.status(201);
    let again = keyed(&registry, "k1", "/customers", &body).send().await.status(201);
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    assert_eq!(again.header("cache-control"), "no-store");
    let mut wanted = first.data().clone();
    for secret in ["token", "plain_token"] {
        assert!(wanted.as_object_mut().unwrap().shift_remove(secret).is_some());
    }
    assert_eq!(again.data(), &wanted);
    assert_eq!((registry.count("customer"), registry.count("audit where action = 'customer.create'")), (1, 1));
    let plain = first.text("token");
    assert_eq!(registry.count(&format!("idempotency i where i::text like '%{plain}%'")), 0, "the secret is not kept");

    let other = json!({"name": "b"});
    keyed(&registry, "k1", "/customers", &other).send().await.error(422, "VALIDATION_ERROR", &["Idempotency-Key"]);
    // Another path and another query are other requests too.
    keyed(&registry, "k1", "/customers?confirm=false", &body).send().await.error(
        422,
        "VALIDATION_ERROR",
        &["Idempotency-Key"],
    );
    let refused = registry.bare("POST", "/api/v1/customers").header("idempotency-key", "k1").json(&body).send().await;
    refused.error(401, "UNAUTHORIZED", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_token_is_not_shown_again() {
    let registry = Registry::new().await;
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/tokens");
    let first = keyed(&registry, "k", &path, &json!({"name": "ci"})).send().await.status(201);
    let again = keyed(&registry, "k", &path, &json!({"name": "ci"})).send().await.status(201);
    assert!(!String::from_utf8_lossy(&again.bytes).contains(&first.text("plain_token")));
    assert_eq!(again.data()["token"], first.data()["token"]);
    assert_eq!(again.data()["composer_auth"]["username"], "token");
    assert_eq!(registry.count("token"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_may_be_tried_again() {
    let registry = Registry::new().await;
    keyed(&registry, "k", "/customers", &json!({})).send().await.status(422);
    keyed(&registry, "k", "/customers", &json!({"name": "a"})).send().await.status(201);
    assert_eq!(registry.count("idempotency"), 1);
    let long = "k".repeat(256);
    for bad in ["", long.as_str()] {
        keyed(&registry, bad, "/customers", &json!({"name": "a"})).send().await.error(
            422,
            "VALIDATION_ERROR",
            &["Idempotency-Key"],
        );
    }
    let large = registry.call("POST", "/customers").header("idempotency-key", "l").body(vec![b' '; (1 << 20) + 1]);
    large.send().await.error(413, "PAYLOAD_TOO_LARGE", &[]);
}

/// More of them at once than the pool has connections: a request must not wait for a connection that another one keeps.
#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_do_the_work_once_each() {
    let registry = Registry::with(|config| config.database.connections = 2).await;
    let calls = (0..24).map(|n| {
        let body = json!({"name": format!("c{}", n % 8)});
        keyed(&registry, &format!("k{}", n % 8), "/customers", &body).send()
    });
    let answers = futures::future::join_all(calls).await;
    let done = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(done, 24, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    assert_eq!(answers.iter().filter(|answer| answer.header("idempotent-replayed") == "true").count(), 16);
    assert_eq!(registry.count("customer"), 8);
}

/// The client hangs up while the work is under way; his next try finds the answer and nothing is done twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_finds_the_answer() {
    let registry = Registry::new().await;
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/suspend");
    // The row is locked, so that the request is surely still at work when its client goes.
    let mut blocker = registry.begin().await;
    let id = customer.parse().unwrap();
    cargoman_control_plane::store::customers::lock(&mut blocker, id).await.unwrap();
    let call = keyed(&registry, "k", &path, &json!({"reason": "x"}));
    assert!(
        tokio::time::timeout(Duration::from_millis(300), call.clone().send()).await.is_err(),
        "it waits for the lock"
    );
    drop(blocker);
    let again = call.send().await.status(200);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(registry.count("audit where action = 'customer.status'"), 1);
}

/// The process died at work: its claim lapses, and the same request may take it over, another one may not.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_holders_claim_lapses() {
    let registry = Registry::new().await;
    let body = json!({"name": "a"});
    keyed(&registry, "k", "/customers", &body).send().await.status(201);
    registry.sql("update idempotency set status = null, response = null, held_until = now() - interval '1 second'");
    keyed(&registry, "k", "/customers", &json!({"name": "b"})).send().await.error(
        422,
        "VALIDATION_ERROR",
        &["Idempotency-Key"],
    );
    let taken = keyed(&registry, "k", "/customers", &body).send().await.status(201);
    assert_eq!(taken.header("idempotent-replayed"), "");
    // A day later the key is free.
    registry.sql("update idempotency set at = now() - interval '25 hours'");
    let fresh = keyed(&registry, "k", "/customers", &json!({"name": "c"})).send().await.status(201);
    assert_eq!(fresh.header("idempotent-replayed"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn roots_own_resources_need_no_tenant() {
    let registry = Registry::new().await;
    registry.post("/tenants", json!({"slug": "second"})).await.status(201);
    let body = json!({"slug": "third"});
    let first = keyed(&registry, "k", "/tenants", &body).send().await.status(201);
    let again = keyed(&registry, "k", "/tenants", &body).send().await.status(201);
    assert_eq!(first.text("id"), again.text("id"));
    keyed(&registry, "k", "/customers", &json!({"name": "a"})).send().await.error(400, "VALIDATION_ERROR", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_do_not_share_keys() {
    let registry = Registry::new().await;
    registry.post("/tenants", json!({"slug": "second"})).await.status(201);
    for tenant in ["default", "second"] {
        let made =
            keyed(&registry, "k", "/customers", &json!({"name": tenant})).tenant(tenant).send().await.status(201);
        assert_eq!(made.header("idempotent-replayed"), "");
    }
}
