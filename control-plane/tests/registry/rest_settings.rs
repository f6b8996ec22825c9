//! `/settings`: what a tenant chooses for all his customers.

use serde_json::{Value, json};

use crate::fixture::Registry;

fn defaults() -> Value {
    json!({
        "source": "hide",
        "minimum_stability": null,
        "lapsed": {"suspended": "forbid", "expired": "forbid"},
        "renew_url": null,
        "messages": {},
        "brake": {"customers_per_hour": 1000},
        "outage": {"mode": "serve-stale", "grace_seconds": null},
        "dist_redirects": false,
    })
}

/// Merges as RFC 7396 does, but that null stands for the default where there is one.
#[tokio::test(flavor = "multi_thread")]
async fn merged_deeply() {
    let registry = Registry::new().await;
    let mut expected = defaults();
    assert_eq!(registry.get("/settings").await.status(200).data(), &expected);
    let words = "Dear {customer}, renew at {renew_url}";
    for (patch, pointer, after) in [
        (json!({}), "/source", json!("hide")),
        (json!({"source": "show"}), "/source", json!("show")),
        (json!({"minimum_stability": "rc"}), "/minimum_stability", json!("RC")),
        (json!({"lapsed": {"expired": "keep"}}), "/lapsed/expired", json!("keep")),
        (json!({"lapsed": {"suspended": "keep-metadata"}}), "/lapsed/suspended", json!("keep-metadata")),
        (json!({"lapsed": {"expired": null}}), "/lapsed/expired", json!("forbid")),
        (json!({"lapsed": null}), "/lapsed", json!({"suspended": "forbid", "expired": "forbid"})),
        (json!({"renew_url": "https://acme.example/renew"}), "/renew_url", json!("https://acme.example/renew")),
        (json!({"messages": {"renewal": words}}), "/messages", json!({"renewal": words})),
        (json!({"messages": {"expired": "Over."}}), "/messages", json!({"renewal": words, "expired": "Over."})),
        (json!({"messages": {"renewal": null}}), "/messages", json!({"expired": "Over."})),
        (json!({"messages": {"renewal": null}}), "/messages", json!({"expired": "Over."})),
        (json!({"messages": null}), "/messages", json!({})),
        (json!({"brake": {"customers_per_hour": 1}}), "/brake/customers_per_hour", json!(1)),
        (json!({"brake": {}}), "/brake/customers_per_hour", json!(1)),
        (json!({"brake": {"customers_per_hour": null}}), "/brake/customers_per_hour", json!(null)),
        (json!({"brake": null}), "/brake/customers_per_hour", json!(1000)),
        (json!({"brake": {"customers_per_hour": 1_000_000}}), "/brake/customers_per_hour", json!(1_000_000)),
        (json!({"outage": {"mode": "fail-closed"}}), "/outage/mode", json!("fail-closed")),
        (json!({"outage": {"grace_seconds": 0}}), "/outage/grace_seconds", json!(0)),
        (json!({"outage": {"mode": null}}), "/outage/mode", json!("serve-stale")),
        (json!({"outage": {"grace_seconds": 2_592_000}}), "/outage/grace_seconds", json!(2_592_000)),
        (json!({"outage": null}), "/outage", json!({"mode": "serve-stale", "grace_seconds": null})),
        (json!({"dist_redirects": false}), "/dist_redirects", json!(false)),
        (json!({"dist_redirects": null}), "/dist_redirects", json!(false)),
        (json!({"renew_url": null}), "/renew_url", json!(null)),
        (json!({"minimum_stability": null}), "/minimum_stability", json!(null)),
        (json!({"source": null}), "/source", json!("hide")),
    ] {
        *expected.pointer_mut(pointer).unwrap() = after;
        assert_eq!(registry.patch("/settings", patch.clone()).await.status(200).data(), &expected, "{patch}");
        assert_eq!(registry.get("/settings").await.data(), &expected, "{patch}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_names_its_field_and_nothing_is_stored() {
    let registry = Registry::new().await;
    registry.patch("/settings", json!({"lapsed": {"expired": "keep"}})).await.status(200);
    let rows = |registry: &Registry| {
        registry.sql(
            "select settings::text, revision, (select count(*) from audit), (select count(*) from outbox) from tenant",
        )
    };
    let before = rows(&registry);
    for (patch, fields) in [
        (json!({"source": "x", "sauce": 1}), vec!["source", "sauce"]),
        (json!({"minimum_stability": "solid"}), vec!["minimum_stability"]),
        (json!({"lapsed": {"suspended": "keepall"}}), vec!["lapsed.suspended"]),
        (
            json!({"lapsed": {"suspended": 1, "expired": "", "frozen": "keep"}}),
            vec!["lapsed.suspended", "lapsed.expired", "lapsed.frozen"],
        ),
        (json!({"lapsed": "keep"}), vec!["lapsed"]),
        (json!({"messages": {"renewal": "{custmer}"}}), vec!["messages.renewal"]),
        (json!({"messages": {"renewal": "{customer"}}), vec!["messages.renewal"]),
        (json!({"messages": {"expired": " "}}), vec!["messages.expired"]),
        (json!({"messages": {"expired": "x".repeat(501)}}), vec!["messages.expired"]),
        (json!({"messages": {"expired": "a\u{1b}[31m"}}), vec!["messages.expired"]),
        (json!({"messages": {"birthday": "Hello"}}), vec!["messages.birthday"]),
        (json!({"messages": {"expired": 1}}), vec!["messages.expired"]),
        (json!({"messages": []}), vec!["messages"]),
        (json!({"renew_url": "acme.example"}), vec!["renew_url"]),
        (json!({"renew_url": "javascript:alert(1)"}), vec!["renew_url"]),
        (json!({"brake": {"customers_per_hour": 0}}), vec!["brake.customers_per_hour"]),
        (json!({"brake": {"customers_per_hour": 1_000_001}}), vec!["brake.customers_per_hour"]),
        (json!({"brake": {"customers_per_hour": "many"}}), vec!["brake.customers_per_hour"]),
        (json!({"brake": 5}), vec!["brake"]),
        (json!({"dist_redirects": "yes"}), vec!["dist_redirects"]),
        // Dists lie in a folder here.
        (json!({"dist_redirects": true}), vec!["dist_redirects"]),
        (json!({"outage": {"mode": "open", "grace": 1}}), vec!["outage.mode", "outage.grace"]),
        (json!({"outage": {"grace_seconds": -1}}), vec!["outage.grace_seconds"]),
        (json!({"outage": {"grace_seconds": 2_592_001}}), vec!["outage.grace_seconds"]),
        (json!({"outage": {"grace_seconds": "a day"}}), vec!["outage.grace_seconds"]),
        // What is good beside it is not stored either.
        (
            json!({"source": "show", "lapsed": {"expired": "forbid"}, "brake": {"customers_per_hour": -1}}),
            vec!["brake.customers_per_hour"],
        ),
    ] {
        let refused = registry.patch("/settings", patch.clone()).await;
        refused.error(422, "VALIDATION_ERROR", &fields);
        assert_eq!(rows(&registry), before, "{patch}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_first_release_read_well() {
    let registry = Registry::new().await;
    for (row, source) in [("{}", "hide"), (r#"{"source":"show"}"#, "show")] {
        registry.sql(&format!("update tenant set settings = '{row}'"));
        let mut expected = defaults();
        expected["source"] = json!(source);
        assert_eq!(registry.get("/settings").await.status(200).data(), &expected, "{row}");
    }
    let mut expected = defaults();
    expected["source"] = json!("show");
    expected["lapsed"]["expired"] = json!("keep");
    assert_eq!(registry.patch("/settings", json!({"lapsed": {"expired": "keep"}})).await.data(), &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_each_tenant_for_itself() {
    let registry = Registry::new().await;
    registry.post("/tenants", json!({"slug": "second"})).await.status(201);
    let call = |method: &str, tenant: &str| registry.call(method, "/settings").tenant(tenant);
    let brake = json!({"brake": {"customers_per_hour": 3}});
    call("PATCH", "second").json(&brake).send().await.status(200);
    assert_eq!(call("GET", "default").send().await.status(200).data(), &defaults());
    assert_eq!(call("GET", "second").send().await.status(200).data()["brake"], brake["brake"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_at_once_both_hold() {
    let registry = Registry::new().await;
    registry.warm().await;
    for round in 1..=10 {
        let first = json!({"brake": {"customers_per_hour": round}});
        let second = json!({"messages": {"expired": format!("Over {round}.")}});
        let (one, other) = tokio::join!(registry.patch("/settings", first), registry.patch("/settings", second));
        one.status(200);
        other.status(200);
        let now = registry.get("/settings").await;
        assert_eq!(now.data()["brake"]["customers_per_hour"], round);
        assert_eq!(now.data()["messages"]["expired"], format!("Over {round}."));
    }
}
