//! Tags and branches come and go: what was released stays what it was.

use cargoman_testkit::git::Repository;
use serde_json::{Value, json};

use crate::fixture::{Answer, Registry};
use crate::jobs::running;

pub(crate) async fn package(registry: &Registry, fields: Value) -> Repository {
    let repository = tokio::task::block_in_place(|| {
        Repository::bare_with(|repository| {
            repository.write("composer.json", r#"{"name": "acme/pay"}"#).commit("one").tag("1.0.0");
            repository.write("two", "two").commit("two").tag("2.0.0");
            repository.branch("feature/x").branch("1.x").checkout("main");
        })
    });
    let mut body = json!({"repository_url": repository.url(), "name": "acme/pay"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    registry.post("/packages", body).await.status(201);
    sync(registry).await;
    repository
}

pub(crate) async fn sync(registry: &Registry) -> Answer {
    let answer = registry.post("/packages/acme/pay/sync?wait=true", json!({})).await.status(200);
    assert_eq!(answer.text("state"), "succeeded", "{}", answer.body);
    answer
}

pub(crate) async fn version(registry: &Registry, name: &str) -> Option<Value> {
    let all = registry.get("/packages/acme/pay/versions").await;
    all.data().as_array().unwrap().iter().find(|row| row["version"] == name).cloned()
}

pub(crate) fn git(repository: &Repository, arguments: &[&str]) {
    tokio::task::block_in_place(|| repository.git(arguments));
}

/// G-L2, G-L4
#[tokio::test(flavor = "multi_thread")]
async fn a_release_outlives_its_tag() {
    let (registry, _stop) = running().await;
    let repository = package(&registry, json!({})).await;
    let before = version(&registry, "1.0.0").await.unwrap();
    assert_eq!(before["gone_at"], Value::Null);
    git(&repository, &["tag", "-d", "1.0.0"]);
    let gone = sync(&registry).await;
    assert_eq!(gone.data()["removed"], json!([]));
    let kept = version(&registry, "1.0.0").await.unwrap();
    assert!(kept["gone_at"].is_string() && kept["reference"] == before["reference"], "{kept}");
    assert_eq!(registry.count("audit where action = 'version.tag_gone'"), 1);
    git(&repository, &["tag", "3.0.0"]);
    sync(&registry).await;
    assert_eq!(registry.count("audit where action = 'version.tag_gone'"), 1, "said once");

    // Made again elsewhere it is another release of the same name: refused. At its old place it is the old one.
    git(&repository, &["tag", "1.0.0", "main"]);
    let moved = sync(&registry).await;
    assert!(moved.data()["skipped"].to_string().contains("moved"), "{}", moved.body);
    assert_eq!(version(&registry, "1.0.0").await.unwrap()["reference"], before["reference"]);
    git(&repository, &["tag", "-f", "1.0.0", "main~1"]);
    sync(&registry).await;
    assert_eq!(version(&registry, "1.0.0").await, Some(before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_goes_with_its_tag_where_that_is_wanted() {
    let (registry, _stop) = running().await;
    let repository = package(&registry, json!({"deleted_tags": "remove"})).await;
    git(&repository, &["tag", "-d", "1.0.0"]);
    assert_eq!(sync(&registry).await.data()["removed"], json!(["1.0.0"]));
    assert!(version(&registry, "1.0.0").await.is_none());
    // It never comes back as something else.
    git(&repository, &["tag", "1.0.0", "main"]);
    let moved = sync(&registry).await;
    assert!(moved.data()["skipped"].to_string().contains("moved"), "{}", moved.body);
    assert!(version(&registry, "1.0.0").await.is_none());
    // Nor after the package was deleted and added again.
    registry.delete("/packages/acme/pay").await.status(200);
    registry.post("/packages", json!({"repository_url": repository.url(), "name": "acme/pay"})).await.status(201);
    let anew = sync(&registry).await;
    assert!(
        version(&registry, "2.0.0").await.is_some() && version(&registry, "1.0.0").await.is_none(),
        "{}",
        anew.body
    );
    registry.patch("/packages/acme/pay", json!({"deleted_tags": "perhaps"})).await.error(
        422,
        "VALIDATION_ERROR",
        &["deleted_tags"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_some_branches_are_versions() {
    let (registry, _stop) = running().await;
    let _repository = package(&registry, json!({"branches": ["!feature/*"]})).await;
    assert!(version(&registry, "dev-feature/x").await.is_none() && version(&registry, "1.x-dev").await.is_some());
    registry.patch("/packages/acme/pay", json!({"branches": ["feature/*"]})).await.status(200);
    let other = sync(&registry).await;
    assert_eq!((&other.data()["added"], &other.data()["removed"]), (&json!(["dev-feature/x"]), &json!(["1.x-dev"])));
    assert!(version(&registry, "dev-main").await.is_some(), "the default branch always is");
    registry.patch("/packages/acme/pay", json!({"branches": null})).await.status(200);
    assert_eq!(sync(&registry).await.data()["added"], json!(["1.x-dev"]));
    for bad in [json!("main"), json!(["a b"]), json!([5])] {
        registry.patch("/packages/acme/pay", json!({"branches": bad})).await.status(422);
    }
}
