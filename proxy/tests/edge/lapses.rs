//! What is left to customers and of grants that lapsed, what is frozen, and what was taken down.

use cargoman_composer::version::Version;
use cargoman_edge_protocol::{Access, Tenant};
use cargoman_licence::{CustomerStatus, Freeze, Grant, GrantStatus, Lapsed};

use super::world::{
    HOST, World, access, acme, acme_pay, at, dist_path, grant, name, package, reference, tenant_id, version,
};

const STABLE: &str = "/p2/acme/pay.json";

fn leaves(world: &World, left: Lapsed) {
    let mut tenant = acme();
    (tenant.policy.lapsed_suspended, tenant.policy.lapsed_expired) = (left, left);
    world.put_tenant(HOST, tenant);
}

fn suspended(since: &str) -> Access {
    let mut access = access(vec![grant("acme/pay", "*")]);
    access.customer.status = CustomerStatus::Suspended { reason: Some("unpaid".to_owned()) };
    access.customer.lapsed_at = Some(at(since));
    access
}

fn expired(since: &str) -> Access {
    let mut access = access(vec![grant("acme/pay", "*")]);
    access.customer.expires_at = Some(at(since));
    access
}

fn suspended_grant(package: &str) -> Grant {
    let status = GrantStatus::Suspended { reason: Some("card declined".to_owned()), since: Some(at("2025-02-01")) };
    Grant { id: "grant_suspended".to_owned(), status, ..grant(package, "*") }
}

/// Every choice of a tenant for both lapses; changing it shows at the next request.
#[test]
fn customers() {
    let world = World::new();
    let customer = world.customer(vec![]);
    for (access, words) in [(suspended("2025-02-01"), "is suspended: unpaid"), (expired("2025-02-01"), "has expired")] {
        customer.change(access);
        leaves(&world, Lapsed::Forbid);
        for target in
            ["/packages.json", STABLE, &dist_path("1.0.0.0", 1), "/list.json", "/search.json", "/providers/a/b.json"]
        {
            let refused = customer.get(target);
            assert_eq!((refused.status, refused.field("content-type")), (403, Some("application/json")), "{target}");
            assert!(refused.warning().contains(words), "{target}: {}", refused.warning());
        }
        leaves(&world, Lapsed::KeepMetadata);
        assert_eq!(customer.versions(STABLE), ["2.0.0", "1.1.0", "1.0.0"]);
        let refused = customer.get(&dist_path("1.0.0.0", 1));
        assert_eq!(refused.status, 403);
        assert!(refused.warning().contains(words), "{}", refused.warning());
        let root = customer.get("/packages.json");
        assert_eq!(root.status, 200);
        assert!(root.warning().contains(words), "{}", root.warning());
        leaves(&world, Lapsed::Keep);
        assert_eq!(customer.versions(STABLE), ["2.0.0", "1.1.0", "1.0.0"]);
        assert_eq!(customer.get(&dist_path("1.0.0.0", 1)).status, 200);
        assert!(customer.get("/packages.json").warning().contains(words));
        let newer = customer.get(&dist_path("2.1.0.0", 5));
        assert_eq!(newer.status, 403);
        assert!(newer.warning().contains(words), "{}", newer.warning());
        assert!(!customer.get(STABLE).text().contains("unpaid"));
    }
}

#[test]
fn frozen() {
    let world = World::new();
    let mut freeze = Freeze::new(at("2025-06-01"));
    freeze.add(&name("acme/pay"), &Version::parse("2.0.0").unwrap(), None);
    let mut held = access(vec![grant("acme/pay", "*")]);
    held.customer.frozen = Some(freeze);
    let customer = world.customer(vec![]);
    customer.change(held);
    assert_eq!(customer.versions(STABLE), ["2.0.0"]);
    assert_eq!(customer.get(&dist_path("2.0.0.0", 4)).status, 200);
    for (version, number) in [("1.0.0.0", 1), ("2.1.0.0", 5)] {
        let refused = customer.get(&dist_path(version, number));
        assert_eq!(refused.status, 403);
        assert_eq!(refused.warning(), "Your access to acme/pay is frozen; this version is not part of it.");
    }
}

/// A suspended grant takes its package alone, and nothing where another grant shows it.
#[test]
fn grants() {
    let world = World::new();
    let log = version("acme/log", "1.0.0", "2024-01-01", &reference(9));
    world.put_package(tenant_id(1), package("acme/log", vec![log]));
    let customer = world.customer(vec![suspended_grant("acme/pay"), grant("acme/log", "*")]);
    for target in [STABLE, "/p2/acme/pay~dev.json", &dist_path("1.0.0.0", 1)] {
        let refused = customer.get(target);
        assert_eq!(refused.status, 403, "{target}");
        assert_eq!(refused.warning(), "Your licence for acme/pay is suspended: card declined", "{target}");
    }
    assert_eq!(customer.get("/packages.json").status, 200);
    assert_eq!(customer.versions("/p2/acme/log.json"), ["1.0.0"]);

    leaves(&world, Lapsed::KeepMetadata);
    assert_eq!(customer.versions(STABLE), ["2.0.0", "1.1.0", "1.0.0"]);
    assert_eq!(customer.get(&dist_path("1.0.0.0", 1)).status, 403);
    leaves(&world, Lapsed::Keep);
    assert_eq!(customer.get(&dist_path("1.0.0.0", 1)).status, 200);
    assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).status, 403);

    leaves(&world, Lapsed::Forbid);
    customer.change(access(vec![suspended_grant("acme/pay"), grant("acme/pay", "^1")]));
    assert_eq!(customer.versions(STABLE), ["1.1.0", "1.0.0"]);
    assert_eq!(customer.versions("/p2/acme/pay~dev.json"), Vec::<String>::new());
    assert_eq!(customer.get(&dist_path("1.0.0.0", 1)).status, 200);
    assert!(customer.get(&dist_path("2.0.0.0", 4)).warning().contains("card declined"));
}

#[test]
fn taken_down() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let other = world.customer(vec![grant("acme/pay", "^1")]);
    let stranger = world.customer(vec![]);
    let mut pay = acme_pay();
    pay.versions[1].taken_down = Some("malware".to_owned());
    world.put_package(tenant_id(1), pay);
    assert_eq!(customer.versions(STABLE), ["2.0.0", "1.1.0", "1.0.0"]);
    let path = dist_path("2.1.0.0", 5);
    let refused = customer.get(&path);
    assert_eq!((refused.status, refused.warning()), (403, "acme/pay 2.1.0 was taken down: malware".to_owned()));
    // Whoever was never given it learns nothing.
    assert_eq!(other.get(&path).warning(), "Your licence for acme/pay does not cover this version.");
    assert_eq!(stranger.get(&path).status, 404);
}

/// A minimum stability of the tenant shows at the next request, and going back as well.
#[test]
fn a_change_of_policy() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let minimum = |stability| {
        let mut tenant = acme();
        tenant.policy.minimum_stability = stability;
        world.put_tenant(HOST, Tenant { ..tenant });
        customer.versions(STABLE).len()
    };
    assert_eq!(customer.versions(STABLE).len(), 4);
    assert_eq!(minimum(Some(cargoman_composer::stability::Stability::Beta)), 5);
    assert_eq!(minimum(None), 4);
}
