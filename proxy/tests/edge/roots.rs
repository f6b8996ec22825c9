//! `packages.json` is made once for customers of equal rights, and never shown past a change of anything it was made from.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cargoman_credential::{Kind, Secret};
use cargoman_edge_protocol::{Access, Message, Template, Tenant};
use cargoman_licence::Grant;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::fake::Fake;
use super::world::{
    HOST, World, access, acme, at, eventually, grant, grant_on, name, package, reference, secret, tenant_id, version,
};

const ROOT: &str = "/packages.json";

struct Roots {
    world: World,
    fake: Arc<Fake>,
}

impl Roots {
    /// An edge with a lease, two packages whose vendor is not exclusive, and a collection of both.
    fn new() -> Self {
        let fake = Fake { credential: secret(Kind::Edge).expose().to_owned(), ..Fake::default() };
        fake.link.on.store(true, Ordering::SeqCst);
        let fake = Arc::new(fake);
        let world = World::linked(Arc::new(tempfile::tempdir().unwrap()), Arc::clone(&fake), |_| {});
        for (number, name) in [(20, "forked/a"), (21, "forked/b")] {
            put(&world, name, &["1.0.0"], number);
        }
        world.put_directory(&["acme/pay", "forked/a", "forked/b"]);
        world.put_collection("coll_forks", &["forked/*"], None);
        let roots = Self { world, fake };
        let warming = roots.customer(access(vec![grant("acme/pay", "*")]));
        eventually("answers without a question", || {
            let before = roots.fake.reads.load(Ordering::SeqCst);
            roots.get(&warming);
            roots.fake.reads.load(Ordering::SeqCst) == before
        });
        roots
    }

    fn customer(&self, access: Access) -> Secret {
        let secret = secret(Kind::Token);
        self.world.put_access(tenant_id(1), &secret, access);
        self.heard();
        secret
    }

    /// Every change is acknowledged.
    fn heard(&self) {
        let link = &self.fake.link;
        eventually("the events are acknowledged", || *link.acked.borrow() == *link.head.borrow());
    }

    fn get(&self, secret: &Secret) -> Value {
        let authorization = format!("Bearer {}", secret.expose());
        let answer = self.world.connect().request("GET", ROOT, &[("Host", HOST), ("Authorization", &authorization)]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Asked twice: what it says, and how often it was made.
    fn twice(&self, secret: &Secret) -> (Value, u64) {
        let before = self.world.counters.roots_made();
        let root = self.get(secret);
        assert_eq!(self.get(secret), root);
        (root, self.world.counters.roots_made() - before)
    }
}

fn put(world: &World, text: &str, versions: &[&str], number: u8) {
    let versions = versions.iter().map(|pretty| version(text, pretty, "2025-03-01", &reference(number))).collect();
    world.put_package(tenant_id(1), package(text, versions));
}

fn named(customer: &str, grants: Vec<Grant>) -> Access {
    let mut access = access(grants);
    access.customer.id = format!("cust_{customer}");
    customer.clone_into(&mut access.customer.name);
    access
}

fn names(root: &Value) -> Value {
    root["available-packages"].clone()
}

#[test]
fn made_once_and_anew_after_every_change() {
    let roots = Roots::new();
    let one = roots.customer(named("One", vec![grant_on("coll_forks")]));
    let other = roots.customer(named("Other", vec![grant_on("coll_forks")]));
    let (root, made) = roots.twice(&one);
    // Once the rights are known by name, which the first answer of a token makes them.
    assert_eq!((names(&root), made), (json!(["forked/a", "forked/b"]), 1));
    assert_eq!(roots.twice(&other), (root, 0), "of equal rights");
    let narrow = roots.customer(named("Narrow", vec![grant("forked/a", "*")]));
    assert_eq!(roots.twice(&narrow), (json_root(&["forked/a"]), 1));

    // A version comes and goes: the package is there, and nothing of it is shown.
    put(&roots.world, "forked/b", &[], 21);
    roots.heard();
    assert_eq!(roots.twice(&other), (json_root(&["forked/a"]), 1));
    put(&roots.world, "forked/b", &["1.0.0"], 21);
    // A package that was not there.
    put(&roots.world, "forked/c", &["1.0.0"], 22);
    roots.world.put_directory(&["acme/pay", "forked/a", "forked/b", "forked/c"]);
    roots.heard();
    assert_eq!(roots.twice(&one), (json_root(&["forked/a", "forked/b", "forked/c"]), 1));
    // The collection.
    roots.world.put_collection("coll_forks", &["forked/c"], None);
    roots.heard();
    assert_eq!(roots.twice(&one), (json_root(&["forked/c"]), 1));
    // The tenant: the vendor is his alone now.
    let mut tenant = acme();
    tenant.vendors.iter_mut().for_each(|vendor| vendor.exclusive = true);
    roots.world.put_tenant(HOST, tenant);
    roots.heard();
    let (root, made) = roots.twice(&other);
    assert_eq!((names(&root), made), (json!(null), 1));
    assert_eq!(root["available-package-patterns"], json!(["acme/*", "forked/*"]));
    // The customer: nothing is his any more, and others keep theirs.
    roots.world.put_tenant(HOST, acme());
    roots.world.put_access(tenant_id(1), &one, named("One", vec![]));
    roots.heard();
    assert_eq!(names(&roots.get(&one)), json!(null));
    assert_eq!(names(&roots.get(&other)), json!(["forked/c"]));
}

fn json_root(available: &[&str]) -> Value {
    let mut root: Value = serde_json::from_str(
        r#"{"packages": [], "metadata-url": "/p2/%package%.json", "available-package-patterns": ["acme/*"],
            "mirrors": [{"dist-url": "/dist/%package%/%version%/%reference%.zip", "preferred": true}],
            "notify-batch": "/downloads", "list": "/list.json", "search": "/search.json?q=%query%&type=%type%",
            "providers-api": "/providers/%package%.json"}"#,
    )
    .unwrap();
    root["available-packages"] = json!(available);
    root
}

/// E-C1: words are said to him alone whom they are meant for.
#[test]
fn words_are_nobody_elses() {
    let roots = Roots::new();
    let tenant = |template: &str| {
        let mut tenant: Tenant = acme();
        tenant.messages.templates.insert(Message::Renewal, Template::parse(template).unwrap());
        tenant
    };
    roots.world.put_tenant(HOST, tenant("{customer}, renew {package}"));
    let limited = || vec![Grant { updates_until: Some(at("2025-01-15")), ..grant("acme/pay", "*") }];
    let (ann, bob) = (roots.customer(named("Ann", limited())), roots.customer(named("Bob", limited())));
    let says = |secret: &Secret| roots.get(secret)["info"].clone();
    for _ in 0..2 {
        assert_eq!(says(&ann), "Ann, renew acme/pay");
        assert_eq!(says(&bob), "Bob, renew acme/pay");
    }
    assert_eq!(roots.twice(&ann).1, 0);
    roots.world.put_access(tenant_id(1), &bob, named("Robert", limited()));
    roots.world.put_tenant(HOST, tenant("Dear {customer}: {package}"));
    roots.heard();
    for _ in 0..2 {
        assert_eq!((says(&ann), says(&bob)), (json!("Dear Ann: acme/pay"), json!("Dear Robert: acme/pay")));
    }
    // Another token of Ann's ends soon; what that one is told, her first is not told.
    let mut ending = named("Ann", limited());
    ending.token.id = "tok_id_2".to_owned();
    ending.token.expires_at = Some(Utc::now() + TimeDelta::days(3));
    let ending = roots.customer(ending);
    let told = says(&ending).as_str().unwrap().to_owned();
    assert!(told.starts_with("Your token ends") || told.contains("token"), "{told}");
    assert_eq!(says(&ann), "Dear Ann: acme/pay");
    assert_eq!(says(&ending), told);
    // What was newer is gone, and nothing is said to anybody.
    let mut pay = super::world::acme_pay();
    pay.versions.retain(|version| version.published_at < at("2025-01-15"));
    assert_eq!(pay.name, name("acme/pay"));
    roots.world.put_package(tenant_id(1), pay);
    roots.heard();
    assert_eq!((says(&ann), says(&bob)), (json!(null), json!(null)));
}
