//! `/tenants`, `/vendors`, `/tasks`, `/me`, health; and how a call names its tenant.

use serde_json::{Value, json};

use crate::fixture::{EDGE, Registry};

#[tokio::test(flavor = "multi_thread")]
async fn tenants() {
    let registry = Registry::new().await;
    let made = registry.post("/tenants", json!({"slug": "acme", "name": "Acme"})).await.status(201);
    let id = made.text("id");
    assert!(id.starts_with("ten_") && made.data()["is_default"] == false);
    registry.post("/tenants", json!({"slug": "acme"})).await.error(409, "CONFLICT", &[]);
    for (body, field) in [
        (json!({}), "slug"),
        (json!({"slug": "A b"}), "slug"),
        (json!({"slug": null}), "slug"),
        (json!({"slug": "b", "is_default": true}), "is_default"),
        (json!({"slug": "b", "name": ""}), "name"),
    ] {
        registry.post("/tenants", body).await.error(422, "VALIDATION_ERROR", &[field]);
    }
    let path = format!("/tenants/{id}");
    assert_eq!(registry.patch(&path, json!({"name": "Acme & Co"})).await.status(200).text("name"), "Acme & Co");
    registry.patch(&path, json!({"name": null})).await.error(422, "VALIDATION_ERROR", &["name"]);
    registry.patch(&path, json!({"slug": "x"})).await.error(422, "VALIDATION_ERROR", &["slug"]);
    let suspended = registry.post(&format!("{path}/suspend"), json!({"reason": "unpaid"})).await.status(200);
    assert_eq!((suspended.text("status"), suspended.text("status_reason")), ("suspended".into(), "unpaid".into()));
    assert_eq!(registry.post(&format!("{path}/reactivate"), json!({})).await.text("status"), "active");
    assert_eq!(registry.get(&path).await.data()["status_reason"], Value::Null);
    assert_eq!(registry.get("/tenants").await.status(200).body["pagination"]["total"], 2);
    let nobody = "0".repeat(32);
    let dashed = uuid::Uuid::try_parse(id.strip_prefix("ten_").unwrap()).unwrap().hyphenated().to_string();
    for bad in ["x".to_owned(), id.replace("ten_", "cust_"), format!("ten_{nobody}"), format!("ten_{dashed}")] {
        registry.get(&format!("/tenants/{bad}")).await.error(404, "NOT_FOUND", &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_call_names_its_tenant() {
    let registry = Registry::new().await;
    registry.customer("of the only tenant").await;
    let second = registry.post("/tenants", json!({"slug": "second"})).await.status(201).text("id");
    registry.get("/customers").await.error(400, "VALIDATION_ERROR", &[]);
    registry.get("/tenants").await.status(200);
    registry.call("GET", "/customers").tenant("nobody").send().await.error(404, "NOT_FOUND", &[]);
    let total = async |call: crate::fixture::Call| call.send().await.status(200).body["pagination"]["total"].clone();
    assert_eq!(total(registry.call("GET", "/customers").tenant("default")).await, 1);
    assert_eq!(total(registry.call("GET", "/customers").tenant("second")).await, 0);

    // Through an edge: its word counts above the header, and only beside its credential.
    let id = second.strip_prefix("ten_").unwrap();
    let through = |credential: &str, tenant: &str| {
        let call = registry.call("GET", "/customers").tenant("default");
        call.header("x-cargoman-edge", credential).header("x-cargoman-edge-tenant", tenant)
    };
    assert_eq!(total(through(EDGE, id)).await, 0);
    through("cme_wrong", id).send().await.error(401, "UNAUTHORIZED", &[]);
    through(EDGE, "second").send().await.error(401, "UNAUTHORIZED", &[]);
    // The edge's credential opens nothing by itself.
    let bare = registry.bare("GET", "/api/v1/customers").header("x-cargoman-edge", EDGE);
    bare.header("x-cargoman-edge-tenant", id).send().await.error(401, "UNAUTHORIZED", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn vendors() {
    let registry = Registry::new().await;
    let put = async |body: Value| registry.put("/vendors/acme", body).await;
    let whole = put(json!({"exclusive": false, "public_names": ["acme/b", "acme/a", "acme/b"]})).await.status(200);
    assert_eq!(whole.data(), &json!({"name": "acme", "exclusive": false, "public_names": ["acme/a", "acme/b"]}));
    assert_eq!(put(json!({"exclusive": true})).await.data()["public_names"], json!(["acme/a", "acme/b"]));
    assert_eq!(
        put(json!({"public_names": []})).await.data(),
        &json!({"name": "acme", "exclusive": true, "public_names": []})
    );
    put(json!({"exclusive": "yes", "public_names": ["other/a", 1], "x": 1})).await.error(
        422,
        "VALIDATION_ERROR",
        &["exclusive", "public_names[0]", "public_names[1]", "x"],
    );
    registry.put("/vendors/Not%20One", json!({})).await.error(422, "VALIDATION_ERROR", &["vendor"]);
    assert_eq!(registry.get("/vendors").await.body["pagination"]["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_me_and_health() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    assert_eq!(registry.get("/tasks?state=queued").await.status(200).body["pagination"]["total"], 1);
    assert_eq!(registry.get("/tasks?state=failed").await.status(200).body["pagination"]["total"], 0);
    registry.get("/tasks?state=odd").await.error(422, "VALIDATION_ERROR", &["state"]);
    registry.get("/tasks/task_x").await.error(404, "NOT_FOUND", &[]);
    assert_eq!(registry.get("/me").await.status(200).data(), &json!({"kind": "root", "level": "owner"}));
    registry.bare("GET", "/api/v1/me").send().await.error(401, "UNAUTHORIZED", &[]);
    for path in ["/healthz", "/readyz"] {
        registry.bare("GET", path).send().await.status(200);
    }
    registry.state.database.close().await;
    registry.bare("GET", "/healthz").send().await.status(200);
    let away = registry.bare("GET", "/readyz").send().await.error(503, "UNAVAILABLE", &[]);
    assert_eq!(away.header("retry-after"), "2");
    registry.get("/customers").await.error(503, "UNAVAILABLE", &[]);
}
