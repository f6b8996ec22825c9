//! One subscription of a shop is one grant: external ids, suspended one by one.

use serde_json::{Value, json};

use crate::fixture::Registry;

#[tokio::test(flavor = "multi_thread")]
async fn put_gives_then_changes() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.collection("suite", &["acme/*"]).await;
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/grants/by-external/sub%2F1");
    registry.put(&path, json!({"constraint": "^1"})).await.error(422, "VALIDATION_ERROR", &["package"]);
    registry.put(&path, json!({"package": "acme/no"})).await.error(422, "VALIDATION_ERROR", &["package"]);
    let body = json!({"package": "acme/pay", "constraint": "^1", "updates_until": "2026-01-01T00:00:00Z"});
    let given = registry.put(&path, body.clone()).await.status(201);
    assert_eq!((given.text("external_id"), given.text("package")), ("sub/1".into(), "acme/pay".into()));
    let audited = registry.count("audit");
    assert_eq!(registry.put(&path, body).await.status(200).data(), given.data());
    assert_eq!(registry.put(&path, json!({})).await.status(200).data(), given.data());
    assert_eq!(registry.count("audit"), audited, "what changes nothing is not noted");

    let moved = registry.put(&path, json!({"updates_until": "2027-01-01T00:00:00Z"})).await.status(200);
    assert_eq!((moved.text("id"), moved.text("constraint")), (given.text("id"), "^1".into()));
    let other = registry.put(&path, json!({"collection": "suite", "external_id": "sub/1"})).await.status(200);
    assert_eq!((other.text("id"), other.text("collection")), (given.text("id"), "suite".into()));
    assert_eq!(other.data()["package"], Value::Null);
    for wrong in [json!("2"), Value::Null] {
        registry.put(&path, json!({"external_id": wrong})).await.error(422, "VALIDATION_ERROR", &["external_id"]);
    }
    let blank = format!("/customers/{customer}/grants/by-external/%20");
    registry.put(&blank, json!({"package": "acme/pay"})).await.error(422, "VALIDATION_ERROR", &["external_id"]);
    let nobody = format!("/customers/cust_{}/grants/by-external/1", "0".repeat(32));
    registry.put(&nobody, json!({"package": "acme/pay"})).await.error(404, "NOT_FOUND", &[]);
    assert_eq!(registry.count("access_grant"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_shops_put_the_same_subscription_at_once() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let customer = registry.customer("a").await;
    registry.warm().await;
    for round in 0..5 {
        let path = format!("/customers/{customer}/grants/by-external/race-{round}");
        let puts = (0..6).map(|_| registry.call("PUT", &path).json(&json!({"package": "acme/pay"})).send());
        let mut statuses: Vec<u16> =
            futures::future::join_all(puts).await.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 201], "round {round}");
    }
    assert_eq!(registry.count("access_grant"), 5);
}

/// An external id tells the grants of one customer apart, not those of all.
#[tokio::test(flavor = "multi_thread")]
async fn external_ids_are_of_one_customer() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let (a, b) = (registry.customer("a").await, registry.customer("b").await);
    let body = |constraint: &str, external_id: Value| json!({"package": "acme/pay", "constraint": constraint, "external_id": external_id});
    for customer in [&a, &b] {
        registry.post(&format!("/customers/{customer}/packages"), body("^1", json!("s1"))).await.status(201);
    }
    let path = format!("/customers/{a}/packages");
    let there = registry.get(&path).await.data()[0]["id"].clone();
    // The same grant, named or not; another subscription to the same thing is another grant.
    assert_eq!(registry.post(&path, body("^1", json!("s1"))).await.status(200).data()["id"], there);
    assert_eq!(registry.post(&path, body("^1", Value::Null)).await.status(200).data()["id"], there);
    let second = registry.post(&path, body("^1", json!("s2"))).await.status(201).text("id");
    registry.post(&path, body("^2", json!("s1"))).await.error(409, "CONFLICT", &[]);
    let grant = format!("/customers/{a}/grants/{second}");
    registry.patch(&grant, json!({"external_id": "s1"})).await.error(409, "CONFLICT", &[]);
    assert_eq!(
        registry.patch(&grant, json!({"external_id": null})).await.status(200).data()["external_id"],
        Value::Null
    );
    assert_eq!(registry.count("access_grant"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_one_by_one() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.package("acme/cart").await;
    let customer = registry.customer("a").await;
    let packages = format!("/customers/{customer}/packages");
    let body = json!({"package": "acme/pay", "updates_until": "2026-01-01T00:00:00Z"});
    let grant = registry.post(&packages, body.clone()).await.status(201).text("id");
    let other = registry.post(&packages, json!({"package": "acme/cart"})).await.status(201).text("id");
    let path = format!("/customers/{customer}/grants/{grant}");
    let first = registry.post(&format!("{path}/suspend"), json!({"reason": "card declined"})).await.status(200);
    assert_eq!((first.text("status"), first.text("status_reason")), ("suspended".into(), "card declined".into()));
    let again = registry.post(&format!("{path}/suspend"), json!({})).await.status(200);
    assert_eq!(again.text("suspended_at"), first.text("suspended_at"), "it lapsed then");
    assert_eq!(again.data()["status_reason"], Value::Null);
    let untouched = registry.get(&format!("/customers/{customer}/grants/{other}")).await;
    assert_eq!(untouched.text("status"), "active");
    // Given or put again it is the same grant, and stays suspended.
    assert_eq!(registry.post(&packages, body.clone()).await.status(200).text("status"), "suspended");
    let all = registry.put(&packages, json!({"packages": [body]})).await.status(200);
    assert_eq!((&all.data()[0]["id"], &all.data()[0]["status"]), (&json!(grant), &json!("suspended")));
    registry.patch(&path, json!({"constraint": "^1"})).await.status(200);

    let back = registry.post(&format!("{path}/reactivate"), json!({})).await.status(200);
    assert_eq!((back.text("status"), &back.data()["suspended_at"]), ("active".into(), &Value::Null));
    assert_eq!((back.text("constraint"), back.text("updates_until")), ("^1".into(), "2026-01-01T00:00:00Z".into()));
    let body = json!({"updates_until": "2027-01-01T00:00:00Z"});
    let renewed = registry.post(&format!("{path}/reactivate"), body).await.status(200);
    assert_eq!(renewed.text("updates_until"), "2027-01-01T00:00:00Z");
    registry.post(&format!("{path}/suspend"), json!({"until": 1})).await.error(422, "VALIDATION_ERROR", &["until"]);
    let none = format!("/customers/{customer}/grants/grant_{}/suspend", "0".repeat(32));
    registry.post(&none, json!({})).await.error(404, "NOT_FOUND", &[]);
}
