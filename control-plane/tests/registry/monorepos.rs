//! A repository with many packages: what the sync makes of it, and what operators can do about it.

use cargoman_testkit::git::Repository;
use serde_json::{Value, json};

use crate::fixture::{Answer, Registry};
use crate::jobs::running;

fn package(repository: &Repository, path: &str, name: &str) {
    repository.write(&format!("{path}/composer.json"), json!({"name": name}).to_string());
    repository.write(&format!("{path}/One.php"), format!("<?php // {name}\n"));
}

fn repository() -> Repository {
    tokio::task::block_in_place(|| {
        Repository::bare_with(|repository| {
            package(repository, "packages/core", "acme/core");
            package(repository, "packages/pay", "acme/pay");
            repository.commit("first").tag("v1.0.0");
        })
    })
}

async fn sync(registry: &Registry, name: &str) -> Answer {
    registry.post(&format!("/packages/{name}/sync?wait=true"), json!({})).await.status(200)
}

fn names(answer: &Answer, key: &str) -> Vec<String> {
    let mut names: Vec<String> =
        answer.data().as_array().unwrap().iter().map(|row| row[key].as_str().unwrap_or_default().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_makes_the_packages() {
    let (registry, _stop) = running().await;
    let repository = repository();
    let body = json!({"repository_url": repository.url(), "name": "acme/monorepo", "monorepo": "packages/*"});
    let made = registry.post("/packages", body).await.status(201);
    assert_eq!(made.data()["monorepo"], json!(["packages/*"]));
    let first = sync(&registry, "acme/monorepo").await;
    assert_eq!(first.text("state"), "succeeded", "{}", first.body);

    let children = registry.get("/packages/acme/monorepo/monorepo/children").await.status(200);
    assert_eq!(names(&children, "name"), ["acme/core", "acme/pay"]);
    assert_eq!(names(&children, "path"), ["packages/core", "packages/pay"]);
    let child = registry.get("/packages/acme/pay").await.status(200);
    assert_eq!((child.text("parent"), child.text("path")), ("acme/monorepo".into(), "packages/pay".into()));
    assert_eq!(names(&registry.get("/packages/acme/pay/versions").await, "version"), ["dev-main", "v1.0.0"]);
    assert_eq!(registry.get("/packages/acme/monorepo").await.data()["versions"], 0);
    assert_eq!(registry.count("audit where action = 'package.create' and actor like 'job:%'"), 2);
    // Of both packages the reference is one commit, and the bytes are not.
    assert_eq!(
        registry.sql("select count(distinct reference), count(distinct dist_sha256) from version_reference"),
        "1|2"
    );

    // A child is read with its parent.
    tokio::task::block_in_place(|| {
        package(&repository, "packages/late", "acme/late");
        repository.commit("second").tag("v1.1.0");
    });
    let second = sync(&registry, "acme/pay").await;
    assert_eq!((&second.data()["packages"], second.text("state")), (&json!(["acme/late"]), "succeeded".into()));
    assert!(second.data()["added"].to_string().contains("acme/late v1.1.0"), "{}", second.body);
    assert_eq!(sync(&registry, "acme/monorepo").await.data()["unchanged"], true);

    // One that is gone keeps its releases and loses the branch.
    tokio::task::block_in_place(|| {
        repository.remove("packages/late/composer.json").remove("packages/late/One.php").commit("third").tag("v1.2.0");
    });
    let third = sync(&registry, "acme/monorepo").await;
    assert_eq!(third.data()["removed"], json!(["acme/late dev-main"]), "{}", third.body);
    assert_eq!(names(&registry.get("/packages/acme/late/versions").await, "version"), ["v1.1.0"]);
}

/// G-J5: a folder never takes over a package that is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_stays_whose_it_is() {
    let (registry, _stop) = running().await;
    registry.package("acme/pay").await;
    registry.publish("acme/pay", "7.0.0").await;
    let repository = repository();
    let body = json!({"repository_url": repository.url(), "name": "acme/monorepo", "monorepo": ["packages/*"]});
    registry.post("/packages", body).await.status(201);
    let first = sync(&registry, "acme/monorepo").await;
    let skipped = first.data()["skipped"].to_string();
    assert!(skipped.contains("packages/pay") && skipped.contains("another package"), "{}", first.body);
    assert_eq!(names(&registry.get("/packages/acme/pay/versions").await, "version"), ["7.0.0"]);
    assert_eq!(names(&registry.get("/packages/acme/monorepo/monorepo/children").await, "name"), ["acme/core"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_may_do() {
    let (registry, _stop) = running().await;
    let repository = repository();
    let base = json!({"repository_url": repository.url(), "name": "acme/monorepo"});
    let with = |fields: Value| {
        let mut body = base.clone();
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    for (fields, field) in [
        (json!({"monorepo": "../x"}), "monorepo"),
        (json!({"monorepo": []}), "monorepo"),
        (json!({"monorepo": ["!packages/*"]}), "monorepo"),
        (json!({"monorepo": 5}), "monorepo"),
        (json!({"monorepo": ["packages/*", 5]}), "monorepo"),
        (json!({"monorepo": "packages/*", "tag_pattern": "v"}), "tag_pattern"),
        (json!({"tag_pattern": "{package}/{version}"}), "tag_pattern"),
    ] {
        registry.post("/packages", with(fields)).await.error(422, "VALIDATION_ERROR", &[field]);
    }
    registry.post("/packages", with(json!({"monorepo": "packages/*"}))).await.status(201);
    sync(&registry, "acme/monorepo").await;
    let refused = registry.delete("/packages/acme/monorepo").await.error(409, "CONFLICT", &[]);
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("acme/core"), "{}", refused.body);
    for body in [json!({"repository_url": "/x.git"}), json!({"type": "artifact"}), json!({"monorepo": "x/*"})] {
        registry.patch("/packages/acme/pay", body).await.status(422);
    }
    registry.patch("/packages/acme/pay", json!({"source": "hide"})).await.status(200);
    // Another pattern is looked at anew, though no ref has moved.
    tokio::task::block_in_place(|| {
        package(&repository, "tools/cli", "acme/cli");
        repository.commit("tools");
    });
    sync(&registry, "acme/monorepo").await;
    registry.patch("/packages/acme/monorepo", json!({"monorepo": ["packages/*", "tools/*"]})).await.status(200);
    assert_eq!(sync(&registry, "acme/monorepo").await.data()["packages"], json!(["acme/cli"]));

    // Given up as a monorepo, it leaves the packages as they are.
    registry.patch("/packages/acme/monorepo", json!({"monorepo": null})).await.status(200);
    let child = registry.get("/packages/acme/pay").await.status(200);
    assert_eq!((&child.data()["parent"], child.text("type")), (&Value::Null, "artifact".to_owned()));
    assert_eq!(names(&registry.get("/packages/acme/pay/versions").await, "version"), ["dev-main", "v1.0.0"]);
    registry.delete("/packages/acme/monorepo").await.status(200);
}
