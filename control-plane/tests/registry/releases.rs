//! Releases that wait before a customer sees them, and those that may be made anew because nobody ever had them.

use cargoman_testkit::deadline::poll_until;
use serde_json::{Value, json};

use crate::edge_api;
use crate::fixture::Registry;
use crate::jobs::running;
use crate::lifecycle::{git, package, sync, version};

/// What edges know, normalized.
async fn seen(registry: &Registry) -> Vec<String> {
    let (_, package) = edge_api::package(registry, "acme/pay").await;
    package.versions.iter().map(|version| version.version.normalized().to_owned()).collect()
}

const BRANCHES: [&str; 3] = ["1.9999999.9999999.9999999-dev", "dev-feature/x", "dev-main"];

fn sorted(mut versions: Vec<String>) -> Vec<String> {
    versions.sort();
    versions
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_waits_until_somebody_says_so() {
    let (registry, _stop) = running().await;
    let repository = package(&registry, json!({"releases": "manual"})).await;
    assert_eq!(sorted(seen(&registry).await), BRANCHES, "branches do not wait");
    let held = version(&registry, "2.0.0").await.unwrap();
    assert!(held["held_at"].is_string() && held["release_at"].is_null(), "{held}");

    let released = registry.post("/packages/acme/pay/release/2.0.0", json!({})).await.status(200);
    assert_eq!(released.data()["held_at"], Value::Null);
    assert!(seen(&registry).await.contains(&"2.0.0.0".to_owned()));
    assert!(!seen(&registry).await.contains(&"1.0.0.0".to_owned()));
    assert_eq!(released.data()["published_at"], held["published_at"], "it is history: its tag is years old");
    registry.post("/packages/acme/pay/release/2.0.0", json!({})).await.status(200);
    assert_eq!(registry.count("audit where action = 'version.release'"), 1, "said once");

    // What is found later counts as published when it is released.
    git(&repository, &["tag", "3.0.0"]);
    sync(&registry).await;
    let held = version(&registry, "3.0.0").await.unwrap();
    let released = registry.post("/packages/acme/pay/release/3.0.0", json!({})).await.status(200);
    assert!(released.data()["published_at"].as_str() > held["published_at"].as_str(), "{held}");

    // An upload waits too; once releases are `auto` again, what waits goes on waiting and what is new does not.
    registry.patch("/packages/acme/pay", json!({"releases": "auto"})).await.status(200);
    git(&repository, &["tag", "4.0.0"]);
    sync(&registry).await;
    let seen = seen(&registry).await;
    assert!(seen.contains(&"4.0.0.0".to_owned()) && !seen.contains(&"1.0.0.0".to_owned()), "{seen:?}");
    registry.post("/packages/acme/pay/release/9.9.9", json!({})).await.error(404, "NOT_FOUND", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_waits_for_its_time() {
    let (registry, _stop) = running().await;
    let _repository = package(&registry, json!({"releases": "delayed", "release_delay_hours": 24})).await;
    let held = version(&registry, "2.0.0").await.unwrap();
    assert!(held["release_at"].as_str() > held["held_at"].as_str(), "{held}");
    assert_eq!(seen(&registry).await.len(), BRANCHES.len());
    registry.sql("update version set release_at = now() - interval '1 second' where pretty = '2.0.0'");
    tokio::task::block_in_place(|| {
        poll_until("the release", std::time::Duration::from_secs(30), || {
            (registry.count("version where held_at is not null") == 1).then_some(())
        });
    });
    assert!(seen(&registry).await.contains(&"2.0.0.0".to_owned()));
    assert_eq!(registry.count("audit where action = 'version.release' and detail->>'version' = '2.0.0'"), 1);
}

/// G-L1: a release is what it was, unless an owner says otherwise while nobody has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_nobody_had_may_be_made_anew() {
    let (registry, _stop) = running().await;
    let repository = package(&registry, json!({})).await;
    let first = version(&registry, "1.0.0").await.unwrap();
    git(&repository, &["tag", "-f", "1.0.0", "main"]);
    assert!(sync(&registry).await.data()["skipped"].to_string().contains("moved"));

    let replace = |body: Value| registry.post("/packages/acme/pay/replace/1.0.0", body);
    replace(json!({})).await.error(422, "VALIDATION_ERROR", &["reason"]);
    let answer = replace(json!({"reason": "the wrong commit was tagged"})).await.status(200);
    assert!(answer.text("task").starts_with("task_"));
    // Whoever asks for a sync now waits for that one.
    sync(&registry).await;
    let second = version(&registry, "1.0.0").await.unwrap();
    assert_ne!(second["reference"], first["reference"]);
    let bytes = registry.sql("select string_agg(r.reference, ',') from version_reference r join version v on v.id = r.version_id where v.pretty = '1.0.0'");
    assert_eq!(json!(bytes), second["reference"], "the commit that nobody had is forgotten");
    for action in ["version.replace", "version.replaced"] {
        assert_eq!(registry.count(&format!("audit where action = '{action}'")), 1, "{action}");
    }
    assert_eq!(sync(&registry).await.data()["unchanged"], true);

    // Once, and not again.
    git(&repository, &["tag", "-f", "1.0.0", "main~1"]);
    assert!(sync(&registry).await.data()["skipped"].to_string().contains("moved"));
    assert_eq!(version(&registry, "1.0.0").await.unwrap()["reference"], second["reference"]);

    // A permission that finds its tag unmoved is used up: nobody changes the release with it later.
    git(&repository, &["tag", "-f", "1.0.0", second["reference"].as_str().unwrap()]);
    sync(&registry).await;
    replace(json!({"reason": "in case"})).await.status(200);
    sync(&registry).await;
    git(&repository, &["tag", "-f", "1.0.0", "main~1"]);
    assert!(sync(&registry).await.data()["skipped"].to_string().contains("moved"));

    // Nor is one of use that came before the first download.
    registry.sql("update version set replaceable = true where pretty = '1.0.0'");
    registry.sql("insert into download_count (tenant_id, package_name, normalized, day, downloads, bytes) select tenant_id, name, '1.0.0.0', current_date, 2, 10 from package");
    registry.sql("delete from git_ref where name = 'refs/tags/1.0.0'");
    registry.sql("update package set refs_digest = null");
    sync(&registry).await;
    assert_eq!(version(&registry, "1.0.0").await.unwrap()["reference"], second["reference"]);

    // Nor what somebody has.
    let refused = replace(json!({"reason": "again"})).await;
    refused.error(409, "CONFLICT", &[]);
    registry.post("/packages/acme/pay/replace/dev-main", json!({"reason": "x"})).await.error(409, "CONFLICT", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_refused() {
    let registry = Registry::new().await;
    for (body, field) in [
        (json!({"releases": "later"}), "releases"),
        (json!({"releases": "delayed"}), "release_delay_hours"),
        (json!({"releases": "delayed", "release_delay_hours": 0}), "release_delay_hours"),
        (json!({"releases": "delayed", "release_delay_hours": "soon"}), "release_delay_hours"),
        (json!({"releases": "manual", "release_delay_hours": 5}), "release_delay_hours"),
        (json!({"release_delay_hours": 5}), "release_delay_hours"),
        (json!({"releases": 5}), "releases"),
    ] {
        let mut whole = json!({"repository_url": "/a.git", "name": "acme/pay"});
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        registry.post("/packages", whole).await.error(422, "VALIDATION_ERROR", &[field]);
    }
    registry.package("acme/pay").await;
    let patched = |body: Value| registry.patch("/packages/acme/pay", body);
    let delayed = patched(json!({"releases": "delayed", "release_delay_hours": 48})).await.status(200);
    assert_eq!((delayed.text("releases"), &delayed.data()["release_delay_hours"]), ("delayed".into(), &json!(48)));
    let longer = patched(json!({"release_delay_hours": 72})).await.status(200);
    assert_eq!(longer.data()["release_delay_hours"], 72);
    let manual = patched(json!({"releases": "manual"})).await.status(200);
    assert_eq!(manual.data()["release_delay_hours"], Value::Null);
    let kept = patched(json!({"fork": true})).await.status(200);
    assert_eq!(kept.text("releases"), "manual");
    assert_eq!(patched(json!({"releases": null})).await.status(200).text("releases"), "auto");
    // Giving it up changes nothing of that.
    patched(json!({"releases": "manual"})).await.status(200);
    let abandoned = registry.post("/packages/acme/pay/abandon", json!({})).await.status(200);
    assert_eq!(abandoned.text("releases"), "manual");
}
