//! What edges read: answers by key, revisions that change with every relevant change, dists, and who may ask.

use cargoman_composer::name::PackageName;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{
    Access, Answer, DISTS_PATH, Entry, Host, INSTALLS_PATH, InstallReport, Key, KnownKey, Package, READ_PATH,
    ReadReply, ReadRequest, Revision, Source, Tenant, TenantId,
};
use serde_json::{Value, json};

use crate::fixture::{ADMIN, PUBLIC_URL, Registry};

async fn read(registry: &Registry, keys: Vec<KnownKey>) -> Vec<Answer> {
    let request = serde_json::to_value(ReadRequest { keys }).unwrap();
    let answer = registry.edge("POST", READ_PATH).json(&request).send().await.status(200);
    serde_json::from_value::<ReadReply>(answer.body).unwrap().answers
}

pub(crate) async fn ask(registry: &Registry, key: &Key, revision: Option<Revision>) -> Answer {
    let mut answers = read(registry, vec![KnownKey { key: key.clone(), revision }]).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

pub(crate) async fn found(registry: &Registry, key: &Key) -> (Revision, Entry) {
    match ask(registry, key, None).await {
        Answer::Found { revision, entry } => {
            assert!(matches!(ask(registry, key, Some(revision)).await, Answer::Unchanged), "{key:?}");
            (revision, entry)
        }
        other => panic!("{key:?}: {other:?}"),
    }
}

pub(crate) async fn access(registry: &Registry, key: &Key) -> (Revision, Access) {
    match found(registry, key).await {
        (revision, Entry::Access(access)) => (revision, access),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn package(registry: &Registry, name: &str) -> (Revision, Package) {
    match found(registry, &package_key(registry, name)).await {
        (revision, Entry::Package(package)) => (revision, package),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn tenant(registry: &Registry) -> (Revision, Tenant) {
    match found(registry, &host_key("any.example")).await {
        (revision, Entry::Host(Host::Tenant(tenant))) => (revision, tenant),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn package_key(registry: &Registry, name: &str) -> Key {
    Key::Package { tenant: registry.tenant, name: PackageName::parse(name).unwrap() }
}

pub(crate) fn host_key(host: &str) -> Key {
    Key::Host { host: host.to_owned() }
}

/// A customer and the key of his token.
pub(crate) async fn customer(registry: &Registry) -> (String, Key) {
    let made = registry.post("/customers", json!({"name": "a"})).await.status(201);
    let key = Key::Access { tenant: registry.tenant, digest: Digest::of(made.text("token").as_bytes()) };
    (made.text("id"), key)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_customer_changes_his_revision() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.package("acme/gone").await;
    let (id, key) = customer(&registry).await;
    let of = |rest: &str| format!("/customers/{id}{rest}");
    let (mut before, first) = access(&registry, &key).await;
    assert_eq!((first.customer.id.as_str(), first.grants.len()), (id.as_str(), 0));
    let token = registry.get(&of("/tokens")).await.data()[0]["id"].as_str().unwrap().to_owned();
    let steps: Vec<(&str, String, Value)> = vec![
        ("PATCH", of(""), json!({"minimum_stability": "beta"})),
        ("POST", of("/packages"), json!({"package": "acme/pay", "constraint": "^1"})),
        ("POST", of("/packages"), json!({"package": "acme/gone"})),
        ("DELETE", "/packages/acme/gone".into(), json!({})),
        ("PUT", of("/packages"), json!({"packages": [{"package": "acme/pay"}]})),
        ("POST", of("/suspend"), json!({})),
        ("POST", of("/reactivate"), json!({})),
        ("POST", of("/expire"), json!({})),
        ("POST", of("/reactivate"), json!({"expires_at": "2099-01-01T00:00:00Z"})),
        ("DELETE", of("/packages/acme/pay"), json!({})),
        ("POST", format!("{}/{token}/rotate", of("/tokens")), json!({"grace_seconds": 60})),
        ("DELETE", format!("{}/{token}", of("/tokens")), json!({})),
    ];
    for (method, path, body) in steps {
        registry.call(method, &path).json(&body).send().await;
        let known = ask(&registry, &key, Some(before)).await;
        let Answer::Found { revision, .. } = known else { panic!("{method} {path}: {known:?}") };
        assert_ne!(revision, before, "{method} {path}");
        before = revision;
    }
    let (_, last) = access(&registry, &key).await;
    assert!(last.token.revoked_at.is_some() && last.grants.is_empty(), "{last:?}");

    // What changes nothing for him keeps his revision.
    registry.customer("someone else").await;
    registry.package("acme/new").await;
    assert!(matches!(ask(&registry, &key, Some(before)).await, Answer::Unchanged));

    registry.delete(&of("")).await.status(200);
    assert!(matches!(ask(&registry, &key, Some(before)).await, Answer::Absent));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_package_changes_its_revision() {
    let registry = Registry::new().await;
    assert!(matches!(ask(&registry, &package_key(&registry, "acme/pay"), None).await, Answer::Absent));
    registry.package("acme/pay").await;
    let (mut before, _) = package(&registry, "acme/pay").await;
    registry.publish("acme/pay", "1.0.0").await;
    for (method, path, body) in [
        ("", "", json!({})),
        ("POST", "/yank/1.0.0", json!({})),
        ("POST", "/unyank/1.0.0", json!({})),
        ("POST", "/abandon", json!({"replacement": "acme/new"})),
        ("POST", "/unabandon", json!({})),
        ("PATCH", "", json!({"repository_url": "/other.git"})),
    ] {
        if !method.is_empty() {
            registry.call(method, &format!("/packages/acme/pay{path}")).json(&body).send().await.status(200);
        }
        let (revision, now) = package(&registry, "acme/pay").await;
        assert_ne!(revision, before, "{method} {path}");
        assert_eq!(now.versions.len(), 1);
        assert_eq!(now.versions[0].yanked, path.starts_with("/yank"));
        assert_eq!(now.abandoned.is_some(), path == "/abandon");
        before = revision;
    }
    registry.delete("/packages/acme/pay").await.status(200);
    registry.package("acme/pay").await;
    let (again, empty) = package(&registry, "acme/pay").await;
    assert!(again != before && empty.versions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_tenant_changes_its_revision() {
    let registry = Registry::new().await;
    let (mut before, first) = tenant(&registry).await;
    assert_eq!((first.id, first.canonical_url.as_str(), first.source), (registry.tenant, PUBLIC_URL, Source::Hide));
    let path = format!("/tenants/ten_{}", registry.tenant);
    let steps: Vec<(&str, String, Value)> = vec![
        ("PUT", "/vendors/acme".into(), json!({"public_names": ["acme/free"]})),
        ("PATCH", "/settings".into(), json!({"source": "show"})),
        ("POST", format!("{path}/suspend"), json!({"reason": "unpaid"})),
        ("POST", "/packages".into(), json!({"repository_url": "/a.git", "name": "other/a"})),
    ];
    for (method, path, body) in steps {
        registry.call(method, &path).json(&body).send().await;
        let (revision, _) = tenant(&registry).await;
        assert_ne!(revision, before, "{method} {path}");
        before = revision;
    }
    let (_, last) = tenant(&registry).await;
    assert_eq!((last.suspended.as_deref(), last.source, last.vendors.len()), (Some("unpaid"), Source::Show, 2));
    // A second package of a vendor that is known changes nothing of the tenant.
    registry.package("other/b").await;
    assert!(matches!(ask(&registry, &host_key("any.example"), Some(before)).await, Answer::Unchanged));
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_a_host_is() {
    let registry = Registry::with(|config| config.tenancy.zone = Some("zone.test".to_owned())).await;
    let nobody = ask(&registry, &host_key("acme.zone.test"), None).await;
    assert!(matches!(nobody, Answer::Found { entry: Entry::Host(Host::ZoneWithoutTenant), .. }), "{nobody:?}");
    registry.post("/tenants", json!({"slug": "acme"})).await.status(201);
    let (_, entry) = found(&registry, &host_key("acme.zone.test")).await;
    let Entry::Host(Host::Tenant(acme)) = entry else { panic!("{entry:?}") };
    assert_eq!((acme.slug.as_str(), acme.canonical_url.as_str()), ("acme", "http://acme.zone.test"));
    assert!(matches!(ask(&registry, &host_key("other.example"), None).await, Answer::Absent));
    assert!(matches!(found(&registry, &host_key("127.0.0.1")).await.1, Entry::Host(Host::Tenant(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_are_answered_in_their_order() {
    let registry = Registry::new().await;
    for n in 0..30 {
        registry.package(&format!("acme/p{n}")).await;
    }
    let keys = (0..60).map(|n| KnownKey { key: package_key(&registry, &format!("acme/p{n}")), revision: None });
    let answers = read(&registry, keys.collect()).await;
    for (n, answer) in answers.iter().enumerate() {
        match answer {
            Answer::Found { entry: Entry::Package(package), .. } => {
                assert_eq!(package.name.as_str(), format!("acme/p{n}"))
            }
            Answer::Absent => assert!(n >= 30, "{n}"),
            other => panic!("{n}: {other:?}"),
        }
    }
    let keys = vec![KnownKey { key: host_key("a"), revision: None }; 501];
    let request = serde_json::to_value(ReadRequest { keys }).unwrap();
    registry.edge("POST", READ_PATH).json(&request).send().await.error(422, "VALIDATION_ERROR", &["keys"]);
    for odd in ["a\0b", "'; drop table tenant; --", ""] {
        let request = serde_json::to_value(ReadRequest { keys: vec![KnownKey { key: host_key(odd), revision: None }] });
        let status = registry.edge("POST", READ_PATH).json(&request.unwrap()).send().await.status.as_u16();
        assert!(matches!(status, 200 | 400), "{odd:?}: {status}");
    }
}

/// An edge must never hold old facts under a new number: it would keep them for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_never_gets_old_facts_under_the_last_revision() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let (id, key) = customer(&registry).await;
    let path = format!("/customers/{id}/packages");
    for round in 0..10 {
        let body = json!({"packages": [{"package": "acme/pay", "constraint": format!("^{round}")}]});
        let (written, seen) = tokio::join!(async { registry.put(&path, body).await.status(200) }, async {
            let mut seen = Vec::new();
            for _ in 0..6 {
                seen.push(access_once(&registry, &key).await);
            }
            seen
        });
        drop(written);
        let (last, now) = access(&registry, &key).await;
        for (revision, access) in seen {
            assert!(revision != last || access == now, "round {round}: old facts under {revision:?}");
        }
    }
}

async fn access_once(registry: &Registry, key: &Key) -> (Revision, Access) {
    match ask(registry, key, None).await {
        Answer::Found { revision, entry: Entry::Access(access) } => (revision, access),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_apis_share_nothing() {
    let registry = Registry::new().await;
    let empty = json!({"keys": []});
    for authorization in [None, Some(format!("Bearer {ADMIN}")), Some("Bearer cme_wrong".to_owned())] {
        for (method, path) in
            [("POST", READ_PATH.to_owned()), ("POST", INSTALLS_PATH.to_owned()), ("GET", format!("{DISTS_PATH}/x/y"))]
        {
            let call = registry.edge_bare(method, &path).json(&empty);
            let call = authorization.iter().fold(call, |call, value| call.header("authorization", value));
            call.send().await.error(401, "UNAUTHORIZED", &[]);
        }
    }
    registry.bare("POST", READ_PATH).json(&empty).send().await.error(401, "UNAUTHORIZED", &[]);
    let root = registry.bare("POST", READ_PATH).json(&empty).header("authorization", &format!("Bearer {ADMIN}"));
    root.send().await.error(404, "NOT_FOUND", &[]);
    for path in ["/api/v1/customers", "/api/v1/me", "/api/v1/tenants"] {
        registry.edge("GET", path).send().await.error(404, "NOT_FOUND", &[]);
        registry.edge_bare("GET", path).header("authorization", &format!("Bearer {ADMIN}")).send().await.status(404);
    }
    // Nor does the edge's credential open the public API.
    let edge = registry
        .bare("GET", "/api/v1/customers")
        .header("authorization", "Bearer cme_the-edge-credential-of-the-tests");
    edge.send().await.error(401, "UNAUTHORIZED", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dists() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let sha256 = registry.publish("acme/pay", "1.0.0").await;
    let path = |tenant: TenantId, name: &str| format!("{DISTS_PATH}/{tenant}/{name}");
    let dist = registry.edge("GET", &path(registry.tenant, &sha256.to_hex())).send().await.status(200);
    assert_eq!(Digest::of(&dist.bytes), sha256);
    assert_eq!(dist.header("content-length"), dist.bytes.len().to_string());
    let other = TenantId(uuid::Uuid::from_u128(7));
    for (tenant, name) in
        [(other, sha256.to_hex()), (registry.tenant, Digest::of(b"x").to_hex()), (registry.tenant, "..%2f..".into())]
    {
        registry.edge("GET", &path(tenant, &name)).send().await.error(404, "NOT_FOUND", &[]);
    }
    // The row is there and the bytes are not: an outage, not an absence.
    let hex = sha256.to_hex();
    let file = registry.folder.path().join(format!("storage/dists/{}/{}/{hex}.zip", registry.tenant, &hex[..2]));
    std::fs::remove_file(file).unwrap();
    registry.edge("GET", &path(registry.tenant, &hex)).send().await.error(503, "UNAVAILABLE", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn installs_are_counted_by_day() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.publish("acme/pay", "1.0.0").await;
    registry.publish("acme/pay", "1.1.0").await;
    let name = |text: &str| PackageName::parse(text).unwrap();
    let report = |tenant: TenantId, installs: Vec<(&str, &str)>| {
        let installs = installs.into_iter().map(|(package, version)| (name(package), version.to_owned())).collect();
        let report = InstallReport { tenant, token: "tok_id_x".to_owned(), installs };
        registry.edge("POST", INSTALLS_PATH).json(&serde_json::to_value(report).unwrap()).send()
    };
    let both = vec![("acme/pay", "1.0.0.0"), ("acme/pay", "1.1.0.0")];
    // Twice in one report is one install; what is not here counts for nothing.
    let odd = vec![
        ("acme/pay", "1.0.0.0"),
        ("acme/pay", "1.0.0.0"),
        ("acme/pay", "9.0.0.0"),
        ("x/y", "1.0.0.0"),
        ("acme/pay", "'"),
    ];
    report(registry.tenant, odd).await.status(204);
    report(TenantId(uuid::Uuid::from_u128(9)), both.clone()).await.status(204);
    report(registry.tenant, vec![]).await.status(204);
    report(registry.tenant, vec![("acme/pay", "a\0b")]).await.error(400, "VALIDATION_ERROR", &[]);
    // Many at once, in either order, neither lose one nor lock each other out.
    let mirrored: Vec<_> = both.iter().rev().copied().collect();
    let reports = (0..20).map(|n| report(registry.tenant, if n % 2 == 0 { both.clone() } else { mirrored.clone() }));
    for answer in futures::future::join_all(reports).await {
        answer.status(204);
    }
    let counted =
        registry.sql("select package_name, normalized, sum(installs) from install_count group by 1, 2 order by 2");
    assert_eq!(counted, "acme/pay|1.0.0.0|21\nacme/pay|1.1.0.0|20");
}
