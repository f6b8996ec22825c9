//! The facts that licence rules decide upon: what edges are told and what the control plane's own questions see is the same.

use cargoman_composer::name::PackageName;
use cargoman_control_plane::domain::id::{CollectionId, CustomerId, TokenId};
use cargoman_control_plane::store::TenantTransaction;
use cargoman_control_plane::store::licence_facts::concerned_packages;
use cargoman_licence::{Access, PackageGlob, Scope, TenantPolicy, Token};
use serde_json::json;

use crate::edge_api::{access, customer};
use crate::fixture::Registry;

fn names(texts: &[&str]) -> Vec<PackageName> {
    texts.iter().map(|text| PackageName::parse(text).unwrap()).collect()
}

fn id(text: &str) -> CustomerId {
    text.parse().unwrap()
}

/// Gives a customer a grant on a collection, past the API.
fn grant_collection(registry: &Registry, customer: &str, collection: &str) {
    registry.sql(&format!(
        "insert into access_grant (tenant_id, id, customer_id, collection_id, version_constraint)
         select tenant_id, gen_random_uuid(), '{}', id, '*' from collection where id = '{}'",
        &customer[5..],
        &collection[5..]
    ));
}

async fn make_collection(registry: &Registry, name: &str, packages: &[&str]) -> String {
    registry.post("/collections", json!({"name": name, "packages": packages})).await.status(201).text("id")
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_and_explanations_read_the_same() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let (text, key) = customer(&registry).await;
    registry.post(&format!("/customers/{text}/packages"), json!({"package": "acme/pay", "constraint": "^1"})).await;
    let suite = make_collection(&registry, "Suite", &["acme/*"]).await;
    grant_collection(&registry, &text, &suite);
    registry
        .sql("update customer set suspended_at = now(), suspended_reason = 'unpaid', revision = nextval('revision')");
    registry
        .patch("/settings", json!({"lapsed": {"suspended": "keep"}, "minimum_stability": "beta"}))
        .await
        .status(200);
    let (_, told) = access(&registry, &key).await;

    let mut transaction = registry.begin().await;
    let mut facts = transaction.facts();
    let policy = facts.policy().await.unwrap();
    assert_ne!(policy, TenantPolicy::default());
    let token: TokenId = told.token.id.parse().unwrap();
    let of_token = facts.access_of_token(token, policy).await.unwrap().expect("the token");
    assert_eq!(of_token, Access { policy, ..told.clone() });
    let found = facts.customers(&[id(&text), CustomerId::new()], policy).await.unwrap();
    assert_eq!(found, [(id(&text), Access { policy, token: Token::of_no_one(), ..told })]);
    assert_eq!(facts.access_of_token(TokenId::new(), policy).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_customers_at_once_each_with_his_own() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let customer = registry.customer(&format!("c{n}")).await;
        for constraint in 0..n {
            let body = json!({"package": "acme/pay", "constraint": format!("^{constraint}")});
            registry.post(&format!("/customers/{customer}/packages"), body).await.status(201);
        }
        ids.push(id(&customer));
    }
    let mut transaction = registry.begin().await;
    let found = transaction.facts().customers(&ids, TenantPolicy::default()).await.unwrap();
    assert_eq!(found.len(), 5);
    for (customer, access) in found {
        let n = ids.iter().position(|id| *id == customer).unwrap();
        assert_eq!((access.customer.name, access.customer.id), (format!("c{n}"), customer.to_string()));
        let constraints: Vec<_> = access.grants.iter().map(|grant| grant.constraint.to_string()).collect();
        assert_eq!(constraints, (0..n).map(|one| format!("^{one}")).collect::<Vec<_>>(), "oldest first");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_with_all_their_references() {
    let registry = Registry::new().await;
    for name in ["acme/pay", "acme/cart", "acme/empty", "acme/other"] {
        registry.package(name).await;
    }
    for (package, version) in [
        ("acme/pay", "1.9.0"),
        ("acme/pay", "1.10.0"),
        ("acme/pay", "dev-main"),
        ("acme/cart", "1.0.0"),
        ("acme/other", "1.0.0"),
    ] {
        registry.publish(package, version).await;
    }
    // Two earlier heads of the branch, and states of versions.
    registry.sql(
        "insert into version_reference (tenant_id, version_id, reference, published_at, dist_sha256)
         select v.tenant_id, v.id, repeat(n::text, 40), timestamptz '2024-01-01Z' + n * interval '1 day', r.dist_sha256
         from version v join version_reference r on r.version_id = v.id, generate_series(1, 2) n where v.normalized = 'dev-main';
         update version set aliases = '{1.x-dev}' where normalized = 'dev-main';
         update version set yanked_at = now() where normalized = '1.9.0.0';
         update version set taken_down_at = now(), taken_down_reason = 'malware' where normalized = '1.10.0.0'",
    );
    let mut transaction = registry.begin().await;
    let asked = names(&["acme/pay", "acme/cart", "acme/empty", "no/such"]);
    let found = transaction.facts().packages(&asked).await.unwrap();
    let shown: Vec<_> = found.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(shown, ["acme/cart", "acme/pay"]);
    let pay = &found[1];
    let versions: Vec<_> = pay
        .versions
        .iter()
        .map(|one| (one.pretty.as_str(), one.references.len(), one.yanked, one.taken_down.as_deref()))
        .collect();
    let mut sorted = versions.clone();
    sorted.sort();
    assert_eq!(sorted, [("1.10.0", 1, false, Some("malware")), ("1.9.0", 1, true, None), ("dev-main", 3, false, None)]);
    let place = |pretty: &str| pay.versions.iter().position(|one| one.pretty == pretty).unwrap();
    assert!(place("1.10.0") < place("1.9.0"), "newest first: {versions:?}");
    let main = &pay.versions[place("dev-main")];
    assert_eq!(main.aliases.len(), 1);
    let currents: Vec<_> = main.references.iter().map(|one| one.current).collect();
    assert_eq!(currents, [true, false, false]);
    assert!(main.references[1].published_at > main.references[2].published_at, "then newest first");
    let facts: Vec<_> = pay.facts().collect();
    assert_eq!(facts.len(), 5);
    for (version, reference, facts) in facts {
        assert_eq!((facts.version, facts.reference), (&version.version, reference.reference.as_str()));
        assert_eq!((facts.yanked, facts.taken_down), (version.yanked, version.taken_down.as_deref()));
        assert_eq!(facts.published_at, reference.published_at);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_change_concerns() {
    let registry = Registry::new().await;
    for name in ["acme/pay", "acme/cart", "zeta/a", "zeta/b"] {
        registry.package(name).await;
    }
    let (suite, zetas) =
        (make_collection(&registry, "Suite", &["acme/pay"]).await, make_collection(&registry, "Z", &["zeta/*"]).await);
    let mut who = Vec::new();
    for name in ["direct", "suite", "zetas", "twice", "none"] {
        who.push(registry.customer(name).await);
    }
    let [direct, through, pattern, twice, _] = who.as_slice() else { panic!("five") };
    for (customer, package) in [(direct, "acme/pay"), (twice, "acme/pay"), (twice, "acme/cart")] {
        registry.post(&format!("/customers/{customer}/packages"), json!({"package": package})).await.status(201);
    }
    for (customer, collection) in [(through, &suite), (twice, &suite), (pattern, &zetas)] {
        grant_collection(&registry, customer, collection);
    }
    let mut transaction = registry.begin().await;
    let mut facts = transaction.facts();
    let collection = |text: &str| -> CollectionId { text.parse().unwrap() };
    for (packages, collections, expected) in [
        (vec!["acme/pay"], vec![], vec![direct, through, twice]),
        (vec!["acme/cart"], vec![], vec![twice]),
        (vec!["zeta/a"], vec![], vec![pattern]),
        // It is not there yet, or any more.
        (vec!["zeta/new"], vec![], vec![pattern]),
        (vec!["no/such"], vec![], vec![]),
        (vec![], vec![collection(&suite)], vec![through, twice]),
        (vec!["zeta/b", "acme/cart"], vec![collection(&zetas)], vec![pattern, twice]),
        (vec![], vec![CollectionId::new()], vec![]),
        (vec![], vec![], vec![]),
    ] {
        let found = facts.concerned_customers(&names(&packages), &collections).await.unwrap();
        let mut expected: Vec<_> = expected.into_iter().map(|text| id(text)).collect();
        expected.sort();
        assert_eq!(found, expected, "{packages:?} {collections:?}");
    }

    // And the other way round: which packages a customer has.
    let directory = facts.directory().await.unwrap();
    let all = facts.collections().await.unwrap();
    assert_eq!((directory.len(), all.len()), (4, 2));
    for (customer, expected) in [
        (direct, vec!["acme/pay"]),
        (through, vec!["acme/pay"]),
        (pattern, vec!["zeta/a", "zeta/b"]),
        (twice, vec!["acme/cart", "acme/pay"]),
        (&who[4], vec![]),
    ] {
        let mut access = facts.customers(&[id(customer)], TenantPolicy::default()).await.unwrap().remove(0).1;
        assert_eq!(concerned_packages(&access, &all, &directory), names(&expected));
        access.token = Token {
            scope: Scope::Download,
            package_scopes: vec![PackageGlob::parse("*/pay").unwrap()],
            ..Token::of_no_one()
        };
        let narrowed: Vec<_> = expected.into_iter().filter(|name| *name == "acme/pay").collect();
        assert_eq!(concerned_packages(&access, &all, &directory), names(&narrowed), "narrowed by the token");
    }
    // A name whose package is gone concerns nobody's view.
    drop(transaction);
    registry.delete("/packages/acme/pay").await.status(200);
    let mut transaction = registry.begin().await;
    let mut facts = transaction.facts();
    let directory = facts.directory().await.unwrap();
    let access = facts.customers(&[id(through)], TenantPolicy::default()).await.unwrap().remove(0).1;
    assert_eq!(concerned_packages(&access, &all, &directory), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_another_tenant() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.publish("acme/pay", "1.0.0").await;
    let (text, key) = customer(&registry).await;
    let suite = make_collection(&registry, "Suite", &["acme/*"]).await;
    grant_collection(&registry, &text, &suite);
    let token: TokenId = access(&registry, &key).await.1.token.id.parse().unwrap();
    let second = registry.post("/tenants", json!({"slug": "second"})).await.status(201).text("id");
    let second = cargoman_edge_protocol::TenantId(second[4..].parse().unwrap());
    let actor = cargoman_control_plane::store::Actor::Root;
    let mut transaction = TenantTransaction::begin(&registry.state.database, second, actor).await.unwrap();
    let mut facts = transaction.facts();
    let suite: CollectionId = suite.parse().unwrap();
    assert!(facts.customers(&[id(&text)], TenantPolicy::default()).await.unwrap().is_empty());
    assert!(facts.access_of_token(token, TenantPolicy::default()).await.unwrap().is_none());
    assert!(facts.collections().await.unwrap().is_empty() && facts.collection(suite).await.unwrap().is_none());
    assert!(facts.packages(&names(&["acme/pay"])).await.unwrap().is_empty());
    assert!(facts.directory().await.unwrap().is_empty());
    assert!(facts.concerned_customers(&names(&["acme/pay"]), &[suite]).await.unwrap().is_empty());
}
