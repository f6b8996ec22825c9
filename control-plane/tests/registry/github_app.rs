//! A GitHub App against a GitHub that checks its signatures: who installed it, what it may read, and packages that come by themselves.

use cargoman_testkit::forge::{Forge, Kind};
use ring::signature::{KeyPair as _, RsaKeyPair};
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::fixture::Registry;
use crate::forge_groups::{ended, idle};
use crate::jobs::running;

/// Made for tests.
const KEY: &str = include_str!("../../src/forge/github_app_test_key.pem");

pub(crate) fn github() -> Forge {
    let forge = Forge::start(Kind::Github);
    let der = PrivatePkcs1KeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let public = RsaKeyPair::from_der(der.secret_pkcs1_der()).unwrap().public_key().as_ref().to_vec();
    forge.world().app = Some(("12345".to_owned(), public));
    tokio::task::block_in_place(|| {
        forge.package("acme/pay", "acme/pay");
        forge.package("acme/shop", "acme/shop");
        forge.package("acme/theme", "acme/theme");
        forge.package("other/thing", "acme/thing");
    });
    forge
}

pub(crate) async fn app(registry: &Registry, forge: &Forge, id: Value) -> String {
    let body = json!({"name": "app", "kind": "github-app", "host": forge.url(), "app_id": id, "private_key": KEY});
    let made = registry.post("/git-credentials", body).await.status(201);
    assert!(
        made.text("fingerprint").starts_with("SHA256:") && !made.body.to_string().contains("PRIVATE"),
        "{}",
        made.body
    );
    made.text("id")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_becomes_packages() {
    let (registry, _stop) = running().await;
    let forge = github();
    registry.get("/github-app/status").await.error(422, "VALIDATION_ERROR", &["credential"]);
    let credential = app(&registry, &forge, json!(12345)).await;
    let status = registry.get("/github-app/status").await.status(200);
    assert_eq!((status.text("slug"), status.text("credential")), ("acme-packages".to_owned(), credential.clone()));
    let install = registry.get("/github-app/install-url").await.status(200).text("url");
    assert!(install.ends_with("/github-apps/acme-packages/installations/new"), "{install}");
    let all = registry.get("/github-app/installations").await.status(200).data().clone();
    assert_eq!((&all[0]["account"], &all[0]["id"]), (&json!("acme"), &json!("4711")), "{all}");
    let seen = registry.get("/github-app/installations/4711/repositories").await.status(200).data().clone();
    assert_eq!(seen.as_array().unwrap().len(), 3, "{seen}");
    registry.get("/github-app/installations/1/repositories").await.status(404);

    let sync = "/github-app/installations/4711/sync";
    registry.post(sync, json!({})).await.error(422, "VALIDATION_ERROR", &["packages"]);
    let made = registry.post(sync, json!({"packages": ["acme/*"]})).await.status(202);
    let job = ended(&registry, &made.text("task")).await;
    assert_eq!(job["result"]["added"], json!(["acme/pay", "acme/shop", "acme/theme"]), "{job}");
    idle(&registry).await;
    for name in ["pay", "shop", "theme"] {
        let package = registry.get(&format!("/packages/acme/{name}")).await.status(200).data().clone();
        assert_eq!((&package["versions"], &package["sync_error"]), (&json!(2), &Value::Null), "{package}");
    }
    // Each repository was opened by a token for itself alone; the App has one webhook of its own.
    let given: Vec<_> = forge.world().given.iter().filter_map(|(_, only)| only.clone()).collect();
    assert_eq!(given.len(), 3, "{given:?}");
    assert_eq!(forge.world().hooks.len(), 0);
    // Tokens are kept for as long as they are good.
    registry.post("/packages/acme/pay/sync?wait=true", json!({})).await.status(200);
    assert_eq!(forge.world().given.iter().filter(|(_, only)| only.is_some()).count(), 3);
    // Again: the group that is there.
    let again = registry.post(sync, json!({})).await.status(202);
    assert_eq!(again.text("group"), made.text("group"));

    // A repository that is added to the installation becomes a package by GitHub's word alone.
    let hook = registry.post("/hooks", json!({"provider": "github"})).await.status(201);
    tokio::task::block_in_place(|| forge.package("acme/new", "acme/new"));
    let added = json!({"action": "added", "installation": {"id": 4711, "account": {"login": "acme"}}, "repositories_added": [{"id": 1, "full_name": "acme/new"}]});
    let text = added.to_string();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, hook.text("secret").as_bytes());
    let digits: String =
        ring::hmac::sign(&key, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let call = registry.bare("POST", &format!("/api/webhooks/github/{}", hook.text("id")));
    let call = call.header("x-github-event", "installation_repositories").header("x-github-delivery", "d1");
    let call =
        call.header("x-hub-signature-256", &format!("sha256={digits}")).header("content-type", "application/json");
    let answer = call.body(text).send().await.status(202);
    assert_eq!(answer.text("outcome"), "group", "{}", answer.body);
    idle(&registry).await;
    assert_eq!(registry.get("/packages/acme/new").await.status(200).data()["versions"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_not_let_in() {
    let (registry, _stop) = running().await;
    let forge = github();
    let body = |name: &str, value: Value| {
        let mut body =
            json!({"name": "app", "kind": "github-app", "host": forge.url(), "app_id": "12345", "private_key": KEY});
        body[name] = value;
        body
    };
    for (body, field) in [
        (body("private_key", json!("hello")), "private_key"),
        (body("private_key", Value::Null), "private_key"),
        (body("app_id", Value::Null), "app_id"),
        (body("app_id", json!("no id")), "app_id"),
        (body("password", json!("x")), "password"),
        (body("username", json!("x")), "username"),
        (body("host", json!("git@github.com:a/b")), "host"),
    ] {
        registry.post("/git-credentials", body).await.error(422, "VALIDATION_ERROR", &[field]);
    }
    let credential = app(&registry, &forge, json!("99")).await;
    let wrong = registry.get("/github-app/status").await;
    wrong.error(422, "VALIDATION_ERROR", &["credential"]);
    let path = format!("/git-credentials/{credential}");
    registry.patch(&path, json!({"app_id": "12345"})).await.error(422, "VALIDATION_ERROR", &["app_id"]);
    registry.delete(&path).await.status(200);

    let credential = app(&registry, &forge, json!("12345")).await;
    // A repository of somebody who has not installed the App.
    let foreign = json!({"repository_url": format!("{}/other/thing.git", forge.url()), "name": "acme/thing", "credential": credential});
    registry.post("/packages", foreign).await.status(201);
    idle(&registry).await;
    let error = registry.get("/packages/acme/thing").await.text("sync_error");
    assert!(error.contains("may not read other/thing") && error.contains("install"), "{error}");
    // One that has is added by its address alone; its name is read with a token.
    let own = json!({"repository_url": format!("{}/acme/pay.git", forge.url()), "credential": credential});
    assert_eq!(registry.post("/packages", own).await.status(201).text("name"), "acme/pay");
    let group = json!({"type": "github", "url": format!("{}/other", forge.url()), "credential": credential, "packages": ["*/*"]});
    registry.post("/forge-groups", group).await.error(422, "VALIDATION_ERROR", &["url"]);

    // Another tenant's App is nobody's.
    registry.call("POST", "/tenants").json(&json!({"slug": "other"})).send().await.status(201);
    for path in ["/github-app/status".to_owned(), format!("/github-app/status?credential={credential}")] {
        let asked = registry.call("GET", &path).tenant("other").send().await;
        asked.error(422, "VALIDATION_ERROR", &["credential"]);
    }
}
