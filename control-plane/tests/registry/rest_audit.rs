//! `/audit`: who did what, in a chain that nobody changes unnoticed.

use serde_json::json;

use crate::fixture::Registry;

async fn verified(registry: &Registry) -> (bool, i64, Option<i64>) {
    let proof = registry.get("/audit/verify").await.status(200).data().clone();
    (proof["valid"] == true, proof["entries"].as_i64().unwrap(), proof["broken_at"].as_i64())
}

/// As somebody would who has the database to himself.
fn tamper(registry: &Registry, statement: &str) {
    registry.sql(&format!(
        "alter table audit disable trigger audit_stays; {statement}; alter table audit enable trigger audit_stays"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_chained_and_cannot_be_changed_unnoticed() {
    let registry = Registry::new().await;
    let system = registry.state.database.system();
    while system.chain_audit(100).await.unwrap() > 0 {}
    let (_, before, _) = verified(&registry).await;
    for name in ["a", "b", "c", "d"] {
        registry.customer(name).await;
    }
    assert_eq!(verified(&registry).await, (true, before, None), "a place is given after the commit");
    // No more at once than is asked for.
    assert_eq!(system.chain_audit(3).await.unwrap(), 3);
    assert!(system.chain_audit(100).await.unwrap() >= 1);
    assert_eq!(system.chain_audit(100).await.unwrap(), 0);
    let (valid, entries, _) = verified(&registry).await;
    assert!(valid && entries >= before + 4, "{entries}");

    let listed = registry.get("/audit?action=customer.create&per_page=2").await.status(200);
    assert_eq!(listed.body["pagination"]["total"], 4);
    let rows = listed.data().as_array().unwrap();
    let seq = |at: usize| rows[at]["seq"].as_i64().unwrap();
    assert!(seq(0) > seq(1), "the newest first: {rows:?}");
    assert_eq!(rows[0]["actor"], "root");
    assert_eq!(rows[0]["hash"].as_str().unwrap().len(), 64);

    let refused = registry.state.database.system().chain_audit(1).await;
    assert_eq!(refused.unwrap(), 0);
    for (change, broken) in [
        (format!("update audit set detail = '{{}}' where seq = {}", seq(1)), seq(1)),
        (format!("update audit set actor = 'credential:x' where seq = {}", seq(1)), seq(1)),
        (format!("update audit set at = at - interval '1 microsecond' where seq = {}", seq(1)), seq(1)),
        (format!("delete from audit where seq = {}", seq(1)), seq(1)),
        (format!("delete from audit where seq = {entries}"), entries),
        ("delete from audit".to_owned(), 1),
    ] {
        registry.sql("create table kept as select * from audit");
        tamper(&registry, &change);
        let proof = verified(&registry).await;
        assert!(!proof.0 && proof.2 == Some(broken), "{change}: {proof:?}");
        registry
            .sql("delete from audit; insert into audit overriding system value select * from kept; drop table kept");
        assert_eq!(verified(&registry).await, (true, entries, None), "put back");
    }
    let error = registry.sql("do $$ begin update audit set detail = '{}' where seq = 1; exception when others then raise notice 'no'; end $$; select detail::text = '{}' and false from audit where seq = 1");
    assert_eq!(error, "f");
    assert_eq!(verified(&registry).await, (true, entries, None), "the trigger held it");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tenant_has_a_chain_of_its_own() {
    let registry = Registry::new().await;
    registry.post("/tenants", json!({"slug": "second", "name": "Second"})).await.status(201);
    let make = |slug: &'static str, name: &'static str| {
        registry.call("POST", "/customers").tenant(slug).json(&json!({"name": name})).send()
    };
    make("default", "Ann").await.status(201);
    make("second", "Bob").await.status(201);
    while registry.state.database.system().chain_audit(100).await.unwrap() > 0 {}
    for (slug, other) in [("default", "Bob"), ("second", "Ann")] {
        let listed = registry.call("GET", "/audit?per_page=200").tenant(slug).send().await.status(200);
        let rows = listed.data().as_array().unwrap();
        let places: Vec<i64> = rows.iter().rev().map(|row| row["seq"].as_i64().unwrap()).collect();
        assert_eq!(places, (1..=i64::try_from(rows.len()).unwrap()).collect::<Vec<_>>(), "{slug}");
        assert!(!listed.body.to_string().contains(other), "{slug}: {}", listed.body);
        let proof = registry.call("GET", "/audit/verify").tenant(slug).send().await.status(200);
        assert_eq!(
            (proof.data()["valid"].as_bool(), proof.data()["entries"].as_i64()),
            (Some(true), places.last().copied())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for() {
    let registry = Registry::new().await;
    registry.customer("a").await;
    for (query, total) in [
        ("actor=root&action=customer.", 1),
        ("actor=nobody", 0),
        ("action=customer", 0),
        ("action=customer.create&from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00%2B01:00", 0),
        ("action=customer.create&from=2020-01-01T00:00:00Z", 1),
    ] {
        let listed = registry.get(&format!("/audit?{query}")).await.status(200);
        assert_eq!(listed.body["pagination"]["total"], total, "{query}");
    }
    registry.get("/audit?from=yesterday&page=1&who=x").await.error(422, "VALIDATION_ERROR", &["who", "from"]);
    registry.get("/audit?actor=%00").await.error(422, "VALIDATION_ERROR", &["actor"]);
}
