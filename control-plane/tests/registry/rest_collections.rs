//! `/collections`: packages that are granted together.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use crate::fixture::Registry;

/// Gives a customer a grant on a collection, past the API.
fn grant(registry: &Registry, customer: &str, slug: &str) {
    let customer = customer.strip_prefix("cust_").unwrap();
    registry.sql(&format!(
        "insert into access_grant (tenant_id, id, customer_id, collection_id, version_constraint)
         select tenant_id, gen_random_uuid(), '{customer}', id, '*' from collection where slug = '{slug}'"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn made_changed_and_deleted() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let body = json!({"name": " The Suite, 2nd ", "packages": ["Acme/Pay", "acme/*-pro", "acme/pay"], "constraint": " ^2 || 3.*", "minimum_stability": "BETA"});
    let made = registry.post("/collections", body).await.status(201);
    let expected = json!({
        "id": made.text("id"), "slug": "the-suite-2nd", "name": "The Suite, 2nd", "packages": ["acme/pay", "acme/*-pro"],
        "constraint": " ^2 || 3.*", "minimum_stability": "beta", "created_at": made.text("created_at"), "updated_at": made.text("updated_at"),
    });
    assert_eq!(made.data(), &expected);
    assert!(made.text("id").starts_with("coll_"));
    assert_eq!(registry.get("/collections/the-suite-2nd").await.status(200).data(), &expected);

    let bare = registry.post("/collections", json!({"name": "All", "slug": "everything", "packages": ["*"]})).await;
    let bare = bare.status(201);
    assert_eq!((bare.text("slug"), &bare.data()["constraint"]), ("everything".into(), &Value::Null));
    assert_eq!(registry.post("/collections", json!({"name": "Empty"})).await.status(201).data()["packages"], json!([]));

    let names = async |query: &str| {
        let list = registry.get(&format!("/collections{query}")).await.status(200);
        let rows = list.data().as_array().unwrap();
        let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
        (names.join("|"), list.body["pagination"]["total"].as_i64().unwrap())
    };
    assert_eq!(names("").await, ("All|Empty|The Suite, 2nd".to_owned(), 3));
    assert_eq!(names("?q=SUITE").await, ("The Suite, 2nd".to_owned(), 1));
    assert_eq!(names("?q=everyth").await, ("All".to_owned(), 1));
    assert_eq!(names("?per_page=1&page=2").await, ("Empty".to_owned(), 3));

    let path = "/collections/everything";
    for (patch, pointer, after) in [
        (json!({}), "/slug", json!("everything")),
        (json!({"constraint": "^1"}), "/constraint", json!("^1")),
        (json!({"minimum_stability": "dev"}), "/minimum_stability", json!("dev")),
        (json!({"packages": ["acme/pay"]}), "/packages", json!(["acme/pay"])),
        (json!({"packages": null}), "/packages", json!([])),
        (json!({"constraint": null, "minimum_stability": null}), "/constraint", json!(null)),
        (json!({"name": "Whole"}), "/name", json!("Whole")),
    ] {
        let after_patch = registry.patch(path, patch.clone()).await.status(200);
        assert_eq!(after_patch.data().pointer(pointer), Some(&after), "{patch}");
        assert_eq!(registry.get(path).await.data(), after_patch.data(), "{patch}");
    }
    registry.patch(path, json!({"slug": "whole"})).await.status(200);
    registry.get(path).await.error(404, "NOT_FOUND", &[]);
    assert_eq!(registry.delete("/collections/whole").await.status(200).text("id"), bare.text("id"));
    registry.delete("/collections/whole").await.error(404, "NOT_FOUND", &[]);
    registry.patch("/collections/whole", json!({})).await.error(404, "NOT_FOUND", &[]);
    assert_eq!(
        registry.sql("select action, count(*) from audit where action like 'collection.%' group by 1 order by 1"),
        "collection.create|3\ncollection.delete|1\ncollection.update|8"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_names_its_field_and_nothing_is_stored() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.post("/collections", json!({"name": "Suite", "packages": ["acme/pay"]})).await.status(201);
    let rows = |registry: &Registry| {
        registry.sql("select c::text, (select count(*) from audit), (select count(*) from outbox) from collection c")
    };
    let before = rows(&registry);
    let both = [
        (json!({"name": ""}), vec!["name"]),
        (json!({"name": null}), vec!["name"]),
        (json!({"name": "x".repeat(201)}), vec!["name"]),
        (json!({"name": "A", "slug": "A b"}), vec!["slug"]),
        (json!({"name": "A", "slug": "-a"}), vec!["slug"]),
        (json!({"name": "A", "slug": ""}), vec!["slug"]),
        (json!({"name": "A", "slug": "x".repeat(64)}), vec!["slug"]),
        (json!({"name": "A", "packages": "acme/pay"}), vec!["packages"]),
        (
            json!({"name": "A", "packages": ["acme/pay", 1, "no-slash", "acme/p y*", "", null]}),
            vec!["packages[1]", "packages[2]", "packages[3]", "packages[4]", "packages[5]"],
        ),
        // By its place in the list as it was sent.
        (
            json!({"name": "A", "packages": ["acme/pay", "acme/pay", "acme/missing", "acme/*", "no/such"]}),
            vec!["packages[2]", "packages[4]"],
        ),
        (json!({"name": "A", "packages": vec!["a/*"; 10_001]}), vec!["packages"]),
        (json!({"name": "A", "constraint": "^^1"}), vec!["constraint"]),
        (json!({"name": "A", "constraint": 1}), vec!["constraint"]),
        (json!({"name": "A", "minimum_stability": "solid"}), vec!["minimum_stability"]),
        (json!({"name": "A", "id": "coll_x", "pakages": []}), vec!["id", "pakages"]),
    ];
    for (body, fields) in &both {
        registry.post("/collections", body.clone()).await.error(422, "VALIDATION_ERROR", fields);
        registry.patch("/collections/suite", body.clone()).await.error(422, "VALIDATION_ERROR", fields);
        assert_eq!(rows(&registry), before, "{body}");
    }
    registry.post("/collections", json!({})).await.error(422, "VALIDATION_ERROR", &["name"]);
    registry.post("/collections", json!({"name": "…"})).await.error(422, "VALIDATION_ERROR", &["slug"]);
    registry.patch("/collections/suite", json!({"slug": null})).await.error(422, "VALIDATION_ERROR", &["slug"]);
    registry.delete("/collections/suite?grants=keep").await.error(422, "VALIDATION_ERROR", &["grants"]);
    let refused = registry.post("/collections", json!({"name": "A", "packages": ["no/such"]})).await.status(422);
    let message = refused.body["error"]["details"][0]["message"].as_str().unwrap();
    assert_eq!(message, "there is no package `no/such`; add it first, or use a pattern");
    assert_eq!(rows(&registry), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slug_is_taken_once() {
    let registry = Registry::new().await;
    registry.post("/collections", json!({"name": "Suite"})).await.status(201);
    registry.post("/collections", json!({"name": "Other"})).await.status(201);
    let before = (registry.count("audit"), registry.count("outbox"), registry.count("collection"));
    registry.post("/collections", json!({"name": "suite!"})).await.error(409, "CONFLICT", &[]);
    registry.post("/collections", json!({"name": "X", "slug": "suite"})).await.error(409, "CONFLICT", &[]);
    registry.patch("/collections/other", json!({"slug": "suite"})).await.error(409, "CONFLICT", &[]);
    assert_eq!((registry.count("audit"), registry.count("outbox"), registry.count("collection")), before);
    // Its own is no other's.
    registry.patch("/collections/suite", json!({"slug": "suite"})).await.status(200);

    registry.warm().await;
    let all = (0..8).map(|_| registry.post("/collections", json!({"name": "At once"})));
    let answers = futures::future::join_all(all).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_outlives_its_package() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.package("acme/cart").await;
    registry.post("/collections", json!({"name": "Suite", "packages": ["acme/pay", "acme/cart"]})).await.status(201);
    registry.delete("/packages/acme/pay").await.status(200);
    let path = "/collections/suite";
    assert_eq!(registry.get(path).await.data()["packages"], json!(["acme/pay", "acme/cart"]));
    // Written back as read, with more.
    let more = json!({"packages": ["acme/pay", "acme/cart", "zeta/*"]});
    assert_eq!(registry.patch(path, more.clone()).await.status(200).data()["packages"], more["packages"]);
    // Once left out, it is like any other name.
    registry.patch(path, json!({"packages": ["acme/cart"]})).await.status(200);
    registry.patch(path, json!({"packages": ["acme/pay"]})).await.error(422, "VALIDATION_ERROR", &["packages[0]"]);
    registry.package("acme/pay").await;
    registry.patch(path, json!({"packages": ["acme/pay"]})).await.status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_grants_on_it_it_goes_only_when_told_so() {
    let registry = Registry::new().await;
    registry.post("/collections", json!({"name": "Suite", "packages": ["acme/*"]})).await.status(201);
    let (one, two) = (registry.customer("one").await, registry.customer("two").await);
    let bystander = registry.customer("bystander").await;
    for customer in [&one, &two] {
        grant(&registry, customer, "suite");
        grant(&registry, customer, "suite");
    }
    let revisions = |registry: &Registry| registry.sql("select id, revision from customer order by id");
    let before = (revisions(&registry), registry.count("audit"), registry.count("outbox"));
    let refused = registry.delete("/collections/suite").await.error(409, "CONFLICT", &[]);
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("2 customers have grants on the collection `suite`"), "{message}");
    assert!(message.ends_with("take its grants away first, or add ?grants=delete"), "{message}");
    assert_eq!((revisions(&registry), registry.count("audit"), registry.count("outbox")), before);

    registry.delete("/collections/suite?grants=delete").await.status(200);
    assert_eq!((registry.count("access_grant"), registry.count("collection")), (0, 0));
    let told = registry.sql(&format!(
        "select kind, keys->>'customer' from outbox where id > {} order by kind, keys->>'customer'",
        before.2
    ));
    let mut customers = [one, two].map(|id| format!("customer|{id}"));
    customers.sort();
    assert_eq!(told, format!("collection|\n{}", customers.join("\n")));
    let changed = registry.sql(&format!("select id::text, revision from customer where id = '{}'", &bystander[5..]));
    assert!(before.0.contains(&changed), "who had none keeps his revision: {changed}");
}

/// A grant that is being given while the collection is deleted is either counted or refused, never lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_given_at_the_same_moment_counts() {
    let registry = Registry::new().await;
    registry.post("/collections", json!({"name": "Suite", "packages": ["acme/*"]})).await.status(201);
    let customer = registry.customer("one").await;
    let mut other = PgConnection::connect_with(&registry.options).await.unwrap();
    let mut giving = other.begin().await.unwrap();
    let insert = format!(
        "insert into access_grant (tenant_id, id, customer_id, collection_id, version_constraint)
         select tenant_id, gen_random_uuid(), '{}', id, '*' from collection",
        &customer[5..]
    );
    giving.execute(sqlx::query(sqlx::AssertSqlSafe(insert))).await.unwrap();
    let deleting = tokio::spawn(registry.call("DELETE", "/collections/suite").send());
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let deadline = Instant::now() + Duration::from_secs(10);
    while registry.sql(waits) != "1" {
        assert!(Instant::now() < deadline, "the deletion does not wait for the grant");
        tokio::task::yield_now().await;
    }
    giving.commit().await.unwrap();
    deleting.await.unwrap().error(409, "CONFLICT", &[]);
    assert_eq!((registry.count("access_grant"), registry.count("collection")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_each_tenant_for_itself() {
    let registry = Registry::new().await;
    registry.post("/tenants", json!({"slug": "second"})).await.status(201);
    let call = |method: &str, path: &str, tenant: &str| registry.call(method, path).tenant(tenant);
    let package = json!({"repository_url": "/a.git", "name": "acme/pay"});
    call("POST", "/packages", "default").json(&package).send().await.status(201);
    let body = json!({"name": "Suite", "packages": ["acme/pay"]});
    let made = call("POST", "/collections", "default").json(&body).send().await.status(201);
    for (method, path) in
        [("GET", "/collections/suite"), ("PATCH", "/collections/suite"), ("DELETE", "/collections/suite?grants=delete")]
    {
        call(method, path, "second").send().await.error(404, "NOT_FOUND", &[]);
    }
    assert_eq!(call("GET", "/collections", "second").send().await.body["pagination"]["total"], 0);
    // The other's package is none of its own, and its slug is free.
    call("POST", "/collections", "second").json(&body).send().await.error(422, "VALIDATION_ERROR", &["packages[0]"]);
    let own = json!({"name": "Suite", "packages": ["acme/*"]});
    call("POST", "/collections", "second").json(&own).send().await.status(201);
    let first = call("GET", "/collections/suite", "default").send().await.status(200);
    assert_eq!(first.data(), made.data());
}
