//! `/customers/{id}/packages` and `/grants`.

use serde_json::{Value, json};

use crate::fixture::Registry;

#[tokio::test(flavor = "multi_thread")]
async fn given_changed_and_taken() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/packages");
    let body = json!({"package": "Acme/Pay", "constraint": " ^1.0 || 2.*", "minimum_stability": "ALPHA", "updates_until": "2026-01-01T00:00:00Z"});
    let grant = registry.post(&path, body.clone()).await.status(201);
    assert_eq!((grant.text("package"), grant.text("constraint")), ("acme/pay".into(), " ^1.0 || 2.*".into()));
    assert_eq!(grant.text("minimum_stability"), "alpha");
    let again = registry.post(&path, body).await.status(200);
    assert_eq!(again.text("id"), grant.text("id"), "the same grant again changes nothing");
    let bare = registry.post(&path, json!({"package": "acme/pay"})).await.status(201);
    assert_eq!((bare.text("constraint"), &bare.data()["updates_until"]), ("*".to_owned(), &Value::Null));
    assert_eq!(registry.get(&path).await.body["pagination"]["total"], 2);

    let one = format!("/customers/{customer}/grants/{}", grant.text("id"));
    assert_eq!(registry.get(&one).await.status(200).text("id"), grant.text("id"));
    let after =
        registry.patch(&one, json!({"constraint": null, "updates_until": "2027-01-01T00:00:00Z"})).await.status(200);
    assert_eq!((after.text("constraint"), after.text("minimum_stability")), ("*".into(), "alpha".into()));
    registry.patch(&one, json!({"package": "acme/x"})).await.error(422, "VALIDATION_ERROR", &["package"]);
    registry.delete(&one).await.status(200);
    registry.get(&one).await.error(404, "NOT_FOUND", &[]);

    let customers = registry.get("/packages/acme/pay/customers").await.status(200);
    assert_eq!(customers.data()[0]["customer"]["id"].as_str(), Some(customer.as_str()));
    let taken = registry.delete(&format!("{path}/Acme/pay")).await.status(200);
    assert_eq!((&taken.data()["removed"], &taken.data()["still_visible_through"]), (&json!(1), &json!([])));
    assert_eq!(taken.data()["deletions"][0]["grant"], bare.data()["id"]);
    registry.delete(&format!("{path}/acme/pay")).await.error(404, "NOT_FOUND", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stabilities_in_any_case() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let customer = registry.customer("a").await;
    for (given, kept) in
        [("STABLE", "stable"), ("rc", "RC"), ("Rc", "RC"), ("Beta", "beta"), ("aLpHa", "alpha"), ("DEV", "dev")]
    {
        let body = json!({"package": "acme/pay", "constraint": given.len().to_string(), "minimum_stability": given});
        let grant = registry.post(&format!("/customers/{customer}/packages"), body).await;
        assert_eq!(grant.text("minimum_stability"), kept);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn put_replaces_all() {
    let registry = Registry::new().await;
    for name in ["acme/a", "acme/b", "acme/c"] {
        registry.package(name).await;
    }
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/packages");
    registry.post(&path, json!({"package": "acme/a"})).await.status(201);
    let body =
        json!({"packages": [{"package": "acme/b"}, {"package": "acme/c", "constraint": "^2"}, {"package": "acme/b"}]});
    let after = registry.put(&path, body).await.status(200);
    let names: Vec<_> =
        after.data().as_array().unwrap().iter().map(|grant| grant["package"].as_str().unwrap()).collect();
    assert_eq!(names, ["acme/b", "acme/c"], "the same grant twice is one");

    // One that is wrong leaves all as it was; all that is wrong is said.
    let body = json!({"packages": [{"package": "acme/a"}, {"package": "acme/none"}, {"package": "acme/nil"}]});
    registry.put(&path, body).await.error(422, "VALIDATION_ERROR", &["packages[1].package", "packages[2].package"]);
    let body = json!({"packages": [{"constraint": "^x^"}, 7, {"package": "x", "typo": 1}], "more": 1});
    let refused = registry.put(&path, body).await.status(422);
    let wanted = [
        "packages[0].package",
        "packages[0].constraint",
        "packages[1]",
        "packages[2].package",
        "packages[2].typo",
        "more",
    ];
    assert_eq!(refused.fields(), wanted);
    registry.put(&path, json!({})).await.error(422, "VALIDATION_ERROR", &["packages"]);
    assert_eq!(registry.count("access_grant"), 2);
    registry.put(&path, json!({"packages": []})).await.status(200);
    assert_eq!(registry.count("access_grant"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn put_keeps_the_ids_of_those_that_stay() {
    let registry = Registry::new().await;
    for name in ["acme/a", "acme/b"] {
        registry.package(name).await;
    }
    registry.collection("suite", &["acme/*"]).await;
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/packages");
    let put = async |grants: Value| registry.put(&path, json!({"packages": grants})).await;
    let ids = |grants: &Value| -> Vec<Value> { grants.as_array().unwrap().iter().map(|g| g["id"].clone()).collect() };
    let subscription = |constraint: &str| json!({"collection": "suite", "constraint": constraint, "external_id": "s1"});
    let first = put(json!([{"package": "acme/a"}, {"package": "acme/b"}, subscription("^1")])).await.status(200);
    let first = ids(first.data());
    // Any order; a subscription keeps its id when its grant changes.
    let after =
        put(json!([subscription("^2"), {"package": "acme/b", "constraint": "^1"}, {"package": "acme/a"}])).await;
    let kept = ids(after.status(200).data());
    assert_eq!((&kept[0], &kept[1]), (&first[0], &first[2]));
    assert_ne!(kept[2], first[1]);
    let twice = put(json!([subscription("^2"), subscription("^3")])).await;
    twice.error(422, "VALIDATION_ERROR", &["packages[1].external_id"]);
    assert_eq!(ids(registry.get(&path).await.data()), kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let customer = registry.customer("a").await;
    let path = format!("/customers/{customer}/packages");
    registry.post(&path, json!({"package": "acme/none"})).await.error(422, "VALIDATION_ERROR", &["package"]);
    registry.post(&path, json!({"package": "no name"})).await.error(422, "VALIDATION_ERROR", &["package"]);
    let body = json!({"constraint": "^^", "minimum_stability": "x", "updates_until": 1, "customer_id": "y"});
    let wanted = ["package", "constraint", "minimum_stability", "updates_until", "customer_id"];
    registry.post(&path, body).await.error(422, "VALIDATION_ERROR", &wanted);
    let nobody = format!("cust_{}", "0".repeat(32));
    registry.post(&format!("/customers/{nobody}/packages"), json!({"package": "acme/pay"})).await.error(
        404,
        "NOT_FOUND",
        &[],
    );
    // Whoever does not exist is said before what he should get.
    registry.post(&format!("/customers/{nobody}/packages"), json!({"package": "acme/no"})).await.error(
        404,
        "NOT_FOUND",
        &[],
    );
}

/// Whatever the order, nobody is left with a right to a package that is gone, and nobody's revision is forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_races_the_deletion_of_its_package() {
    let registry = Registry::new().await;
    for round in 0..15 {
        let name = format!("acme/p{round}");
        registry.package(&name).await;
        let customer = registry.customer(&format!("c{round}")).await;
        let (path, package) = (format!("/customers/{customer}/packages"), format!("/packages/{name}"));
        let (granted, deleted) =
            tokio::join!(registry.post(&path, json!({"package": name})), registry.delete(&package));
        deleted.status(200);
        let uuid = customer.strip_prefix("cust_").unwrap();
        let told = registry.count(&format!("outbox where keys::text like '%{customer}%'"));
        let revision = registry.count(&format!("customer where id = '{uuid}' and revision > 0"));
        match granted.status.as_u16() {
            // His creation, the grant, and the deletion that took it.
            201 => assert_eq!((told, revision), (3, 1), "round {round}"),
            404 | 409 | 422 => assert_eq!(told, 1, "round {round}"),
            other => panic!("round {round}: {other} {}", granted.body),
        }
        assert_eq!(registry.count("access_grant"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_grant_given_twice_at_once_is_one() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let customer = registry.customer("a").await;
    let body = json!({"package": "acme/pay", "constraint": "^1"});
    let path = format!("/customers/{customer}/packages");
    registry.warm().await;
    let posts = (0..6).map(|_| registry.call("POST", &path).json(&body).send());
    let answers = futures::future::join_all(posts).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 5);
    assert_eq!(registry.count("access_grant"), 1);
}
