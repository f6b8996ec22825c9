//! `/customers`, and the habits of every resource: the envelope, pages, refusals.

use serde_json::{Value, json};

use crate::fixture::{ADMIN, Registry};

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_from_birth_to_death() {
    let registry = Registry::new().await;
    let body = json!({"name": " Shop & Söhne ", "email": "a@b.example", "external_id": "42", "minimum_stability": "rc"
        , "expires_at": "2099-01-31T01:00:00+01:00", "metadata": {"plan": ["pro", 1]}});
    let made = registry.post("/customers", body).await.status(201);
    let id = made.text("id");
    assert!(id.starts_with("cust_"), "{id}");
    assert_eq!(made.text("name"), "Shop & Söhne");
    assert_eq!(made.text("minimum_stability"), "RC");
    assert_eq!(made.text("expires_at"), "2099-01-31T00:00:00Z");
    assert_eq!(made.data()["metadata"], json!({"plan": ["pro", 1]}));
    assert!(made.text("token").starts_with("tok_") && made.text("token") == made.text("plain_token"));
    assert_eq!(made.header("cache-control"), "no-store");
    assert_eq!(made.header("x-request-id").len(), 32);

    let shown = registry.get(&format!("/customers/{id}")).await.status(200);
    assert_eq!(shown.data().get("token"), None, "a secret is shown once");
    assert_eq!(registry.get("/customers/by-external/42").await.status(200).text("id"), id);

    let patched = registry.patch(&format!("/customers/{id}"), json!({"email": null, "name": "Shop"})).await.status(200);
    assert_eq!(patched.data()["email"], Value::Null);
    assert_eq!((patched.text("name"), patched.text("external_id")), ("Shop".to_owned(), "42".to_owned()));
    registry.patch(&format!("/customers/{id}"), json!({"name": null})).await.error(422, "VALIDATION_ERROR", &["name"]);

    registry.delete(&format!("/customers/{id}")).await.status(200);
    registry.get(&format!("/customers/{id}")).await.error(404, "NOT_FOUND", &[]);
    registry.delete(&format!("/customers/{id}")).await.error(404, "NOT_FOUND", &[]);
    assert_eq!(registry.count("token"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_wrong_is_said_at_once() {
    let registry = Registry::new().await;
    let body = json!({"name": "\u{1b}[31m", "email": "nobody", "external_id": "", "expires_at": "tomorrow", "minimum_stability": "solid"
        , "metadata": "x".repeat(20_000), "tenant_id": "x", "id": "cust_1"});
    let wanted = ["name", "metadata", "email", "external_id", "expires_at", "minimum_stability", "tenant_id", "id"];
    registry.post("/customers", body).await.error(422, "VALIDATION_ERROR", &wanted);
    registry.post("/customers", json!({})).await.error(422, "VALIDATION_ERROR", &["name"]);
    registry.post("/customers", json!({"name": 7})).await.error(422, "VALIDATION_ERROR", &["name"]);
    assert_eq!(registry.count("customer"), 0);

    // A body of nonsense gives a bounded answer.
    let nonsense: serde_json::Map<String, Value> = (0..50_000).map(|n| (format!("f{n}"), json!(1))).collect();
    let refused = registry.post("/customers", Value::Object(nonsense)).await.status(422);
    assert!(refused.fields().len() <= 101, "{}", refused.fields().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_good_request() {
    let registry = Registry::new().await;
    let post = || registry.call("POST", "/customers");
    for body in
        ["{", "[]", "\"x\"", "null", "{\"name\": \"\\ud800\"}", &format!("{}1{}", "[".repeat(500), "]".repeat(500))]
    {
        post().body(body).send().await.error(400, "VALIDATION_ERROR", &[]);
    }
    post().body(vec![b' '; (1 << 20) + 1]).send().await.error(413, "PAYLOAD_TOO_LARGE", &[]);
    for authorization in [None, Some("Bearer wrong"), Some("Basic dTpw"), Some("Bearer"), Some("")] {
        let call = registry.bare("GET", "/api/v1/customers");
        let call = authorization.into_iter().fold(call, |call, value| call.header("authorization", value));
        let refused = call.send().await.error(401, "UNAUTHORIZED", &[]);
        assert!(refused.header("www-authenticate").starts_with("Bearer"));
    }
    // Two of them: someone in between may have looked at the other.
    let twice = registry.call("GET", "/customers").header("authorization", &format!("Bearer {ADMIN}"));
    twice.send().await.error(401, "UNAUTHORIZED", &[]);
    registry.get("/nothing").await.error(404, "NOT_FOUND", &[]);
    registry.put("/customers", json!({})).await.status(405);
    registry.get("/customers/%ff").await.error(400, "VALIDATION_ERROR", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_pages() {
    let registry = Registry::new().await;
    for n in 1..=5 {
        registry.customer(&format!("c{n}")).await;
    }
    let names = |answer: &crate::fixture::Answer| -> Vec<String> {
        let rows = answer.data().as_array().unwrap();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    let page = registry.get("/customers?page=2&per_page=2&q=C").await.status(200);
    assert_eq!(names(&page), ["c3", "c4"]);
    assert_eq!(page.body["pagination"], json!({"page": 2, "per_page": 2, "total": 5, "total_pages": 3}));
    let link = |page: u8, relation: &str| format!("</api/v1/customers?q=C&page={page}&per_page=2>; rel=\"{relation}\"");
    assert_eq!(page.header("link"), [link(1, "first"), link(1, "prev"), link(3, "next"), link(3, "last")].join(", "));
    let beyond = registry.get("/customers?page=9&per_page=2").await.status(200);
    assert_eq!(names(&beyond), Vec::<String>::new());
    let empty = registry.get("/customers?q=nobody").await.status(200);
    assert_eq!(empty.body["pagination"]["total_pages"], 0);
    for bad in ["page=0", "page=-1", "per_page=0", "per_page=201", "page=1e3", "page=99999999999999999999", "per_page="]
    {
        let name = bad.split('=').next().unwrap();
        registry.get(&format!("/customers?{bad}")).await.error(422, "VALIDATION_ERROR", &[name]);
    }
    registry.get("/customers?page=x&per_page=y").await.error(422, "VALIDATION_ERROR", &["page", "per_page"]);
    // Signs that mean something to LIKE mean nothing here.
    assert_eq!(registry.get("/customers?q=%25").await.body["pagination"]["total"], 0);
    assert_eq!(registry.get("/customers?q=_").await.body["pagination"]["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn status() {
    let registry = Registry::new().await;
    let id = registry.customer("a").await;
    let post = async |action: &str, body: Value| registry.post(&format!("/customers/{id}/{action}"), body).await;
    let first = post("suspend", json!({"reason": "no payment"})).await.status(200);
    assert_eq!((first.text("status"), first.text("status_reason")), ("suspended".into(), "no payment".into()));
    let again = post("suspend", json!({"reason": "fraud"})).await.status(200);
    assert_eq!(again.text("suspended_at"), first.text("suspended_at"), "he lapsed then");
    assert_eq!(again.text("status_reason"), "fraud");
    let active = post("reactivate", json!({})).await.status(200);
    assert_eq!(active.text("status"), "active");
    assert_eq!((&active.data()["status_reason"], &active.data()["suspended_at"]), (&Value::Null, &Value::Null));
    let expired = post("expire", json!({})).await.status(200);
    assert_eq!(expired.text("status"), "expired");
    assert_eq!(post("expire", json!({})).await.text("expires_at"), expired.text("expires_at"));
    post("expire", json!({"at": 1})).await.error(422, "VALIDATION_ERROR", &["at"]);
    post("suspend", json!({"reason": "a\u{202e}b"})).await.error(422, "VALIDATION_ERROR", &["reason"]);
    assert_eq!(post("reactivate", json!({})).await.status(200).text("status"), "active");
    assert_eq!(post("reactivate", json!({})).await.status(200).text("status"), "active", "nothing is left to lift");

    // An end that has passed counts by itself, and reactivating takes it away.
    post("reactivate", json!({"expires_at": "2099-01-01T00:00:00Z"})).await.status(200);
    registry.patch(&format!("/customers/{id}"), json!({"expires_at": "2020-01-01T00:00:00Z"})).await.status(200);
    assert_eq!(registry.get(&format!("/customers/{id}")).await.text("status"), "expired");
    let back = post("reactivate", json!({})).await.status(200);
    assert_eq!((back.text("status"), &back.data()["expires_at"]), ("active".into(), &Value::Null));
    registry.get("/customers?status=odd").await.error(422, "VALIDATION_ERROR", &["status"]);
    let over = json!({"expires_at": "2020-01-01T00:00:00Z", "updates_until": null});
    post("reactivate", over).await.error(422, "VALIDATION_ERROR", &["expires_at", "updates_until"]);
}

/// Each state lies beside the others; what is in force is the topmost, and reactivating lifts that one alone.
#[tokio::test(flavor = "multi_thread")]
async fn states_lie_on_top_of_each_other() {
    let registry = Registry::new().await;
    let id = registry.customer("a").await;
    let path = format!("/customers/{id}");
    for action in ["freeze", "expire", "suspend"] {
        registry.post(&format!("{path}/{action}"), json!({})).await.status(200);
    }
    for wanted in ["suspended", "expired", "frozen", "active"] {
        let shown = registry.get(&path).await.status(200);
        assert_eq!(shown.text("status"), wanted);
        assert_eq!(shown.data()["suspended_at"].is_string(), wanted == "suspended");
        assert_eq!(shown.data()["expires_at"].is_string(), ["suspended", "expired"].contains(&wanted));
        assert_eq!(shown.data()["frozen_at"].is_string(), wanted != "active");
        for status in ["active", "frozen", "expired", "suspended"] {
            let listed = registry.get(&format!("/customers?status={status}")).await.status(200);
            assert_eq!(listed.body["pagination"]["total"], i64::from(status == wanted), "{status} while {wanted}");
        }
        registry.post(&format!("{path}/reactivate"), json!({})).await.status(200);
    }
    // A new end lifts the old one, on whatever it lies.
    for action in ["expire", "suspend"] {
        registry.post(&format!("{path}/{action}"), json!({})).await.status(200);
    }
    let body = json!({"expires_at": "2099-01-01T00:00:00Z"});
    let back = registry.post(&format!("{path}/reactivate"), body).await.status(200);
    assert_eq!((back.text("status"), back.text("expires_at")), ("active".into(), "2099-01-01T00:00:00Z".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_moves_every_limit() {
    let registry = Registry::new().await;
    registry.package("acme/a").await;
    registry.package("acme/b").await;
    let id = registry.customer("a").await;
    let grants = format!("/customers/{id}/packages");
    let limited = json!({"package": "acme/a", "updates_until": "2025-01-01T00:00:00Z"});
    registry.post(&grants, limited).await.status(201);
    registry.post(&grants, json!({"package": "acme/b"})).await.status(201);
    for until in ["2027-01-01T00:00:00Z", "2024-01-01T00:00:00Z"] {
        let body = json!({"updates_until": until});
        registry.post(&format!("/customers/{id}/reactivate"), body).await.status(200);
        let after = registry.get(&grants).await;
        assert_eq!(after.data()[0]["updates_until"], until);
        assert_eq!(after.data()[1]["updates_until"], Value::Null, "who has no limit gets none");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn may_publish_and_source() {
    let registry = Registry::new().await;
    let body = json!({"name": "a", "may_publish": ["acme/*", "other/pay"], "source": "show"});
    let made = registry.post("/customers", body).await.status(201);
    assert_eq!(made.data()["may_publish"], json!(["acme/*", "other/pay"]));
    let path = format!("/customers/{}", made.text("id"));
    let kept = registry.patch(&path, json!({"name": "b"})).await.status(200);
    assert_eq!((&kept.data()["may_publish"][0], kept.text("source")), (&json!("acme/*"), "show".into()));
    let cleared = registry.patch(&path, json!({"may_publish": null, "source": null})).await.status(200);
    assert_eq!((&cleared.data()["may_publish"], &cleared.data()["source"]), (&json!([]), &Value::Null));
    let bad = json!({"may_publish": ["acme/*", "Acme/*"], "source": "maybe"});
    registry.patch(&path, bad).await.error(422, "VALIDATION_ERROR", &["may_publish[1]", "source"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_external_id() {
    let registry = Registry::new().await;
    let path = "/customers/by-external/shop%2F7";
    let made = registry.put(path, json!({"name": "a", "email": "a@b.example"})).await.status(201);
    assert_eq!(made.text("external_id"), "shop/7");
    assert!(made.text("token").starts_with("tok_"));
    let again = registry.put(path, json!({"name": "b"})).await.status(200);
    assert_eq!((again.text("id"), again.text("name")), (made.text("id"), "b".to_owned()));
    assert_eq!(again.text("email"), "a@b.example", "what is not mentioned stays");
    assert_eq!(again.data().get("token"), None);
    registry.put(path, json!({"name": "b", "external_id": "shop/7"})).await.status(200);
    for other in [json!("8"), Value::Null, json!(7)] {
        let body = json!({"name": "b", "external_id": other});
        let refused = registry.put(path, body).await.status(422);
        assert!(refused.fields().contains(&"external_id"));
    }
    registry.put("/customers/by-external/9", json!({})).await.error(422, "VALIDATION_ERROR", &["name"]);
    registry.put("/customers/by-external/%20", json!({"name": "x"})).await.error(
        422,
        "VALIDATION_ERROR",
        &["external_id"],
    );
    registry.get("/customers/by-external/9").await.error(404, "NOT_FOUND", &[]);
    registry.post("/customers", json!({"name": "c", "external_id": "shop/7"})).await.error(409, "CONFLICT", &[]);
    let other = registry.customer("d").await;
    let stolen = registry.patch(&format!("/customers/{other}"), json!({"external_id": "shop/7"})).await;
    stolen.error(409, "CONFLICT", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_shops_put_the_same_customer_at_once() {
    let registry = Registry::new().await;
    registry.warm().await;
    for round in 0..5 {
        let path = format!("/customers/by-external/race-{round}");
        let body = json!({"name": "a"});
        let puts = (0..6).map(|_| registry.call("PUT", &path).json(&body).send());
        let mut statuses: Vec<u16> =
            futures::future::join_all(puts).await.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 201], "round {round}");
    }
    assert_eq!((registry.count("customer"), registry.count("token")), (5, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_patches_at_once_neither_undoes_the_other() {
    let registry = Registry::new().await;
    for round in 0..10 {
        let id = registry.customer(&format!("c{round}")).await;
        let path = format!("/customers/{id}");
        let (a, b) = tokio::join!(
            registry.patch(&path, json!({"email": "a@b.example"})),
            registry.patch(&path, json!({"metadata": {"k": 1}}))
        );
        a.status(200);
        b.status(200);
        let after = registry.get(&path).await;
        assert_eq!((after.text("email").as_str(), &after.data()["metadata"]["k"]), ("a@b.example", &json!(1)));
    }
}
