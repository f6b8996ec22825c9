//! `/packages`, but for what a sync finds, which stands in `jobs`.

use cargoman_testkit::git::Repository;
use serde_json::{Value, json};

use crate::fixture::Registry;

#[tokio::test(flavor = "multi_thread")]
async fn added_changed_and_deleted() {
    let registry = Registry::new().await;
    let body = json!({"repository_url": "https://git.example.com/acme/pay.git", "name": "acme/pay", "type": "gitlab"});
    let made = registry.post("/packages", body.clone()).await.status(201);
    assert_eq!((made.text("name"), made.text("type")), ("acme/pay".into(), "gitlab".into()));
    let task = registry.get(&format!("/tasks/{}", made.text("task"))).await.status(200);
    assert_eq!((task.text("state"), task.text("package")), ("queued".into(), "acme/pay".into()));
    registry.post("/packages", body).await.error(409, "CONFLICT", &[]);
    assert_eq!(
        registry.get("/vendors").await.data(),
        &json!([{"name": "acme", "exclusive": true, "public_names": []}])
    );

    assert_eq!(registry.get("/packages/Acme/PAY").await.status(200).text("name"), "acme/pay");
    let patched =
        registry.patch("/packages/acme/pay", json!({"type": null, "repository_url": "/srv/pay.git"})).await.status(200);
    assert_eq!((patched.text("type"), patched.text("repository_url")), ("git".into(), "/srv/pay.git".into()));
    let body = json!({"repository_url": null, "type": "svn", "fork": null, "name": "x/y"});
    registry.patch("/packages/acme/pay", body).await.error(
        422,
        "VALIDATION_ERROR",
        &["type", "repository_url", "fork", "name"],
    );

    let given_up = registry.post("/packages/acme/pay/abandon", json!({"replacement": "acme/new"})).await.status(200);
    assert_eq!((&given_up.data()["abandoned"], given_up.text("replacement")), (&json!(true), "acme/new".into()));
    let back = registry.post("/packages/acme/pay/unabandon", json!({})).await.status(200);
    assert_eq!((&back.data()["abandoned"], &back.data()["replacement"]), (&json!(false), &Value::Null));
    registry.post("/packages/acme/pay/abandon", json!({"replacement": "?"})).await.error(
        422,
        "VALIDATION_ERROR",
        &["replacement"],
    );

    registry.delete("/packages/acme/pay").await.status(200);
    for path in ["", "/versions", "/customers"] {
        registry.get(&format!("/packages/acme/pay{path}")).await.error(404, "NOT_FOUND", &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_wrong_is_said_at_once() {
    let registry = Registry::new().await;
    let body = json!({"repository_url": "https://user:secret@git.example.com/a.git", "name": "Bad Name", "type": "cvs", "fork": 1, "tenant_id": 1});
    let refused = registry.post("/packages", body).await;
    let refused = refused.error(422, "VALIDATION_ERROR", &["type", "repository_url", "name", "fork", "tenant_id"]);
    assert!(!String::from_utf8_lossy(&refused.bytes).contains("secret"), "credentials are not repeated");
    registry.post("/packages", json!({"fork": 1})).await.error(422, "VALIDATION_ERROR", &["repository_url", "fork"]);
    for address in [
        "https://10.0.0.1/a.git",
        "-oProxyCommand=x",
        "ext::sh -c x",
        "https://git.example.com:9/a.git",
        "/a/../b",
        "ssh://git.example.com/a.git",
        "ssh://git:secret@git.example.com/a.git",
        "",
    ] {
        let refused = registry.post("/packages", json!({"repository_url": address, "name": "a/b"})).await;
        refused.error(422, "VALIDATION_ERROR", &["repository_url"]);
    }
    // Over ssh a key is needed, and a token is none.
    let over_ssh = |credential: Value| json!({"repository_url": "ssh://git@git.example.com/a.git", "name": "a/b", "credential": credential});
    registry.post("/packages", over_ssh(Value::Null)).await.error(422, "VALIDATION_ERROR", &["credential"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_is_read_from_the_repository() {
    let registry = Registry::new().await;
    let repository = tokio::task::block_in_place(|| {
        Repository::bare_with(|repository| {
            repository.write("composer.json", r#"{"name": "acme/read"}"#).commit("first");
        })
    });
    let made = registry.post("/packages", json!({"repository_url": repository.url()})).await.status(201);
    assert_eq!(made.text("name"), "acme/read");
    let refused = registry.post("/packages", json!({"repository_url": "/no/such/repository.git"})).await;
    refused.error(422, "VALIDATION_ERROR", &["repository_url"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_claims_no_vendor_until_it_is_none() {
    let registry = Registry::new().await;
    let body = json!({"repository_url": "/a.git", "name": "monolog/monolog", "fork": true});
    registry.post("/packages", body).await.status(201);
    assert_eq!(registry.count("vendor"), 0);
    registry.patch("/packages/monolog/monolog", json!({"fork": false})).await.status(200);
    assert_eq!(registry.get("/vendors").await.data()[0]["name"], "monolog");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_yanked_by_any_of_their_names() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    for version in ["v1.0.0", "1.10.0", "1.9.0", "dev-feature/x"] {
        registry.publish("acme/pay", version).await;
    }
    let versions = registry.get("/packages/acme/pay/versions").await.status(200);
    let names: Vec<_> =
        versions.data().as_array().unwrap().iter().map(|row| row["version"].as_str().unwrap()).collect();
    assert_eq!(&names[..3], ["1.10.0", "1.9.0", "v1.0.0"], "newest first, as Composer compares");
    for version in ["v1.0.0", "1.0.0.0", "dev-feature/x", "dev-feature%2Fx"] {
        let yanked = registry.post(&format!("/packages/acme/pay/yank/{version}"), json!({})).await.status(200);
        let at = yanked.text("yanked_at");
        let again = registry.post(&format!("/packages/acme/pay/yank/{version}"), json!({})).await.status(200);
        assert_eq!(again.text("yanked_at"), at, "the first date stays");
        let back = registry.post(&format!("/packages/acme/pay/unyank/{version}"), json!({})).await.status(200);
        assert_eq!(back.data()["yanked_at"], Value::Null);
    }
    for version in ["9.9.9", "dev-feature", "%00"] {
        registry.post(&format!("/packages/acme/pay/yank/{version}"), json!({})).await.error(404, "NOT_FOUND", &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_patches_at_once_neither_undoes_the_other() {
    let registry = Registry::new().await;
    for round in 0..10 {
        let path = format!("/packages/acme/p{round}");
        registry.package(&format!("acme/p{round}")).await;
        let abandon = format!("{path}/abandon");
        let (a, b) = tokio::join!(
            registry.patch(&path, json!({"repository_url": "/other.git"})),
            registry.post(&abandon, json!({}))
        );
        a.status(200);
        b.status(200);
        let after = registry.get(&path).await;
        assert_eq!((after.text("repository_url").as_str(), &after.data()["abandoned"]), ("/other.git", &json!(true)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn searched_by_a_part_of_the_name() {
    let registry = Registry::new().await;
    for name in ["acme/pay", "acme/mail", "other/pay_x"] {
        registry.package(name).await;
    }
    for (part, total) in [("PAY", 2), ("acme/", 2), ("_", 1), ("%25", 0), ("", 3)] {
        let found = registry.get(&format!("/packages?q={part}")).await.status(200);
        assert_eq!(found.body["pagination"]["total"], total, "{part}");
    }
}
