//! Operators' credentials: what each level may do on every route, of which tenant, and when it ends.

use cargoman_credential::{Kind, Secret};
use cargoman_edge_protocol::{EDGE_CREDENTIAL_HEADER, EDGE_TENANT_HEADER};
use serde_json::{Value, json};

use crate::fixture::{Answer, EDGE, Registry};
use crate::routes;
use crate::zip::Zip;

async fn ask(registry: &Registry, secret: &str, method: &str, path: &str) -> Answer {
    let call = registry.call(method, path).bearer(secret);
    let call = if method == "GET" { call } else { call.json(&json!({})) };
    call.send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn made_shown_rotated_and_revoked() {
    let registry = Registry::new().await;
    let body = json!({"name": "ci", "email": "ci@acme.test", "level": "publisher", "package_scopes": ["acme/*"], "expires_at": "2099-01-01T00:00:00Z"});
    let made = registry.post("/credentials", body).await.status(201);
    let (id, plain) = (made.text("id"), made.text("plain_token"));
    assert!(id.starts_with("cred_") && plain.starts_with("cma_") && plain.ends_with(&made.text("last_four")));
    let list = registry.get("/credentials").await.status(200);
    assert_eq!(list.body["pagination"]["total"], 1);
    assert!(!String::from_utf8_lossy(&list.bytes).contains(&plain));
    assert_eq!(registry.count(&format!("credential c where c::text like '%{plain}%'")), 0, "the secret is not kept");

    let me = registry.call("GET", "/me").bearer(&plain).send().await.status(200);
    assert_eq!((me.text("kind"), me.text("level")), ("credential".into(), "publisher".into()));
    assert_eq!(me.data()["credential"]["id"], json!(id));
    let used = registry.get("/credentials").await.data()[0]["last_used_at"].clone();
    assert!(used.is_string());
    registry.call("GET", "/me").bearer(&plain).send().await.status(200);
    assert_eq!(registry.get("/credentials").await.data()[0]["last_used_at"], used, "noted once a minute");

    let rotated = registry.post(&format!("/credentials/{id}/rotate"), json!({"grace_seconds": 60})).await.status(200);
    for same in ["name", "email", "level", "package_scopes", "expires_at"] {
        assert_eq!(rotated.data()[same], made.data()[same], "{same}");
    }
    let new = rotated.text("plain_token");
    for secret in [&plain, &new] {
        registry.call("GET", "/me").bearer(secret).send().await.status(200);
    }
    registry.post(&format!("/credentials/{id}/rotate"), json!({})).await.error(409, "CONFLICT", &[]);
    let next = registry.post(&format!("/credentials/{}/rotate", rotated.text("id")), json!({})).await.status(200);
    registry.call("GET", "/me").bearer(&new).send().await.error(401, "UNAUTHORIZED", &[]);
    let last = next.text("id");
    let at = registry.delete(&format!("/credentials/{last}")).await.status(200).text("revoked_at");
    assert_eq!(registry.delete(&format!("/credentials/{last}")).await.text("revoked_at"), at, "the first date stays");
    registry.call("GET", "/me").bearer(&next.text("plain_token")).send().await.error(401, "UNAUTHORIZED", &[]);
    let secrets = registry.count("audit a where a::text ~ 'cma_[0-9A-Za-z]{38}'");
    assert_eq!((registry.count("audit where action like 'credential.%'"), secrets), (5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused() {
    let registry = Registry::new().await;
    for (body, fields) in [
        (json!({}), vec!["name", "level"]),
        (json!({"name": "a", "level": "root"}), vec!["level"]),
        (json!({"name": "a", "level": "publisher"}), vec!["package_scopes"]),
        (json!({"name": "a", "level": "publisher", "package_scopes": []}), vec!["package_scopes"]),
        (
            json!({"name": "a", "level": "publisher", "package_scopes": ["A B"]}),
            vec!["package_scopes[0]", "package_scopes"],
        ),
        (json!({"name": "a", "level": "admin", "package_scopes": ["a/*"]}), vec!["package_scopes"]),
        (
            json!({"name": "a", "level": "admin", "email": "x", "expires_at": "2020-01-01T00:00:00Z"}),
            vec!["email", "expires_at"],
        ),
        (json!({"name": "a", "level": "admin", "digest": "x"}), vec!["digest"]),
    ] {
        registry.post("/credentials", body).await.error(422, "VALIDATION_ERROR", &fields);
    }
    for id in ["cred_1", "x", "cred_00000000000000000000000000000000"] {
        registry.delete(&format!("/credentials/{id}")).await.error(404, "NOT_FOUND", &[]);
    }
    let unknown = Secret::generate(Kind::Operator, &ring::rand::SystemRandom::new()).unwrap();
    for secret in [unknown.expose(), "cma_", "cma_x", EDGE, ""] {
        registry.call("GET", "/me").bearer(secret).send().await.error(401, "UNAUTHORIZED", &[]);
    }
}

/// The whole table: each level on every route there is.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_for_every_level() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let mut secrets = Vec::new();
    for level in ["owner", "admin", "viewer"] {
        secrets.push((level, registry.credential(level, &[]).await));
    }
    secrets.push(("publisher", registry.credential("publisher", &["acme/*"]).await));
    secrets.push(("outsider", registry.credential("publisher", &["acme/other", "acm*/x"]).await));
    let none = "0".repeat(32);
    for (method, template) in routes::all() {
        let path = template
            .replace("{vendor}/{name}", "acme/pay")
            .replace("{*version}", "9.9.9")
            .replace("/customers/{id}", &format!("/customers/cust_{none}"))
            .replace("{id}", &none)
            .replace(['{', '}'], "");
        for (level, secret) in &secrets {
            let answer = ask(&registry, secret, method, &path).await;
            let may = allowed(level, method, &template);
            let refused = answer.status == 403;
            assert_eq!(refused, !may, "{level}: {method} {path}: {} {}", answer.status, answer.body);
            assert_ne!(answer.status, 401, "{level}: {method} {path}");
        }
    }
    // The suffix of a path is a route of its own.
    let path = "/packages/acme/pay/versions/9.9.9/customers";
    for (level, secret) in &secrets {
        let wanted = if matches!(*level, "publisher" | "outsider") { 403 } else { 404 };
        ask(&registry, secret, "GET", path).await.status(wanted);
        // Paths that do not exist do not, for whoever has shown a credential.
        ask(&registry, secret, "GET", "/no/such/path").await.error(404, "NOT_FOUND", &[]);
    }
}

fn allowed(level: &str, method: &str, template: &str) -> bool {
    if template == "/me" {
        return true;
    }
    if template.starts_with("/tenants") || template.starts_with("/me/") || template.starts_with("/edges") {
        return false;
    }
    if template == "/propagation/{seq}" {
        return true;
    }
    let of_credentials = template.starts_with("/credentials");
    let of_package = template.strip_prefix("/packages/{vendor}/{name}");
    match level {
        "owner" => true,
        "admin" => !of_credentials,
        "viewer" => method == "GET" && !of_credentials && !template.starts_with("/git-credentials"),
        "publisher" => matches!(
            (method, of_package),
            ("GET", Some("" | "/versions" | "/versions/{*version}"))
                | ("PUT", Some("/versions/{*version}"))
                | ("POST", Some("/sync"))
        ),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_reaches_its_own_packages_alone() {
    let registry = Registry::new().await;
    for name in ["acme/pay", "acme/other", "rival/pay"] {
        registry.post("/packages", json!({"type": "artifact", "name": name})).await.status(201);
    }
    let secret = registry.credential("publisher", &["acme/pay"]).await;
    for (name, wanted) in [("acme/pay", 201), ("acme/other", 403), ("rival/pay", 403), ("no/such", 403)] {
        let call = registry.call("PUT", &format!("/packages/{name}/versions/1.0.0")).bearer(&secret);
        call.zip(&Zip::package(name)).send().await.status(wanted);
    }
    for path in ["/packages/ACME/Pay", "/packages/acme/p%61y"] {
        ask(&registry, &secret, "GET", path).await.status(200);
    }
    for path in ["/packages/acme/other", "/packages", "/packages/acme%2Fpay/pay", "/packages/acme/pay/customers"] {
        ask(&registry, &secret, "GET", path).await.error(403, "FORBIDDEN", &[]);
    }
    let actor = registry.sql("select distinct actor from audit where action = 'version.upload'");
    assert!(actor.starts_with("credential:cred_"), "{actor}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_owner_makes_credentials() {
    let registry = Registry::new().await;
    let owner = registry.credential("owner", &[]).await;
    let body = json!({"name": "x", "level": "owner"});
    registry.call("POST", "/credentials").bearer(&owner).json(&body).send().await.status(201);
    for level in ["admin", "viewer"] {
        let secret = registry.credential(level, &[]).await;
        for (method, path) in
            [("GET", "/credentials"), ("POST", "/credentials"), ("DELETE", "/credentials/x"), ("GET", "/tenants")]
        {
            ask(&registry, &secret, method, path).await.error(403, "FORBIDDEN", &[]);
        }
    }
}

/// E-A6: the right secret for another tenant is answered as one that nobody has, byte for byte.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_belongs_to_one_tenant() {
    let registry = Registry::new().await;
    let other = registry.post("/tenants", json!({"slug": "other"})).await.status(201).text("id");
    let other = uuid::Uuid::parse_str(other.strip_prefix("ten_").unwrap()).unwrap().to_string();
    let secret = registry.credential("owner", &[]).await;
    let customer = registry.call("POST", "/customers").tenant("default").json(&json!({"name": "a"})).send().await;
    let token = customer.status(201).text("token");
    let unknown = [Kind::Operator, Kind::Token]
        .map(|kind| Secret::generate(kind, &ring::rand::SystemRandom::new()).unwrap().expose().to_owned());
    let default = registry.tenant.to_string();

    // There are two tenants, and it needs to name none.
    let list = registry.call("GET", "/customers").bearer(&secret).send().await.status(200);
    assert_eq!(list.body["pagination"]["total"], 1);
    registry.call("GET", "/customers").bearer(&secret).tenant("default").send().await.status(200);
    registry.call("GET", "/me").bearer(&token).tenant("default").send().await.status(200);

    let through_edge = |secret: &str, tenant: &str| {
        let call = registry.call("GET", "/me").bearer(secret).header(EDGE_CREDENTIAL_HEADER, EDGE);
        call.header(EDGE_TENANT_HEADER, tenant).send()
    };
    for secret in [&secret, &token] {
        through_edge(secret, &default).await.status(200);
    }
    let nil = uuid::Uuid::nil().to_string();
    for (known, unknown) in [(&secret, &unknown[0]), (&token, &unknown[1])] {
        for tenant in [&other, &nil] {
            let (a, b) = (through_edge(known, tenant).await, through_edge(unknown, tenant).await);
            assert_eq!((a.status.as_u16(), &a.bytes, &a.headers.len()), (401, &b.bytes, &b.headers.len()), "{tenant}");
        }
        for slug in ["other", "no-such", "%"] {
            let ask = |secret: &str| registry.call("GET", "/me").bearer(secret).tenant(slug).send();
            let (a, b) = (ask(known).await, ask(unknown).await);
            assert_eq!((a.status.as_u16(), &a.bytes), (401, &b.bytes), "{slug}");
        }
        // An edge that proves nothing is not believed.
        let call = registry.call("GET", "/me").bearer(known).header(EDGE_CREDENTIAL_HEADER, "cme_x");
        call.header(EDGE_TENANT_HEADER, &default).send().await.error(401, "UNAUTHORIZED", &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_one_is_unknown() {
    let registry = Registry::new().await;
    let secret = registry.credential("admin", &[]).await;
    registry.call("GET", "/customers").bearer(&secret).send().await.status(200);
    registry.sql("update credential set expires_at = now()");
    registry.call("GET", "/customers").bearer(&secret).send().await.error(401, "UNAUTHORIZED", &[]);
    registry.sql("update credential set expires_at = null, revoked_at = now()");
    registry.call("GET", "/customers").bearer(&secret).send().await.error(401, "UNAUTHORIZED", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_replays_another_credentials_answer() {
    let registry = Registry::new().await;
    let (first, second) = (registry.credential("admin", &[]).await, registry.credential("owner", &[]).await);
    let body = json!({"name": "a"});
    let mut ids = Vec::new();
    let post = |secret: Option<&str>, key: &str| {
        let call = registry.call("POST", "/customers").header("idempotency-key", key).json(&body);
        secret.map_or(call.clone(), |secret| call.bearer(secret)).send()
    };
    for secret in [Some(first.as_str()), Some(&second), None] {
        let made = post(secret, "k").await.status(201);
        let again = post(secret, "k").await.status(201);
        assert_eq!((made.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
        assert_eq!(made.text("id"), again.text("id"));
        ids.push(made.text("id"));
    }
    assert_eq!(registry.count("customer"), 3, "{ids:?}");
    // Nor does a key that looks like another's.
    let id = registry.call("GET", "/me").bearer(&first).send().await.data()["credential"]["id"].clone();
    let forged = post(None, &format!("credential:{} k", id.as_str().unwrap())).await.status(201);
    assert_eq!(forged.header("idempotent-replayed"), "");
    // Who may not do it learns nothing from a key, and one that ended replays nothing.
    let viewer = registry.credential("viewer", &[]).await;
    post(Some(&viewer), "k").await.error(403, "FORBIDDEN", &[]);
    registry.sql("update credential set revoked_at = now()");
    post(Some(&first), "k").await.error(401, "UNAUTHORIZED", &[]);
    let secret = registry.post("/credentials", json!({"name": "x", "level": "owner"}));
    assert_ne!(secret.await.data()["plain_token"], Value::Null);
    let key = |body: Value| registry.call("POST", "/credentials").header("idempotency-key", "c").json(&body).send();
    let body = json!({"name": "y", "level": "owner"});
    key(body.clone()).await.status(201);
    assert_eq!(key(body).await.status(201).data()["plain_token"], Value::Null, "shown once");
}
