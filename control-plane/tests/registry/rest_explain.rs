//! `/explain`: why somebody sees a version or does not.

use serde_json::{Value, json};

use crate::fixture::{Answer, Registry};

/// A package of three versions and a branch with an earlier commit; a customer with a grant on what begins with 1.
async fn world(registry: &Registry) -> (String, String, String) {
    registry.package("acme/pay").await;
    for version in ["1.0.0", "2.0.0", "2.1.0", "dev-main"] {
        registry.publish("acme/pay", version).await;
    }
    registry.sql("update version_reference r set published_at = '2025-08-01' from version v where v.id = r.version_id and v.pretty = '2.1.0'");
    registry.sql("insert into version_reference select tenant_id, version_id, repeat('ab', 20), '2024-01-01', dist_sha256 from version_reference where version_id = (select id from version where pretty = 'dev-main')");
    let made = registry.post("/customers", json!({"name": "Ann"})).await.status(201);
    let customer = made.text("id");
    let path = format!("/customers/{customer}/packages");
    let body = json!({"package": "acme/pay", "constraint": " ^1.0"});
    let grant = registry.post(&path, body).await.status(201).text("id");
    let token =
        registry.get(&format!("/customers/{customer}/tokens")).await.data()[0]["id"].as_str().unwrap().to_owned();
    (customer, token, grant)
}

async fn explain(registry: &Registry, query: &str) -> Answer {
    registry.get(&format!("/explain?{query}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_with_its_reason() {
    let registry = Registry::new().await;
    let (customer, _, grant) = world(&registry).await;
    let until = json!({"package": "acme/pay", "constraint": "^2", "updates_until": "2025-01-31T00:00:00Z"});
    let second = registry.post(&format!("/customers/{customer}/packages"), until).await.status(201).text("id");
    let answer = explain(&registry, &format!("customer={customer}&package=Acme/pay")).await.status(200);
    assert_eq!(answer.data()["customer"], json!({"id": customer, "name": "Ann", "status": "active"}));
    assert_eq!((answer.text("package"), &answer.data()["token"]), ("acme/pay".to_owned(), &Value::Null));
    let rows = answer.data()["versions"].as_array().unwrap();
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["version"].as_str().unwrap(),
                row["visible"] == true,
                row["installable"] == true,
                row["words"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let main = format!(
        "hidden: every grant on the package leaves it out: {grant} by its constraint ^1.0 and its stability; {second} by its constraint ^2 and its stability"
    );
    let wanted = [
        (
            "2.1.0",
            false,
            false,
            format!(
                "hidden: every grant on the package leaves it out: {grant} by its constraint ^1.0; {second} by the end of its updates, 2025-01-31; updates were paid for until 2025-01-31, and a renewal alone would show it"
            ),
        ),
        ("2.0.0", true, true, format!("visible: {second} (^2, until 2025-01-31) shows it")),
        ("1.0.0", true, true, format!("visible: {grant} (^1.0) shows it")),
        ("dev-main", false, false, main.clone()),
        ("dev-main", false, false, main),
    ];
    assert_eq!(shown, wanted);
    assert_eq!(
        (&rows[1]["rule"]["rule"], &rows[1]["grants"][0]["failed"]["constraint"]),
        (&json!("granted"), &json!(true))
    );
    assert_eq!(rows[1]["grants"][1]["grant"].as_str(), Some(second.as_str()));

    // One version has its answer at the top as well.
    for version in ["2.0.0", "2.0.0.0"] {
        let query = format!("customer={customer}&package=acme/pay&version={version}");
        let one = explain(&registry, &query).await.status(200);
        assert_eq!((&one.data()["visible"], one.text("words")), (&json!(true), wanted[1].3.clone()));
        assert_eq!((&one.data()["versions"][0], one.data()["versions"].as_array().unwrap().len()), (&rows[1], 1));
        for field in ["installable", "rule", "grants"] {
            assert_eq!(one.data()[field], rows[1][field]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_commit_of_a_branch() {
    let registry = Registry::new().await;
    let (customer, ..) = world(&registry).await;
    let body = json!({"packages": [{"package": "acme/pay", "minimum_stability": "dev", "updates_until": "2024-06-01T00:00:00Z"}]});
    registry.put(&format!("/customers/{customer}/packages"), body).await.status(200);
    let query = format!("customer={customer}&package=acme/pay&version=dev-main");
    let answer = explain(&registry, &query).await.status(200);
    assert_eq!(answer.data()["installable"], false, "the newest came after his time");
    let past = &answer.data()["versions"][1];
    assert_eq!(
        (&past["current"], &past["visible"], &past["installable"]),
        (&json!(false), &json!(false), &json!(true))
    );
    assert!(past["words"].as_str().unwrap().contains("an earlier commit of its branch"), "{past}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_narrows() {
    let registry = Registry::new().await;
    let (customer, token, _) = world(&registry).await;
    let query = format!("token_id={token}&package=acme/pay&version=1.0.0");
    let answer = explain(&registry, &query).await.status(200);
    assert_eq!(
        (answer.data()["token"]["id"].as_str(), &answer.data()["visible"]),
        (Some(token.as_str()), &json!(true))
    );
    registry.delete(&format!("/customers/{customer}/tokens/{token}")).await.status(200);
    let revoked = explain(&registry, &query).await.status(200);
    assert!(revoked.text("words").starts_with("hidden: the token was revoked on "), "{}", revoked.body);
    let path = format!("/customers/{customer}/tokens");
    let narrow = registry.post(&path, json!({"name": "n", "package_scopes": ["x/*"]})).await.status(201);
    let narrow = narrow.data()["token"]["id"].as_str().unwrap().to_owned();
    let answer = explain(&registry, &format!("token_id={narrow}&package=acme/pay&version=1.0.0")).await;
    assert_eq!(answer.text("words"), "hidden: the token is narrowed to other packages");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_here_is_not_found() {
    let registry = Registry::new().await;
    let (customer, token, _) = world(&registry).await;
    let (nobody, nothing) = (format!("cust_{}", "0".repeat(32)), format!("tok_id_{}", "0".repeat(32)));
    for (query, words) in [
        (format!("customer={nobody}&package=acme/pay"), "customer not found"),
        (format!("customer={token}&package=acme/pay"), "customer not found"),
        (format!("token_id={nothing}&package=acme/pay"), "token not found"),
        (format!("customer={customer}&package=acme/none"), "package not found"),
        (format!("customer={customer}&package=no name"), "package not found"),
        (format!("customer={customer}&package=acme/pay&version=9.9.9"), "version not found"),
    ] {
        let answer = explain(&registry, &query.replace(' ', "%20")).await.error(404, "NOT_FOUND", &[]);
        assert_eq!(answer.body["error"]["message"], words, "{query}");
    }
    for (query, fields) in [
        ("package=acme/pay".to_owned(), vec!["customer"]),
        (format!("customer={customer}&token_id={token}&package=acme/pay"), vec!["customer"]),
        (format!("customer={customer}"), vec!["package"]),
        (format!("customer={customer}&package=acme/pay&verson=1"), vec!["verson"]),
    ] {
        explain(&registry, &query).await.error(422, "VALIDATION_ERROR", &fields);
    }
    // A package without versions has nothing to explain.
    registry.package("acme/empty").await;
    let empty = explain(&registry, &format!("customer={customer}&package=acme/empty")).await.status(200);
    assert_eq!(empty.data()["versions"], json!([]));

    registry.post("/tenants", json!({"slug": "second"})).await.status(201);
    for query in [format!("customer={customer}&package=acme/pay"), format!("token_id={token}&package=acme/pay")] {
        let call = registry.call("GET", &format!("/explain?{query}")).tenant("second");
        call.send().await.error(404, "NOT_FOUND", &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_named_by_its_slug() {
    let registry = Registry::new().await;
    let (customer, _, _) = world(&registry).await;
    registry.collection("suite", &["acme/*"]).await;
    registry.post(&format!("/customers/{customer}/packages"), json!({"collection": "suite"})).await.status(201);
    let answer = explain(&registry, &format!("customer={customer}&package=acme/pay&version=2.0.0")).await.status(200);
    let grants = answer.data()["grants"].as_array().unwrap();
    let collections: Vec<&Value> = grants.iter().map(|grant| &grant["collection"]).collect();
    assert_eq!(collections, [&Value::Null, &json!("suite")]);
    assert_eq!(answer.data()["visible"], true);
}
