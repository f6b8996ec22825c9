//! `/deletions` and `/restore`: what is deleted is gone, and comes back exactly as it was.

use cargoman_composer::name::PackageName;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{Key, KnownKey, READ_PATH, ReadRequest};
use serde_json::{Value, json};

use crate::fixture::Registry;

/// Every row of the tables that a deletion touches, verbatim but for revisions.
fn rows(registry: &Registry) -> Vec<String> {
    ["customer", "token", "access_grant", "package", "version", "version_reference", "git_ref"]
        .iter()
        .map(|table| {
            let row = r#"regexp_replace(row_to_json(t)::text, '"revision":\d+', '')"#;
            registry.sql(&format!("select '{table} ' || {row} from {table} t order by 1"))
        })
        .collect()
}

/// What an edge reads of the package and of the bearer of the token, as it comes over the wire, without revisions.
async fn facts(registry: &Registry, package: &str, token: &str) -> Vec<Value> {
    let tenant = registry.tenant;
    let keys = [
        Key::Package { tenant, name: PackageName::parse(package).unwrap() },
        Key::Access { tenant, digest: Digest::of(token.as_bytes()) },
    ];
    let keys = keys.into_iter().map(|key| KnownKey { key, revision: None }).collect();
    let request = serde_json::to_value(ReadRequest { keys }).unwrap();
    let answer = registry.edge("POST", READ_PATH).json(&request).send().await.status(200);
    let mut answers = answer.body["answers"].as_array().unwrap().clone();
    for answer in &mut answers {
        answer.as_object_mut().unwrap().remove("revision");
    }
    answers
}

fn absent(fact: &Value) -> bool {
    fact["answer"] == "absent"
}

/// A package with odd metadata and a customer with a bit of everything, with a grant on it.
async fn world(registry: &Registry) -> (String, String, String) {
    registry.package("acme/pay").await;
    registry.publish("acme/pay", "1.0.0").await;
    registry.publish("acme/pay", "dev-main").await;
    let made = registry.post("/customers", json!({"name": "Ann", "external_id": "e1"})).await.status(201);
    let (customer, token) = (made.text("id"), made.text("token"));
    let path = format!("/customers/{customer}/packages");
    let grant = registry.post(&path, json!({"package": "acme/pay", "constraint": " ^1 "})).await.status(201).text("id");
    registry.sql(r#"update version set metadata = '{"name":"acme/pay", "zeta": 1.0,"alpha":[ 1e3, "\u00e9\/"],"n":null}', aliases = '{"a,b","1.x-dev"}'"#);
    registry.sql(r#"update customer set metadata = '{"b": 1.10, "a":{"x":null}}', suspended_at = '2026-01-01 10:00:00.123456+02', suspended_reason = 'a "b" \ c', may_publish = '{acme/*}', source = 'show', frozen = '{"since":"2026-01-01T00:00:00Z",  "packages":{}}'"#);
    registry.sql("update token set package_scopes = '{acme/*,x/y}', last_used_at = now()");
    registry.sql(
        "insert into git_ref select tenant_id, id, 'refs/heads/x', 'abc', null, false, 'odd', 'because' from package",
    );
    (customer, token, grant)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_comes_back_as_he_was() {
    let registry = Registry::new().await;
    let (customer, token, _) = world(&registry).await;
    let (before, known) = (rows(&registry), facts(&registry, "acme/pay", &token).await);
    assert!(!absent(&known[1]), "{known:?}");
    let shown = registry.get(&format!("/customers/{customer}")).await.data().clone();
    let gone = registry.delete(&format!("/customers/{customer}")).await.status(200);
    let deletion = gone.data()["deletion"]["id"].as_str().unwrap().to_owned();
    assert!(gone.data()["deletion"]["restorable_until"].as_str().unwrap().ends_with('Z'));
    assert!(absent(&facts(&registry, "acme/pay", &token).await[1]), "his token is like an unknown one");
    assert_eq!((registry.count("token"), registry.count("access_grant")), (0, 0));
    let listed = registry.get("/deletions?kind=customer").await.status(200);
    let row = &listed.data()[0];
    assert_eq!((row["id"].as_str(), row["subject"].as_str()), (Some(deletion.as_str()), Some(customer.as_str())));
    assert_eq!((row["name"].as_str(), row["deleted_by"].as_str()), (Some("Ann"), Some("root")));
    assert_eq!(registry.get("/deletions?kind=package").await.body["pagination"]["total"], 0);

    let back = registry.post(&format!("/customers/{customer}/restore"), json!({})).await.status(200);
    assert_eq!((back.text("id"), &back.data()["skipped"]), (customer.clone(), &json!([])));
    assert_eq!(registry.get(&format!("/customers/{customer}")).await.data(), &shown);
    assert_eq!(rows(&registry), before);
    assert_eq!(facts(&registry, "acme/pay", &token).await, known);
    assert_eq!(registry.count("deletion"), 0);
    registry.post(&format!("/deletions/{deletion}/restore"), json!({})).await.error(404, "NOT_FOUND", &[]);
    registry.post(&format!("/customers/{customer}/restore"), json!({})).await.error(404, "NOT_FOUND", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_comes_back_as_it_was() {
    let registry = Registry::new().await;
    let (_, token, grant) = world(&registry).await;
    let (before, known) = (rows(&registry), facts(&registry, "acme/pay", &token).await);
    let directory = || registry.sql("select directory_revision from tenant");
    let first = directory();
    let gone = registry.delete("/packages/acme/pay").await.status(200);
    assert!(absent(&facts(&registry, "acme/pay", &token).await[0]));
    let second = directory();
    assert_ne!(first, second);
    let deletion = gone.data()["deletion"]["id"].as_str().unwrap().to_owned();
    let back = registry.post(&format!("/deletions/{deletion}/restore"), json!({})).await.status(200);
    assert_eq!((back.text("name"), &back.data()["versions"]), ("acme/pay".to_owned(), &json!(2)));
    assert_ne!(directory(), second);
    assert_eq!(rows(&registry), before);
    assert_eq!(facts(&registry, "acme/pay", &token).await, known);
    assert!(before[2].contains(&grant.replace("grant_", "")[..8]), "the grant was among them");
    // And once more, by its name.
    registry.delete("/packages/acme/pay").await.status(200);
    registry.post("/packages/Acme/pay/restore", json!({})).await.status(200);
    assert_eq!(rows(&registry), before);
    for kind in ["package", "directory", "customer"] {
        let told = registry.count(&format!("outbox where kind = '{kind}'"));
        assert!(told >= 4, "{kind}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_comes_back_as_it_was() {
    let registry = Registry::new().await;
    let (customer, token, grant) = world(&registry).await;
    let path = format!("/customers/{customer}/grants/{grant}");
    let (before, known) = (rows(&registry), facts(&registry, "acme/pay", &token).await);
    let gone = registry.delete(&path).await.status(200);
    assert!(gone.data()["deletion"]["id"].as_str().unwrap().starts_with("del_"));
    assert_ne!(facts(&registry, "acme/pay", &token).await, known);
    // It is his, and no one else's.
    let other = registry.customer("Bob").await;
    let foreign = format!("/customers/{other}/grants/{grant}/restore");
    registry.post(&foreign, json!({})).await.error(404, "NOT_FOUND", &[]);
    registry.delete(&format!("/customers/{other}")).await.status(200);
    let back = registry.post(&format!("{path}/restore"), json!({})).await.status(200);
    assert_eq!((back.text("id"), back.text("constraint")), (grant, " ^1 ".to_owned()));
    assert_eq!(rows(&registry), before);
    assert_eq!(facts(&registry, "acme/pay", &token).await, known);
}

/// Whatever is deleted and restored in whichever order, in the end all is there again.
#[tokio::test(flavor = "multi_thread")]
async fn any_order_brings_everything_back() {
    let registry = Registry::new().await;
    let (customer, token, grant) = world(&registry).await;
    let (before, known) = (rows(&registry), facts(&registry, "acme/pay", &token).await);
    let (of_customer, of_package) = (format!("/customers/{customer}"), "/packages/acme/pay".to_owned());
    let orders = [(&of_customer, &of_package), (&of_package, &of_customer)];
    for deleting in orders {
        for restoring in orders {
            registry.delete(deleting.0).await.status(200);
            registry.delete(deleting.1).await.status(200);
            let mut skipped = Vec::new();
            for path in [restoring.0, restoring.1] {
                let back = registry.post(&format!("{path}/restore"), json!({})).await.status(200);
                skipped.extend(back.data()["skipped"].as_array().unwrap().clone());
            }
            // The grant went with the one deleted first; it waits for the other where that comes back later.
            assert_eq!(skipped.len(), usize::from(deleting.0 == restoring.0), "{deleting:?} {restoring:?}");
            for one in skipped {
                assert_eq!((one["grant"].as_str(), one["on"].as_str()), (Some(grant.as_str()), Some("acme/pay")));
                assert_eq!(one["customer"].as_str(), Some(customer.as_str()));
                assert!(one["because"].as_str().unwrap().contains("is gone; restore"), "{one}");
                let path = format!("/deletions/{}/restore", one["deletion"]["id"].as_str().unwrap());
                registry.post(&path, json!({})).await.status(200);
            }
            assert_eq!(rows(&registry), before, "{deleting:?} {restoring:?}");
            assert_eq!(facts(&registry, "acme/pay", &token).await, known);
            assert_eq!(registry.count("deletion"), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_named_with_its_remedy() {
    let registry = Registry::new().await;
    let (customer, _, grant) = world(&registry).await;
    let conflict = async |path: &str, words: &str| {
        let answer = registry.post(path, json!({})).await.error(409, "CONFLICT", &[]);
        let message = answer.body["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    };
    registry.delete(&format!("/customers/{customer}/grants/{grant}")).await.status(200);
    let restore_grant = format!("/customers/{customer}/grants/{grant}/restore");
    registry.delete("/packages/acme/pay").await.status(200);
    conflict(&restore_grant, "`acme/pay`, which it was on, is gone; restore that first").await;
    // A package of that name is not that package.
    registry.package("acme/pay").await;
    conflict(&restore_grant, "restore that first").await;
    conflict("/packages/acme/pay/restore", "delete that one first").await;
    registry.delete("/packages/acme/pay").await.status(200);
    // Which of the two is meant the name alone does not say.
    conflict("/packages/acme/pay/restore", "was deleted several times; choose one of del_").await;
    let older = registry.get("/deletions?kind=package").await.data()[1]["id"].as_str().unwrap().to_owned();
    registry.post(&format!("/deletions/{older}/restore"), json!({})).await.status(200);
    registry.delete(&format!("/customers/{customer}")).await.status(200);
    conflict(&restore_grant, "its customer is gone; restore him first").await;
    let other = registry.post("/customers", json!({"name": "Eve", "external_id": "e1"})).await.status(201).text("id");
    conflict(&format!("/customers/{customer}/restore"), "external_id").await;
    registry.patch(&format!("/customers/{other}"), json!({"external_id": null})).await.status(200);
    registry.post(&format!("/customers/{customer}/restore"), json!({})).await.status(200);
    registry.sql("update deletion set content = replace(content::text, '\"external_id\":null', '\"external_id\":\"s1\"')::json where kind = 'grant'");
    registry.post(&format!("/customers/{customer}/packages"), json!({"package": "acme/pay"})).await.status(201);
    registry.sql("update access_grant set external_id = 's1'");
    conflict(&restore_grant, "has its external_id `s1` meanwhile; change that one's first").await;
    registry.sql("update access_grant set external_id = null");
    registry.post(&restore_grant, json!({})).await.status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_restore_at_once_and_one_does() {
    let registry = Registry::new().await;
    let (customer, ..) = world(&registry).await;
    let before = rows(&registry);
    registry.warm().await;
    for path in [format!("/customers/{customer}"), "/packages/acme/pay".to_owned()] {
        registry.delete(&path).await.status(200);
        let path = format!("{path}/restore");
        let answers = futures::future::join_all((0..4).map(|_| registry.post(&path, json!({})))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.status == 404).count(), 3);
        assert_eq!(rows(&registry), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_thirty_days_it_is_gone_for_good() {
    let registry = Registry::new().await;
    let (customer, ..) = world(&registry).await;
    let other = registry.customer("Bob").await;
    for customer in [&customer, &other] {
        registry.delete(&format!("/customers/{customer}")).await.status(200);
    }
    let uuid = customer.strip_prefix("cust_").unwrap();
    registry.sql(&format!("update deletion set deleted_at = now() - interval '30 days' where subject = '{uuid}'"));
    registry.post(&format!("/customers/{customer}/restore"), json!({})).await.error(404, "NOT_FOUND", &[]);
    assert_eq!(registry.get("/deletions").await.body["pagination"]["total"], 1);
    registry.sql(&format!(
        "insert into access_loss (tenant_id, actor, customer_id, at)
         values ('{0}', 'root', '{uuid}', now() - interval '61 minutes'), ('{0}', 'root', '{uuid}', now())",
        registry.tenant
    ));
    let system = registry.state.database.system();
    assert_eq!((system.purge_deletions().await.unwrap(), system.purge_access_losses().await.unwrap()), (1, 1));
    assert_eq!((registry.count("deletion"), registry.count("access_loss")), (1, 1));
    registry.post(&format!("/customers/{other}/restore"), json!({})).await.status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_deletion_is_no_ones() {
    let registry = Registry::new().await;
    let (customer, ..) = world(&registry).await;
    let gone = registry.delete(&format!("/customers/{customer}")).await.status(200);
    registry.post("/tenants", json!({"slug": "second"})).await.status(201);
    let deletion = gone.data()["deletion"]["id"].as_str().unwrap().to_owned();
    for path in [format!("/deletions/{deletion}/restore"), format!("/customers/{customer}/restore")] {
        let call = registry.call("POST", &path).tenant("second").json(&json!({}));
        call.send().await.error(404, "NOT_FOUND", &[]);
    }
    let listed = registry.call("GET", "/deletions").tenant("second").send().await.status(200);
    assert_eq!(listed.body["pagination"]["total"], 0);
    let bad = registry.call("GET", "/deletions?kind=token").tenant("default").send().await;
    bad.error(422, "VALIDATION_ERROR", &["kind"]);
}
