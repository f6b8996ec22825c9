//! `/customers/{id}/tokens`: secrets are shown once, and what ends a token ends it.

use cargoman_credential::Digest;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::fixture::{PUBLIC_URL, Registry};

#[tokio::test(flavor = "multi_thread")]
async fn made_shown_and_revoked() {
    let registry = Registry::new().await;
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/tokens");
    let body =
        json!({"name": "ci", "scope": "download", "package_scopes": ["acme/*"], "expires_at": "2099-01-01T00:00:00Z"});
    let made = registry.post(&path, body).await.status(201);
    let plain = made.text("plain_token");
    let auth = &made.data()["composer_auth"];
    assert_eq!(auth, &json!({"username": "token", "password": plain, "repository_url": PUBLIC_URL}));
    let token = &made.data()["token"];
    assert_eq!(token["package_scopes"], json!(["acme/*"]));
    assert!(plain.ends_with(token["last_four"].as_str().unwrap()));
    let id = token["id"].as_str().unwrap();
    assert_eq!(registry.get(&path).await.status(200).body["pagination"]["total"], 2);

    // Neither the answers nor the database hold the secret again.
    let shown = registry.get(&format!("{path}/{id}")).await.status(200);
    assert!(!String::from_utf8_lossy(&shown.bytes).contains(&plain));
    let kept =
        registry.sql(&format!("select count(*) from token where digest = '{}'", Digest::of(plain.as_bytes()).to_hex()));
    assert_eq!(kept, "1");
    assert_eq!(registry.count(&format!("token t where t::text like '%{plain}%'")), 0);

    let revoked = registry.delete(&format!("{path}/{id}")).await.status(200);
    let at = revoked.text("revoked_at");
    assert_eq!(
        registry.delete(&format!("{path}/{id}")).await.status(200).text("revoked_at"),
        at,
        "the first date stays"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refused() {
    let registry = Registry::new().await;
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/tokens");
    let body =
        json!({"scope": "all", "package_scopes": ["acme/ *", 1], "expires_at": "2020-01-01T00:00:00Z", "digest": "x"});
    let wanted = ["name", "scope", "package_scopes[0]", "package_scopes[1]", "expires_at", "digest"];
    registry.post(&path, body).await.error(422, "VALIDATION_ERROR", &wanted);
    // He may publish nothing.
    registry.post(&path, json!({"name": "x", "scope": "developer"})).await.error(422, "VALIDATION_ERROR", &["scope"]);
    let many = vec!["a/b"; 501];
    registry.post(&path, json!({"name": "x", "package_scopes": many})).await.error(
        422,
        "VALIDATION_ERROR",
        &["package_scopes"],
    );
    registry.get(&format!("{path}/tok_id_1")).await.error(404, "NOT_FOUND", &[]);
    registry.get(&format!("{path}/{customer}")).await.error(404, "NOT_FOUND", &[]);
    // A token of another customer of the same tenant.
    let other = registry.customer("b").await;
    let token = registry.get(&format!("/customers/{other}/tokens")).await.data()[0]["id"].as_str().unwrap().to_owned();
    for (method, action) in [("GET", ""), ("DELETE", ""), ("POST", "/rotate")] {
        registry.call(method, &format!("{path}/{token}{action}")).send().await.error(404, "NOT_FOUND", &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation() {
    let registry = Registry::new().await;
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/tokens");
    let body = json!({"name": "ci", "package_scopes": ["acme/pay"], "expires_at": "2099-01-01T00:00:00Z"});
    let old = registry.post(&path, body).await.status(201).data()["token"].clone();
    let old_id = old["id"].as_str().unwrap();

    let rotated = registry.post(&format!("{path}/{old_id}/rotate"), json!({"grace_seconds": 3600})).await.status(200);
    let new = &rotated.data()["token"];
    assert_ne!(new["id"], old["id"]);
    for same in ["name", "scope", "package_scopes", "expires_at"] {
        assert_eq!(new[same], old[same], "{same}");
    }
    let ending = registry.get(&format!("{path}/{old_id}")).await;
    let left = ending.text("expires_at").parse::<DateTime<Utc>>().unwrap() - Utc::now();
    assert!((3_500..=3_600).contains(&left.num_seconds()), "{left}");
    assert_eq!(ending.data()["revoked_at"], Value::Null);
    // A second successor would inherit the end of the grace, and die with it.
    registry.post(&format!("{path}/{old_id}/rotate"), json!({"grace_seconds": 60})).await.error(409, "CONFLICT", &[]);

    let new_id = new["id"].as_str().unwrap().to_owned();
    registry.post(&format!("{path}/{new_id}/rotate"), json!({})).await.status(200);
    assert_ne!(registry.get(&format!("{path}/{new_id}")).await.data()["revoked_at"], Value::Null);
    registry.post(&format!("{path}/{new_id}/rotate"), json!({})).await.error(409, "CONFLICT", &[]);
    for grace in [json!(-1), json!(2_592_001), json!(1.5), json!("1")] {
        let refused = registry.post(&format!("{path}/{old_id}/rotate"), json!({"grace_seconds": grace})).await;
        refused.error(422, "VALIDATION_ERROR", &["grace_seconds"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn regenerate_and_revoke_all() {
    let registry = Registry::new().await;
    let customer = registry.customer("a").await;
    registry.post(&format!("/customers/{customer}/tokens"), json!({"name": "b"})).await.status(201);
    let made = registry.post(&format!("/customers/{customer}/token/regenerate"), json!({})).await.status(200);
    assert!(made.text("plain_token").starts_with("tok_"));
    let live = || registry.count("token where revoked_at is null");
    assert_eq!(live(), 1);
    let all = registry.delete(&format!("/customers/{customer}/token")).await.status(200);
    assert_eq!((all.data(), live()), (&json!({"revoked": 1}), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_rotations_at_once_one_wins() {
    let registry = Registry::new().await;
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/tokens");
    let token = registry.get(&path).await.data()[0]["id"].as_str().unwrap().to_owned();
    let rotate = format!("{path}/{token}/rotate");
    registry.warm().await;
    let (a, b) = tokio::join!(registry.post(&rotate, json!({})), registry.post(&rotate, json!({})));
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(registry.count("token where revoked_at is null"), 1);
}
