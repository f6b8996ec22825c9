//! `/customers/{id}/freeze`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixture::{Answer, Registry};

/// What he is held at, as `package version`.
fn held(answer: &Answer) -> Vec<String> {
    let rows = answer.data()["versions"].as_array().unwrap().iter();
    rows.map(|row| format!("{} {}", row["package"].as_str().unwrap(), row["version"].as_str().unwrap())).collect()
}

/// Two packages with versions, a collection of one of them, and a customer with a grant on each; his path.
async fn world(registry: &Registry) -> String {
    for (package, versions) in [
        ("acme/pay", &["v1.0.0", "1.1.0", "2.0.0", "dev-main"][..]),
        ("acme/cart", &["1.0.0"]),
        ("acme/no", &["1.0.0"]),
    ] {
        registry.package(package).await;
        for version in versions {
            registry.publish(package, version).await;
        }
    }
    registry.collection("suite", &["acme/c*"]).await;
    let path = format!("/customers/{}", registry.customer("a").await);
    let grants = json!({"packages": [{"package": "acme/pay", "constraint": "^1"}, {"collection": "suite"}]});
    registry.put(&format!("{path}/packages"), grants).await.status(200);
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_everything_seen_or_installable() {
    let registry = Registry::new().await;
    let path = world(&registry).await;
    registry.get(&format!("{path}/freeze")).await.error(404, "NOT_FOUND", &[]);
    registry.post("/packages/acme/pay/yank/1.1.0", json!({})).await.status(200);
    let frozen = registry.post(&format!("{path}/freeze"), json!({})).await.status(200);
    assert_eq!((frozen.text("status"), &frozen.data()["frozen_versions"]), ("frozen".into(), &json!(3)));
    let list = registry.get(&format!("{path}/freeze")).await.status(200);
    assert_eq!(list.text("since"), frozen.text("frozen_at"));
    // The yanked one too: locks go on.
    assert_eq!(held(&list), ["acme/cart 1.0.0", "acme/pay 1.1.0", "acme/pay v1.0.0"]);
    assert_eq!(list.data()["versions"][0]["version_normalized"], "1.0.0.0");

    registry.post(&format!("{path}/reactivate"), json!({})).await.status(200);
    registry.get(&format!("{path}/freeze")).await.error(404, "NOT_FOUND", &[]);
    let nobody = format!("/customers/cust_{}/freeze", "0".repeat(32));
    registry.post(&nobody, json!({})).await.error(404, "NOT_FOUND", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_list_exactly_those() {
    let registry = Registry::new().await;
    let path = world(&registry).await;
    registry.publish("acme/pay", "1.2.0").await;
    registry.post("/packages/acme/pay/yank/1.2.0", json!({})).await.status(200);
    let freeze = format!("{path}/freeze");
    let pair = |package: &str, version: &str| json!({"package": package, "version": version});
    let unseen = json!({"versions": [
        pair("acme/pay", "v1.0.0"), pair("acme/pay", "2.0.0"), pair("acme/pay", "9.0.0"), pair("acme/no", "1.0.0"),
        pair("acme/none", "1.0.0"), pair("Acme/Pay", "1.1.0.0"), pair("acme/pay", "1.2.0"), pair("acme/pay", "dev-main")]});
    let wanted = ["versions[1]", "versions[2]", "versions[3]", "versions[4]", "versions[6]", "versions[7]"];
    registry.post(&freeze, unseen).await.error(422, "VALIDATION_ERROR", &wanted);
    let malformed = json!({"versions": [{"package": "x"}, 1, {"package": "acme/pay", "version": "1", "x": 1}]});
    let wanted = ["versions[0].package", "versions[0].version", "versions[1]", "versions[2].x"];
    registry.post(&freeze, malformed).await.error(422, "VALIDATION_ERROR", &wanted);
    registry.post(&freeze, json!({"versions": "all"})).await.error(422, "VALIDATION_ERROR", &["versions"]);
    assert_eq!(registry.get(&path).await.text("status"), "active", "nothing was stored");

    let body =
        json!({"versions": [pair("acme/pay", "v1.0.0"), pair("acme/pay", "1.1.0.0"), pair("acme/pay", "1.1.0")]});
    let frozen = registry.post(&freeze, body).await.status(200);
    assert_eq!(frozen.data()["frozen_versions"], 2);
    assert_eq!(held(&registry.get(&freeze).await), ["acme/pay 1.1.0", "acme/pay v1.0.0"]);
    let none = registry.post(&freeze, json!({"versions": []})).await.status(200);
    assert_eq!((none.text("status"), &none.data()["frozen_versions"]), ("frozen".into(), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_again_only_within_the_first() {
    let registry = Registry::new().await;
    let path = world(&registry).await;
    let freeze = format!("{path}/freeze");
    let first = registry.post(&freeze, json!({})).await.status(200);
    registry.publish("acme/pay", "1.3.0").await;
    let newer = json!({"versions": [{"package": "acme/pay", "version": "1.3.0"}]});
    registry.post(&freeze, newer).await.error(422, "VALIDATION_ERROR", &["versions[0]"]);
    // What was granted since is not added, what was taken goes.
    let wider = json!({"packages": [{"package": "acme/pay"}]});
    registry.put(&format!("{path}/packages"), wider).await.status(200);
    let again = registry.post(&freeze, json!({})).await.status(200);
    assert_eq!(again.text("frozen_at"), first.text("frozen_at"));
    assert_eq!(held(&registry.get(&freeze).await), ["acme/pay 1.1.0", "acme/pay v1.0.0"]);
    registry.delete("/packages/acme/pay").await.status(200);
    let gone = held(&registry.get(&freeze).await);
    assert_eq!(gone, ["acme/pay 1.1.0.0", "acme/pay 1.0.0.0"], "a version that is gone has no other name left");
}

/// Who is suspended or expired is frozen at what his grants show: whoever lifts that state finds it, not nothing.
#[tokio::test(flavor = "multi_thread")]
async fn frozen_beneath_another_state() {
    let registry = Registry::new().await;
    let path = world(&registry).await;
    for action in ["suspend", "expire"] {
        registry.post(&format!("{path}/{action}"), json!({})).await.status(200);
    }
    let frozen = registry.post(&format!("{path}/freeze"), json!({})).await.status(200);
    assert_eq!((frozen.text("status"), &frozen.data()["frozen_versions"]), ("suspended".into(), &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_versions() {
    let registry = Registry::new().await;
    registry.sql(&format!(
        "insert into dist (tenant_id, sha256, sha1, size) values ('{0}', repeat('a', 64), repeat('b', 40), 1);
         insert into package (tenant_id, id, name, repository_type)
         select '{0}', gen_random_uuid(), 'acme/p' || p, 'git' from generate_series(1, 20) p;
         insert into version (tenant_id, id, package_id, normalized, pretty, stability, kind, ref_name, metadata, reference)
         select tenant_id, gen_random_uuid(), id, '1.' || v || '.0.0', '1.' || v, 'stable', 'tag', 'refs/tags/1.' || v, '{{}}', repeat('c', 40)
         from package, generate_series(1, 100) v;
         insert into version_reference (tenant_id, version_id, reference, published_at, dist_sha256)
         select tenant_id, id, reference, '2025-01-01', repeat('a', 64) from version",
        registry.tenant
    ));
    registry.collection("suite", &["acme/*"]).await;
    let path = format!("/customers/{}", registry.customer("a").await);
    registry.post(&format!("{path}/packages"), json!({"collection": "suite"})).await.status(201);
    let started = Instant::now();
    let frozen = registry.post(&format!("{path}/freeze"), json!({})).await.status(200);
    let took = started.elapsed();
    println!("froze 2,000 versions in {took:?}");
    assert_eq!(frozen.data()["frozen_versions"], 2000);
    let list = registry.get(&format!("{path}/freeze")).await.status(200);
    assert_eq!(list.data()["versions"].as_array().map(Vec::len), Some(2000));
    assert!(took < Duration::from_secs(5), "{took:?}");
    // And with all of them listed.
    let pairs: Vec<Value> = list.data()["versions"].as_array().unwrap().clone();
    let pairs: Vec<_> = pairs.iter().map(|row| json!({"package": row["package"], "version": row["version"]})).collect();
    let listed = registry.post(&format!("{path}/freeze"), json!({"versions": pairs})).await.status(200);
    assert_eq!(listed.data()["frozen_versions"], 2000);
}
