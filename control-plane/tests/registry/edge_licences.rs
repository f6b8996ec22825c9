//! What edges read of licences: customers' states, grants, collections, the directory, the tenant's choices, taken down versions.

use cargoman_edge_protocol::{Answer, Entry, Key, Message, Revision, Source, Values};
use cargoman_licence::{
    Collection, CollectionId, CustomerStatus, Freeze, GrantStatus, Lapsed, PackageGlob, Target, TenantPolicy,
};
use serde_json::json;

use crate::edge_api::{access, ask, customer, found, host_key, package, package_key, tenant};
use crate::fixture::Registry;

/// Sets columns of the one customer past the API, with a new revision.
fn set_customer(registry: &Registry, columns: &str) {
    registry.sql(&format!("update customer set {columns}, revision = nextval('revision')"));
}

async fn collection(registry: &Registry, id: &str) -> (Revision, Collection) {
    match found(registry, &collection_key(registry, id)).await {
        (revision, Entry::Collection(collection)) => (revision, collection),
        other => panic!("{other:?}"),
    }
}

fn collection_key(registry: &Registry, id: &str) -> Key {
    Key::Collection { tenant: registry.tenant, collection: CollectionId(id.to_owned()) }
}

async fn directory(registry: &Registry) -> (Revision, Vec<String>) {
    match found(registry, &Key::Directory { tenant: registry.tenant }).await {
        (revision, Entry::Directory(directory)) => {
            (revision, directory.packages.iter().map(ToString::to_string).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_states_stand_side_by_side() {
    let registry = Registry::new().await;
    let (_, key) = customer(&registry).await;
    let (first, active) = access(&registry, &key).await;
    assert_eq!(active.customer.status, CustomerStatus::Active);
    assert_eq!((active.customer.lapsed_at, active.customer.frozen, active.customer.source_shown), (None, None, None));

    let mut freeze = Freeze::new("2025-03-01T00:00:00Z".parse().unwrap());
    let version = cargoman_composer::version::Version::parse("1.0.0").unwrap();
    freeze.add(&"acme/pay".parse().unwrap(), &version, None);
    let stored = serde_json::to_string(&freeze).unwrap();
    set_customer(
        &registry,
        &format!(
            "suspended_at = '2025-01-01T00:00:00Z', suspended_reason = 'unpaid', expires_at = '2025-02-01T00:00:00Z'
           , frozen = '{stored}', source = 'show'"
        ),
    );
    let known = ask(&registry, &key, Some(first)).await;
    assert!(matches!(known, Answer::Found { .. }), "{known:?}");
    let (_, all) = access(&registry, &key).await;
    assert_eq!(all.customer.status, CustomerStatus::Suspended { reason: Some("unpaid".to_owned()) });
    assert_eq!(all.customer.lapsed_at, Some("2025-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(all.customer.expires_at, Some("2025-02-01T00:00:00Z".parse().unwrap()));
    assert_eq!((all.customer.frozen, all.customer.source_shown), (Some(freeze.clone()), Some(true)));

    set_customer(&registry, "suspended_at = null, suspended_reason = null, source = 'hide'");
    let (_, lifted) = access(&registry, &key).await;
    assert_eq!((lifted.customer.status, lifted.customer.lapsed_at), (CustomerStatus::Active, None));
    assert_eq!((lifted.customer.frozen, lifted.customer.source_shown), (Some(freeze), Some(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_on_packages_and_collections() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let made = registry.post("/collections", json!({"name": "Suite", "packages": ["acme/*"]})).await.status(201);
    let (id, key) = customer(&registry).await;
    let body = json!({"package": "acme/pay", "constraint": "^1", "minimum_stability": "beta", "updates_until": "2026-01-01T00:00:00Z"});
    registry.post(&format!("/customers/{id}/packages"), body).await.status(201);
    registry.sql(&format!(
        "insert into access_grant (tenant_id, id, customer_id, collection_id, version_constraint, external_id, suspended_at, suspended_reason, created_at)
         select c.tenant_id, gen_random_uuid(), c.id, l.id, '^2', 'sub_1', '2025-01-01T00:00:00Z', 'refunded', now() + interval '1 hour'
         from customer c, collection l where c.id = '{}'",
        &id[5..]
    ));
    set_customer(&registry, "updated_at = now()");
    let (_, access) = access(&registry, &key).await;
    let [direct, through] = access.grants.as_slice() else { panic!("{:?}", access.grants) };
    assert_eq!(direct.target, Target::Package("acme/pay".parse().unwrap()));
    assert_eq!((direct.constraint.to_string().as_str(), direct.status.clone()), ("^1", GrantStatus::Active));
    assert_eq!(direct.minimum_stability.map(|stability| stability.as_str()), Some("beta"));
    assert_eq!(direct.updates_until, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(through.target, Target::Collection(CollectionId(made.text("id"))));
    assert_eq!((through.constraint.to_string().as_str(), through.external_id.as_deref()), ("^2", Some("sub_1")));
    let since = Some("2025-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(through.status, GrantStatus::Suspended { reason: Some("refunded".to_owned()), since });
    // The tenant's choices travel with the tenant.
    registry.patch("/settings", json!({"minimum_stability": "dev"})).await.status(200);
    assert_eq!(access.policy, TenantPolicy::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_by_their_id() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let body = json!({"name": "Suite", "packages": ["zeta/*", "acme/pay"]});
    let id = registry.post("/collections", body).await.status(201).text("id");
    let (mut before, first) = collection(&registry, &id).await;
    let globs = |texts: &[&str]| texts.iter().map(|text| PackageGlob::parse(text).unwrap()).collect::<Vec<_>>();
    assert_eq!(first.packages, globs(&["acme/pay", "zeta/*"]).into());
    assert_eq!((first.id.0.as_str(), &first.constraint, first.minimum_stability), (id.as_str(), &None, None));
    for patch in [
        json!({"constraint": "^2"}),
        json!({"minimum_stability": "rc"}),
        json!({"packages": ["beta/*"]}),
        json!({"name": "Other"}),
    ] {
        registry.patch("/collections/suite", patch.clone()).await.status(200);
        let known = ask(&registry, &collection_key(&registry, &id), Some(before)).await;
        let Answer::Found { revision, .. } = known else { panic!("{patch}: {known:?}") };
        assert_ne!(revision, before, "{patch}");
        before = revision;
    }
    let (_, last) = collection(&registry, &id).await;
    assert_eq!(last.packages, globs(&["beta/*"]).into());
    assert_eq!(last.constraint.map(|constraint| constraint.to_string()).as_deref(), Some("^2"));
    assert_eq!(last.minimum_stability.map(|stability| stability.as_str()), Some("RC"));

    // What is no id of a collection, and what is another tenant's, is not there.
    let second = registry.post("/tenants", json!({"slug": "second"})).await.status(201).text("id");
    let second = cargoman_edge_protocol::TenantId(second[4..].parse().unwrap());
    let foreign = Key::Collection { tenant: second, collection: CollectionId(id.clone()) };
    assert!(matches!(ask(&registry, &foreign, None).await, Answer::Absent));
    for odd in ["", "coll_", "suite", "coll_' or 1=1", &id.replace("coll_", "cust_"), &"x".repeat(10_000)] {
        assert!(matches!(ask(&registry, &collection_key(&registry, odd), None).await, Answer::Absent), "{odd}");
    }
    registry.call("DELETE", "/collections/suite").tenant("default").send().await.status(200);
    assert!(matches!(ask(&registry, &collection_key(&registry, &id), Some(before)).await, Answer::Absent));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_changes_when_packages_come_and_go() {
    let registry = Registry::new().await;
    let (empty, nothing) = directory(&registry).await;
    assert!(nothing.is_empty(), "{nothing:?}");
    for name in ["acme/pay", "acme/p-ay", "acme/p.ay", "acme/pa_y", "abc/z"] {
        registry.package(name).await;
    }
    let (before, names) = directory(&registry).await;
    assert_ne!(empty, before);
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!((names.len(), names), (5, sorted));
    let key = Key::Directory { tenant: registry.tenant };
    // What changes a package but not which there are keeps it.
    registry.publish("acme/pay", "1.0.0").await;
    registry.post("/packages/acme/pay/abandon", json!({})).await.status(200);
    registry.post("/collections", json!({"name": "Suite", "packages": ["acme/*"]})).await.status(201);
    assert!(matches!(ask(&registry, &key, Some(before)).await, Answer::Unchanged));

    registry.delete("/packages/acme/pay").await.status(200);
    let (after, names) = directory(&registry).await;
    assert!(after != before && !names.contains(&"acme/pay".to_owned()), "{names:?}");
    let told = registry.sql("select count(*) from outbox where kind = 'directory'");
    assert_eq!(told, "6", "five came, one went");
    // Nor does it change the tenant: every view would be drawn anew.
    let (known, _) = tenant(&registry).await;
    registry.package("acme/again").await;
    assert!(matches!(ask(&registry, &host_key("any.example"), Some(known)).await, Answer::Unchanged));
    let nobody = Key::Directory { tenant: cargoman_edge_protocol::TenantId(uuid::Uuid::from_u128(7)) };
    assert!(matches!(ask(&registry, &nobody, None).await, Answer::Absent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_choices_travel_with_it() {
    let registry = Registry::new().await;
    let (mut before, first) = tenant(&registry).await;
    assert_eq!((first.policy, first.messages.renew_url.as_deref()), (TenantPolicy::default(), None));
    for patch in [
        json!({"minimum_stability": "beta"}),
        json!({"lapsed": {"suspended": "keep", "expired": "keep-metadata"}}),
        json!({"renew_url": "https://acme.example/renew"}),
        json!({"messages": {"expired": "Over. See {renew_url}"}}),
    ] {
        registry.patch("/settings", patch.clone()).await.status(200);
        let (revision, _) = tenant(&registry).await;
        assert_ne!(revision, before, "{patch}");
        before = revision;
    }
    let (_, last) = tenant(&registry).await;
    assert_eq!(last.policy.minimum_stability.map(|stability| stability.as_str()), Some("beta"));
    assert_eq!((last.policy.lapsed_suspended, last.policy.lapsed_expired), (Lapsed::Keep, Lapsed::KeepMetadata));
    assert_eq!(last.messages.renew_url.as_deref(), Some("https://acme.example/renew"));
    let words = last.messages.words(Message::Expired, Values { renew_url: "there", ..Values::default() });
    assert_eq!(words, "Over. See there");
    // A row of the first release.
    registry.sql(r#"update tenant set settings = '{"source":"show"}', revision = nextval('revision')"#);
    let (_, old) = tenant(&registry).await;
    assert_eq!((old.source, old.policy), (Source::Show, TenantPolicy::default()));
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_taken_down_deprecated_and_a_packages_own_source() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.publish("acme/pay", "1.0.0").await;
    registry.publish("acme/pay", "1.1.0").await;
    let (before, plain) = package(&registry, "acme/pay").await;
    assert_eq!((plain.source, plain.versions.len()), (None, 2));
    assert!(plain.versions.iter().all(|version| version.taken_down.is_none() && version.deprecated.is_none()));
    registry.sql(
        "update version set taken_down_at = now(), taken_down_reason = 'malware' where normalized = '1.0.0.0';
         update version set deprecated_at = now(), replacement = 'acme/new' where normalized = '1.1.0.0';
         update package set source = 'show', revision = nextval('revision')",
    );
    let known = ask(&registry, &package_key(&registry, "acme/pay"), Some(before)).await;
    assert!(matches!(known, Answer::Found { .. }), "{known:?}");
    let (_, after) = package(&registry, "acme/pay").await;
    assert_eq!(after.source, Some(Source::Show));
    let [newer, older] = after.versions.as_slice() else { panic!("{:?}", after.versions) };
    assert_eq!((newer.taken_down.as_deref(), older.taken_down.as_deref()), (None, Some("malware")));
    let replacement = newer.deprecated.as_ref().and_then(|deprecated| deprecated.replacement.as_deref());
    assert_eq!((replacement, older.deprecated.is_none()), (Some("acme/new"), true));
    registry.sql(
        "update package set source = 'hide', revision = nextval('revision'); update version set replacement = null",
    );
    let (_, last) = package(&registry, "acme/pay").await;
    assert_eq!(
        (last.source, last.versions[0].deprecated.as_ref().map(|it| it.replacement.clone())),
        (Some(Source::Hide), Some(None))
    );
}
