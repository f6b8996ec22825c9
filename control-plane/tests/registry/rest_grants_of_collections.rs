//! Grants on collections, and who has a package through one.

use serde_json::{Value, json};

use crate::fixture::{Answer, Registry};

#[tokio::test(flavor = "multi_thread")]
async fn given_and_taken() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.collection("suite", &["acme/*"]).await;
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/packages");
    let body = json!({"collection": "suite", "constraint": "^1"});
    let grant = registry.post(&path, body.clone()).await.status(201);
    assert_eq!((grant.text("collection"), &grant.data()["package"]), ("suite".into(), &Value::Null));
    assert_eq!((grant.text("constraint"), grant.text("status")), ("^1".into(), "active".into()));
    assert_eq!(registry.post(&path, body).await.status(200).text("id"), grant.text("id"));
    let one = format!("/customers/{customer}/grants/{}", grant.text("id"));
    registry.patch(&one, json!({"constraint": "^2"})).await.status(200);
    assert_eq!(registry.get(&path).await.data()[0]["collection"], "suite");

    registry.post(&path, json!({"collection": "suite"})).await.status(201);
    registry.post(&path, json!({"package": "acme/pay"})).await.status(201);
    let taken = registry.delete(&format!("/customers/{customer}/collections/suite")).await.status(200);
    assert_eq!((&taken.data()["collection"], &taken.data()["removed"]), (&json!("suite"), &json!(2)));
    assert_eq!(taken.data()["deletions"].as_array().unwrap().len(), 2);
    assert_eq!(registry.get(&path).await.body["pagination"]["total"], 1);
    for gone in ["suite", "none"] {
        registry.delete(&format!("/customers/{customer}/collections/{gone}")).await.error(404, "NOT_FOUND", &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.collection("suite", &["acme/*"]).await;
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/packages");
    for (body, field) in [
        (json!({}), "package"),
        (json!({"package": null, "collection": null}), "package"),
        (json!({"collection": "none"}), "collection"),
        (json!({"collection": "No Slug"}), "collection"),
        (json!({"collection": 1}), "collection"),
        (json!({"package": "acme/pay", "collection": "suite"}), "collection"),
        (json!({"collection": "suite", "minimum_stability": "stabel"}), "minimum_stability"),
        (json!({"collection": "suite", "updates_until": "2026-01-01T00:00:00"}), "updates_until"),
        (json!({"collection": "suite", "updates_until": "2026-01-01"}), "updates_until"),
        (json!({"collection": "suite", "constraint": ">=1 <"}), "constraint"),
        (json!({"collection": "suite", "external_id": ""}), "external_id"),
    ] {
        registry.post(&path, body.clone()).await.error(422, "VALIDATION_ERROR", &[field]);
        let field = format!("packages[1].{field}");
        let body = json!({"packages": [{"package": "acme/pay"}, body]});
        registry.put(&path, body).await.error(422, "VALIDATION_ERROR", &[&field]);
    }
    assert_eq!(registry.count("access_grant"), 0);
    assert_eq!(registry.count("audit where action like 'grant.%'"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_may_stay_visible() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.package("acme/cart").await;
    for (slug, packages) in [
        ("pattern", "acme/*"),
        ("named", "acme/pay"),
        ("not-his", "acme/pay"),
        ("other", "acme/cart"),
        ("off", "acme/*"),
    ] {
        registry.collection(slug, &[packages]).await;
    }
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/packages");
    for body in [
        json!({"package": "acme/pay"}),
        json!({"collection": "pattern"}),
        json!({"collection": "pattern", "constraint": "^1"}),
        json!({"collection": "named"}),
        json!({"collection": "other"}),
    ] {
        registry.post(&path, body).await.status(201);
    }
    let off = registry.post(&path, json!({"collection": "off"})).await.status(201).text("id");
    registry.post(&format!("/customers/{customer}/grants/{off}/suspend"), json!({})).await.status(200);
    let taken = registry.delete(&format!("{path}/acme/pay")).await.status(200);
    let through = json!(["named", "pattern"]);
    assert_eq!((&taken.data()["removed"], &taken.data()["still_visible_through"]), (&json!(1), &json!(through)));
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_of_a_package_come_through_collections_too() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.package("acme/cart").await;
    registry.collection("pattern", &["acme/p*"]).await;
    registry.collection("named", &["acme/cart"]).await;
    for (name, grants) in [
        ("b", json!([{"package": "acme/pay"}, {"collection": "pattern"}])),
        ("a", json!([{"collection": "pattern"}, {"collection": "named"}])),
        ("c", json!([{"collection": "named"}])),
        ("d", json!([])),
    ] {
        let customer = registry.customer(name).await;
        let body = json!({"packages": grants});
        registry.put(&format!("/customers/{customer}/packages"), body).await.status(200);
    }
    let rows = |answer: &Answer| -> Vec<(String, Value, Value)> {
        let rows = answer.data().as_array().unwrap().iter();
        let row = |row: &Value| {
            let name = row["customer"]["name"].as_str().unwrap().to_owned();
            (name, row["grant"]["package"].clone(), row["grant"]["collection"].clone())
        };
        rows.map(row).collect()
    };
    let pay = registry.get("/packages/acme/pay/customers").await.status(200);
    let (through, direct) = (|| json!("pattern"), || json!("acme/pay"));
    let wanted = [
        ("a".into(), Value::Null, through()),
        ("b".into(), direct(), Value::Null),
        ("b".into(), Value::Null, through()),
    ];
    assert_eq!(rows(&pay), wanted);
    let cart = registry.get("/packages/acme/cart/customers").await.status(200);
    assert_eq!(rows(&cart).iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ["a", "c"]);
}
