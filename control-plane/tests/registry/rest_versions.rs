//! What an operator decides about one version, and who installed it.

use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::{INSTALLS_PATH, InstallReport};
use serde_json::{Value, json};

use crate::fixture::Registry;

const DATE: &str = "2025-03-01T00:00:00Z";

async fn registry() -> Registry {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    for version in ["v1.0.0", "dev-feature/x"] {
        registry.publish("acme/pay", version).await;
    }
    registry
}

#[tokio::test(flavor = "multi_thread")]
async fn shown_by_any_of_its_names() {
    let registry = registry().await;
    for version in ["v1.0.0", "1.0.0.0", "1.0.0", "V1.0"] {
        let shown = registry.get(&format!("/packages/acme/pay/versions/{version}")).await.status(200);
        assert_eq!((shown.text("version"), shown.text("kind")), ("v1.0.0".into(), "tag".into()));
        for field in ["taken_down_at", "taken_down_reason", "deprecated_at", "replacement", "yanked_at"] {
            assert_eq!(shown.data()[field], Value::Null, "{field}");
        }
    }
    for version in ["dev-feature/x", "dev-feature%2Fx"] {
        let shown = registry.get(&format!("/packages/acme/pay/versions/{version}")).await.status(200);
        assert_eq!(shown.text("version"), "dev-feature/x");
    }
    for version in ["9", "1.0.1", "dev-feature", "%00", "x%27"] {
        registry.get(&format!("/packages/acme/pay/versions/{version}")).await.error(404, "NOT_FOUND", &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_down_and_put_back() {
    let registry = registry().await;
    let path = "/packages/acme/pay/takedown/1.0.0.0";
    for body in [json!({}), json!({"reason": null}), json!({"reason": " "}), json!({"reason": 1})] {
        registry.post(path, body).await.error(422, "VALIDATION_ERROR", &["reason"]);
    }
    let taken = registry.post(path, json!({"reason": "malware"})).await.status(200);
    let at = taken.text("taken_down_at");
    assert_eq!(taken.text("taken_down_reason"), "malware");
    let again = registry.post(path, json!({"reason": "a court"})).await.status(200);
    assert_eq!((again.text("taken_down_at"), again.text("taken_down_reason")), (at, "a court".into()));
    let back = registry.post("/packages/acme/pay/untakedown/v1.0.0", json!({})).await.status(200);
    assert_eq!((&back.data()["taken_down_at"], &back.data()["taken_down_reason"]), (&Value::Null, &Value::Null));
    registry.post("/packages/acme/pay/takedown/dev-feature/x", json!({"reason": "r"})).await.status(200);
    let audit = registry.sql("select detail->>'reason' from audit where action = 'version.takedown' order by id");
    assert_eq!(audit, "malware\na court\nr");
    registry.post("/packages/acme/pay/takedown/9.9.9", json!({"reason": "r"})).await.error(404, "NOT_FOUND", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deprecated_with_and_without_a_replacement() {
    let registry = registry().await;
    let path = "/packages/acme/pay/deprecate/dev-feature/x";
    let old = registry.post(path, json!({})).await.status(200);
    assert_eq!(old.data()["replacement"], Value::Null);
    let at = old.text("deprecated_at");
    let old = registry.post(path, json!({"replacement": "acme/new"})).await.status(200);
    assert_eq!((old.text("deprecated_at"), old.text("replacement")), (at, "acme/new".into()));
    registry.post(path, json!({"replacement": "?"})).await.error(422, "VALIDATION_ERROR", &["replacement"]);
    let back = registry.post("/packages/acme/pay/undeprecate/dev-feature/x", json!({})).await.status(200);
    assert_eq!((&back.data()["deprecated_at"], &back.data()["replacement"]), (&Value::Null, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_is_corrected_for_good() {
    let registry = registry().await;
    let path = "/packages/acme/pay/versions/v1.0.0";
    let body = json!({"published_at": DATE, "reason": "typed wrong"});
    let after = registry.patch(path, body.clone()).await.status(200);
    assert_eq!(after.text("published_at"), DATE);
    let audit = registry.sql("select detail->>'before', detail->>'reason' from audit where action = 'version.date'");
    assert_eq!(audit, "2025-01-01T00:00:00Z|typed wrong");

    // Deleted and added again, the package keeps the correction.
    registry.delete("/packages/acme/pay").await.status(200);
    registry.package("acme/pay").await;
    registry.publish("acme/pay", "v1.0.0").await;
    assert_eq!(registry.get(path).await.text("published_at"), DATE);

    for (body, fields) in [
        (json!({}), vec!["published_at", "reason"]),
        (json!({"published_at": DATE}), vec!["reason"]),
        (json!({"published_at": null, "reason": "r"}), vec!["published_at"]),
        (json!({"published_at": "tomorrow", "reason": "r"}), vec!["published_at"]),
        (json!({"published_at": "2999-01-01T00:00:00Z", "reason": "r"}), vec!["published_at"]),
        (json!({"published_at": DATE, "reason": "r", "reference": "main"}), vec!["reference"]),
        (json!({"published_at": DATE, "reason": "r", "reference": "a".repeat(40)}), vec!["reference"]),
        (json!({"published_at": DATE, "reason": "r", "yanked_at": DATE}), vec!["yanked_at"]),
    ] {
        registry.patch(path, body).await.error(422, "VALIDATION_ERROR", &fields);
    }
    registry.patch("/packages/acme/pay/versions/9.9.9", body).await.error(404, "NOT_FOUND", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_reference_of_a_branch_is_corrected_alone() {
    let registry = registry().await;
    let path = "/packages/acme/pay/versions/dev-feature/x";
    let old = "b".repeat(40);
    registry.sql(&format!(
        "insert into version_reference select tenant_id, version_id, '{old}', published_at, dist_sha256 from version_reference
         where version_id = (select id from version where pretty = 'dev-feature/x')"
    ));
    let body = json!({"published_at": DATE, "reason": "r", "reference": old});
    let after = registry.patch(path, body).await.status(200);
    assert_eq!(after.text("published_at"), "2025-01-01T00:00:00Z", "the current one stays");
    let dates = registry.sql(&format!("select published_at from version_reference where reference = '{old}'"));
    assert!(dates.starts_with("2025-03-01"), "{dates}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_installed_it() {
    let registry = registry().await;
    let path = "/packages/acme/pay/versions/v1.0.0/customers";
    assert_eq!(registry.get(path).await.status(200).data(), &json!([]));
    let mut customers = Vec::new();
    for name in ["a", "b"] {
        let id = registry.customer(name).await;
        let tokens = registry.get(&format!("/customers/{id}/tokens")).await;
        customers.push((id, tokens.data()[0]["id"].as_str().unwrap().to_owned()));
    }
    let report = |token: &str| {
        let installs = vec![(PackageName::parse("acme/pay").unwrap(), "1.0.0.0".to_owned())];
        let report = InstallReport { tenant: registry.tenant, token: token.to_owned(), installs };
        registry.edge("POST", INSTALLS_PATH).json(&serde_json::to_value(report).unwrap()).send()
    };
    for token in [&customers[0].1, &customers[1].1, &customers[1].1] {
        report(token).await.status(204);
    }
    // One that is gone, and one that never was, count for the day alone.
    report("tok_id_00000000000000000000000000000000").await.status(204);
    report("'").await.status(204);
    assert_eq!(registry.sql("select sum(installs) from install_count"), "5");
    let rows = registry.get(path).await.status(200);
    let shown: Vec<_> = rows
        .data()
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["customer"], row["installs"].as_i64().unwrap()))
        .collect();
    let [a, b] = [0, 1].map(|at: usize| json!({"id": customers[at].0, "name": (["a", "b"][at])}));
    assert_eq!(shown, [(&b, 2), (&a, 1)]);
    assert!(rows.data()[0]["last_at"].is_string());
    assert_eq!(registry.get(&format!("{path}?per_page=1")).await.body["pagination"]["total"], 2);
    registry.get("/packages/acme/pay/versions/dev-feature/x/customers").await.status(200);
    registry.get("/packages/acme/pay/versions/9/customers").await.error(404, "NOT_FOUND", &[]);

    // Reports are uses of the token too.
    registry.state.token_uses.write(registry.state.database.system()).await.unwrap();
    let token = registry.get(&format!("/customers/{}/tokens", customers[1].0)).await;
    assert!(token.data()[0]["last_used_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_of_a_package_is_chosen() {
    let registry = registry().await;
    assert_eq!(registry.get("/packages/acme/pay").await.data()["source"], Value::Null);
    let shown = registry.patch("/packages/acme/pay", json!({"source": "show"})).await.status(200);
    assert_eq!(shown.text("source"), "show");
    // Other changes leave it alone.
    assert_eq!(registry.post("/packages/acme/pay/abandon", json!({})).await.text("source"), "show");
    registry.patch("/packages/acme/pay", json!({"source": "x"})).await.error(422, "VALIDATION_ERROR", &["source"]);
    let cleared = registry.patch("/packages/acme/pay", json!({"source": null})).await.status(200);
    assert_eq!(cleared.data()["source"], Value::Null);
}
