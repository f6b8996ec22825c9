//! Collections by name and by pattern, and that customers of equal rights share rendered documents.

use std::sync::atomic::Ordering;

use cargoman_licence::Grant;
use serde_json::json;

use super::world::{World, access, acme, dist_path, grant, grant_on, package, reference, tenant_id, version};

const STABLE: &str = "/p2/acme/pay.json";

fn put(world: &World, name: &str, number: u8) {
    world.put_package(tenant_id(1), package(name, vec![version(name, "1.0.0", "2024-01-01", &reference(number))]));
}

#[test]
fn by_name() {
    let world = World::new();
    let customer = world.customer(vec![grant_on("coll_suite")]);
    // A collection that there is not shows nothing.
    assert_eq!(customer.versions(STABLE), Vec::<String>::new());
    assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).status, 404);
    world.put_collection("coll_suite", &["acme/pay"], Some("^2"));
    assert_eq!(customer.versions(STABLE), ["2.1.0", "2.0.0"]);
    assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).status, 200);
    let refused = customer.get(&dist_path("1.0.0.0", 1));
    assert_eq!(refused.status, 403);
    assert_eq!(refused.warning(), "Your licence for acme/pay does not cover this version.");
    assert_eq!(customer.get("/list.json").json(), json!({ "packageNames": ["acme/pay"] }));
    // A change of the collection shows at the next request.
    world.put_collection("coll_suite", &["acme/other"], None);
    assert_eq!(customer.versions(STABLE), Vec::<String>::new());
    assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).status, 404);
}

#[test]
fn by_pattern() {
    let world = World::new();
    put(&world, "forked/secret", 9);
    world.put_collection("coll_all", &["acme/*"], None);
    world.put_directory(&["acme/pay", "forked/secret"]);
    let customer = world.customer(vec![grant_on("coll_all")]);
    let names = || customer.get("/list.json").json()["packageNames"].clone();
    assert_eq!(names(), json!(["acme/pay"]));
    // A package added later shows at the next request, under the same grant.
    put(&world, "acme/new", 10);
    world.put_directory(&["acme/new", "acme/pay", "forked/secret"]);
    assert_eq!(names(), json!(["acme/new", "acme/pay"]));
    assert_eq!(customer.versions("/p2/acme/new.json"), ["1.0.0"]);
    assert_eq!(customer.get(&format!("/dist/acme/new/1.0.0.0/{}.zip", reference(10))).status, 200);
    let found = customer.get("/search.json?q=makes").json();
    assert_eq!(found["total"], 2);
    // No name of another's package anywhere.
    for target in ["/packages.json", "/list.json", "/search.json?q=", "/providers/psr/log.json"] {
        assert!(!customer.get(target).text().contains("secret"), "{target}");
    }
    let refused = customer.get(&format!("/dist/forked/secret/1.0.0.0/{}.zip", reference(9)));
    assert_eq!(
        refused.without_date(),
        customer.get(&format!("/dist/forked/absent/1.0.0.0/{}.zip", reference(9))).without_date()
    );
}

#[test]
fn under_vendors_that_are_not_exclusive() {
    let world = World::new();
    put(&world, "forked/lib", 9);
    put(&world, "forked/secret", 10);
    world.put_collection("coll_forks", &["forked/l*"], None);
    world.put_directory(&["acme/pay", "forked/lib", "forked/secret"]);
    let customer = world.customer(vec![grant_on("coll_forks")]);
    assert_eq!(customer.get("/packages.json").json()["available-packages"], json!(["forked/lib"]));
}

/// One read, and no fact is sent twice, also with collections by pattern; and a cold edge gets there.
#[test]
fn a_request_costs_one_conditional_read() {
    let world = World::new();
    world.put_collection("coll_all", &["acme/*"], None);
    world.put_directory(&["acme/pay"]);
    let customer = world.customer(vec![grant_on("coll_all")]);
    // The policy is not the one that the access came with.
    let mut tenant = acme();
    tenant.policy.lapsed_suspended = cargoman_licence::Lapsed::Keep;
    world.put_tenant(super::world::HOST, tenant);
    assert_eq!(customer.get("/list.json").json(), json!({ "packageNames": ["acme/pay"] }));
    for target in ["/list.json", STABLE, "/packages.json", &dist_path("2.1.0.0", 5)] {
        let (reads, found) = (world.fake.reads.load(Ordering::SeqCst), world.fake.found.load(Ordering::SeqCst));
        for _ in 0..3 {
            assert_eq!(customer.get(target).status, 200);
        }
        assert_eq!(world.fake.reads.load(Ordering::SeqCst), reads + 3, "{target}");
        assert_eq!(world.fake.found.load(Ordering::SeqCst), found, "{target}");
    }
}

/// 10,000 customers of five sorts: five documents.
#[test]
fn customers_of_equal_rights_share_views() {
    let world = World::new();
    world.put_collection("coll_suite", &["acme/pay"], Some("^2"));
    // Two ways to one set of rights are one view: `^2`, also by a collection; what each sort sees differs.
    let sort = |number: usize| -> (Vec<Grant>, &[&str]) {
        match number % 6 {
            0 => (vec![grant("acme/pay", "*")], &["2.1.0", "2.0.0", "1.1.0", "1.0.0"]),
            1 => (vec![grant("acme/pay", "^1")], &["1.1.0", "1.0.0"]),
            2 => (vec![grant("acme/pay", "^2")], &["2.1.0", "2.0.0"]),
            3 => (vec![grant_on("coll_suite")], &["2.1.0", "2.0.0"]),
            4 => (vec![grant("acme/pay", "1.0.0")], &["1.0.0"]),
            _ => (vec![grant("acme/pay", "2.1.0")], &["2.1.0"]),
        }
    };
    let mut connection = world.connect();
    for number in 0..10_000 {
        let (grants, expected) = sort(number);
        let customer = world.customer(vec![]);
        let mut access = access(grants);
        access.customer.id = format!("cust_{number}");
        customer.change(access);
        let basic = customer.basic();
        let fields = [("Host", super::world::HOST), ("Authorization", basic.as_str())];
        let response = connection.request("GET", STABLE, &fields);
        assert_eq!(super::world::versions(&response.json()), expected, "{number}");
    }
    assert_eq!(world.counters.views_rendered(), 5);
}
