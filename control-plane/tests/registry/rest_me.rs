//! `/me` and `/me/tokens`: what a customer's token knows of itself, and what an `admin` token makes and ends: never more than it
//! is itself.

use serde_json::{Value, json};

use crate::fixture::{Answer, Registry};
use crate::routes;

/// A token of the customer: id and secret.
async fn token(registry: &Registry, customer: &str, body: Value) -> (String, String) {
    let made = registry.post(&format!("/customers/{customer}/tokens"), body).await.status(201);
    (made.data()["token"]["id"].as_str().unwrap().to_owned(), made.text("plain_token"))
}

async fn make(registry: &Registry, secret: &str, body: Value) -> Answer {
    registry.call("POST", "/me/tokens").bearer(secret).json(&body).send().await
}

async fn delete(registry: &Registry, secret: &str, id: &str) -> Answer {
    registry.call("DELETE", &format!("/me/tokens/{id}")).bearer(secret).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_am_i() {
    let registry = Registry::new().await;
    let root = registry.get("/me").await.status(200);
    assert_eq!(root.data(), &json!({"kind": "root", "level": "owner"}));
    let customer = registry.customer("Shop").await;
    let (id, secret) = token(&registry, &customer, json!({"name": "t", "package_scopes": ["acme/*"]})).await;
    let me = registry.call("GET", "/me").bearer(&secret).send().await.status(200);
    assert_eq!((me.text("kind"), me.text("scope")), ("token".into(), "download".into()));
    assert_eq!(me.data()["customer"], json!({"id": customer, "name": "Shop"}));
    assert_eq!((&me.data()["token"]["id"], &me.data()["token"]["package_scopes"]), (&json!(id), &json!(["acme/*"])));
    registry.state.token_uses.write(registry.state.database.system()).await.unwrap();
    let shown = registry.get(&format!("/customers/{customer}/tokens/{id}")).await;
    assert!(shown.data()["last_used_at"].is_string());
    registry.delete(&format!("/customers/{customer}/tokens/{id}")).await.status(200);
    registry.call("GET", "/me").bearer(&secret).send().await.error(401, "UNAUTHORIZED", &[]);
}

/// A customer's token is no operator's credential, on any route, whatever its scope.
#[tokio::test(flavor = "multi_thread")]
async fn every_other_route_is_forbidden() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let customer = registry.customer("a").await;
    registry.sql("update customer set may_publish = '{acme/*}'");
    for scope in ["download", "admin", "developer", "webhook"] {
        let (_, secret) = token(&registry, &customer, json!({"name": scope, "scope": scope})).await;
        for (method, template) in routes::all() {
            let path = template
                .replace("{vendor}/{name}", "acme/pay")
                .replace("/customers/{id}", &format!("/customers/{customer}"))
                .replace(['{', '}', '*'], "");
            let call = registry.call(method, &path).bearer(&secret);
            let call = if method == "GET" { call } else { call.json(&json!({})) };
            let status = call.send().await.status.as_u16();
            let mine = template == "/me"
                || (scope == "admin" && template.starts_with("/me/"))
                || (scope == "developer" && method == "PUT" && template.contains("/versions/"));
            assert_eq!(status == 403, !mine, "{scope}: {method} {path}: {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_wider_than_itself() {
    let registry = Registry::new().await;
    let customer = registry.customer("a").await;
    registry.sql("update customer set may_publish = '{acme/*}'");
    let body = json!({"name": "boss", "scope": "admin", "package_scopes": ["acme/pay*", "acme/mail"], "expires_at": "2090-01-01T00:00:00Z"});
    let (_, boss) = token(&registry, &customer, body).await;
    for (body, fields) in [
        (json!({}), vec!["name"]),
        (json!({"name": "x", "scope": "developer"}), vec!["scope"]),
        (json!({"name": "x", "scope": "webhook"}), vec!["scope"]),
        (json!({"name": "x", "package_scopes": []}), vec!["package_scopes"]),
        (json!({"name": "x", "package_scopes": ["acme/pay", "acme/*"]}), vec!["package_scopes[1]"]),
        (json!({"name": "x", "package_scopes": ["*"]}), vec!["package_scopes[0]"]),
        (json!({"name": "x", "package_scopes": ["acme/pa*"]}), vec!["package_scopes[0]"]),
        (json!({"name": "x", "expires_at": null}), vec!["expires_at"]),
        (json!({"name": "x", "expires_at": "2090-01-01T00:00:01Z"}), vec!["expires_at"]),
        (json!({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}), vec!["expires_at"]),
        (json!({"name": "x", "made_by": "y"}), vec!["made_by"]),
    ] {
        make(&registry, &boss, body).await.error(422, "VALIDATION_ERROR", &fields);
    }
    let made = make(&registry, &boss, json!({"name": "x"})).await.status(201);
    let own = &made.data()["token"];
    assert_eq!(own["package_scopes"], json!(["acme/pay*", "acme/mail"]), "what is left out is as with the maker");
    assert_eq!((&own["expires_at"], &own["scope"]), (&json!("2090-01-01T00:00:00Z"), &json!("download")));
    let narrow =
        json!({"name": "x", "scope": "admin", "package_scopes": ["acme/pay-*"], "expires_at": "2080-01-01T00:00:00Z"});
    let made = make(&registry, &boss, narrow).await.status(201);
    assert!(made.data()["composer_auth"]["password"].is_string());
    // Its own children are bounded by it, not by their grandparent.
    let child = made.text("plain_token");
    let wide = json!({"name": "x", "package_scopes": ["acme/pay"]});
    make(&registry, &child, wide).await.error(422, "VALIDATION_ERROR", &["package_scopes[0]"]);
    let actors = registry.sql("select distinct split_part(actor, '_', 1) from audit where actor like 'token:%'");
    assert_eq!(actors, "token:tok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lapsed_customer_makes_none() {
    let registry = Registry::new().await;
    let customer = registry.customer("a").await;
    let (_, boss) = token(&registry, &customer, json!({"name": "boss", "scope": "admin"})).await;
    make(&registry, &boss, json!({"name": "x"})).await.status(201);
    for lapse in ["suspended_at = now()", "suspended_at = null, expires_at = now()"] {
        registry.sql(&format!("update customer set {lapse}"));
        make(&registry, &boss, json!({"name": "x"})).await.error(403, "FORBIDDEN", &[]);
        registry.call("GET", "/me/tokens").bearer(&boss).send().await.status(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_one_ends_what_it_made() {
    let registry = Registry::new().await;
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/tokens");
    let (boss_id, boss) = token(&registry, &customer, json!({"name": "boss", "scope": "admin"})).await;
    let child = make(&registry, &boss, json!({"name": "child", "scope": "admin"})).await.status(201);
    let grandchild = make(&registry, &child.text("plain_token"), json!({"name": "grandchild"})).await.status(201);
    let is_good = |secret: String| {
        let call = registry.call("GET", "/me").bearer(&secret);
        async { call.send().await.status == 200 }
    };

    // A rotation hands the children over: the old one's end does not touch them.
    let rotated = registry.post(&format!("{path}/{boss_id}/rotate"), json!({})).await.status(200);
    assert!(is_good(child.text("plain_token")).await && is_good(grandchild.text("plain_token")).await);
    registry.delete(&format!("{path}/{boss_id}")).await.status(200);
    assert!(is_good(child.text("plain_token")).await);
    // A rotated child stays its maker's.
    let child_id = child.data()["token"]["id"].as_str().unwrap();
    let child = registry.post(&format!("{path}/{child_id}/rotate"), json!({})).await.status(200);
    let boss_id = rotated.data()["token"]["id"].as_str().unwrap();
    registry.delete(&format!("{path}/{boss_id}")).await.status(200);
    for ended in [rotated.text("plain_token"), child.text("plain_token"), grandchild.text("plain_token")] {
        assert!(!is_good(ended).await);
    }
    // The customer's first token was made by nobody.
    assert_eq!(registry.count("token where revoked_at is null"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_its_grace_it_makes_none() {
    let registry = Registry::new().await;
    let customer = registry.customer("a").await;
    let (id, boss) = token(&registry, &customer, json!({"name": "boss", "scope": "admin"})).await;
    let path = format!("/customers/{customer}/tokens/{id}/rotate");
    registry.post(&path, json!({"grace_seconds": 60})).await.status(200);
    make(&registry, &boss, json!({"name": "x"})).await.error(403, "FORBIDDEN", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_what_it_could_have_made() {
    let registry = Registry::new().await;
    let (customer, other) = (registry.customer("a").await, registry.customer("b").await);
    registry.sql("update customer set may_publish = '{acme/*}'");
    let body = json!({"name": "boss", "scope": "admin", "package_scopes": ["acme/*"]});
    let (own, boss) = token(&registry, &customer, body).await;
    let (wide, _) = token(&registry, &customer, json!({"name": "wide"})).await;
    let (ci, _) =
        token(&registry, &customer, json!({"name": "ci", "scope": "developer", "package_scopes": ["acme/x"]})).await;
    let (narrow, _) = token(&registry, &customer, json!({"name": "narrow", "package_scopes": ["acme/x"]})).await;
    let (theirs, _) = token(&registry, &other, json!({"name": "theirs", "package_scopes": ["acme/x"]})).await;
    for id in [&wide, &ci] {
        delete(&registry, &boss, id).await.error(403, "FORBIDDEN", &[]);
    }
    for id in [&theirs, "tok_id_1"] {
        delete(&registry, &boss, id).await.error(404, "NOT_FOUND", &[]);
    }
    // Lent for a day, it ends neither its maker nor what outlives it.
    let lent = json!({"name": "lent", "scope": "admin", "expires_at": "2999-01-01T00:00:00Z"});
    let lent = make(&registry, &boss, lent).await.status(201);
    for id in [&own, &narrow] {
        delete(&registry, &lent.text("plain_token"), id).await.error(403, "FORBIDDEN", &[]);
    }
    delete(&registry, &boss, lent.data()["token"]["id"].as_str().unwrap()).await.status(200);
    assert!(delete(&registry, &boss, &narrow).await.status(200).data()["revoked_at"].is_string());
    let list = registry.call("GET", "/me/tokens").bearer(&boss).send().await.status(200);
    assert_eq!(list.body["pagination"]["total"], 6, "his own alone, the first one among them");
    delete(&registry, &boss, &own).await.status(200);
    registry.call("GET", "/me/tokens").bearer(&boss).send().await.error(401, "UNAUTHORIZED", &[]);
    let audited = registry.count("audit where action = 'token.revoke' and actor like 'token:%'");
    assert_eq!(audited, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_the_tokens_own() {
    let registry = Registry::new().await;
    let customer = registry.customer("a").await;
    let (_, first) = token(&registry, &customer, json!({"name": "a", "scope": "admin"})).await;
    let (_, second) = token(&registry, &customer, json!({"name": "b", "scope": "admin"})).await;
    let post = |secret: &str| {
        let call = registry.call("POST", "/me/tokens").bearer(secret).header("idempotency-key", "k");
        call.json(&json!({"name": "x"})).send()
    };
    let made = post(&first).await.status(201);
    let again = post(&first).await.status(201);
    assert_eq!((&again.data()["token"], again.header("idempotent-replayed")), (&made.data()["token"], "true"));
    assert_eq!(again.data()["plain_token"], Value::Null);
    assert_ne!(post(&second).await.status(201).data()["token"]["id"], made.data()["token"]["id"]);
}

/// An edge's question about a token is a use of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_use_at_the_edge_is_noted() {
    use cargoman_credential::Digest;
    use cargoman_edge_protocol::{Key, KnownKey, READ_PATH, ReadRequest};
    let registry = Registry::new().await;
    let made = registry.post("/customers", json!({"name": "a"})).await.status(201);
    let path = format!("/customers/{}/tokens", made.text("id"));
    assert_eq!(registry.get(&path).await.data()[0]["last_used_at"], Value::Null);
    let keys = [made.text("token"), "tok_unknown".to_owned()].map(|text| KnownKey {
        key: Key::Access { tenant: registry.tenant, digest: Digest::of(text.as_bytes()) },
        revision: None,
    });
    let request = serde_json::to_value(ReadRequest { keys: keys.to_vec() }).unwrap();
    registry.edge("POST", READ_PATH).json(&request).send().await.status(200);
    registry.state.token_uses.write(registry.state.database.system()).await.unwrap();
    assert!(registry.get(&path).await.data()[0]["last_used_at"].is_string());
}
