//! What a name answers that shows nothing, and that absent and forbidden are the same.

use cargoman_composer::name::{PackageName, VendorName};
use cargoman_edge_protocol::{Tenant, Vendor};
use serde_json::json;

use super::world::{HOST, World, acme, dist_path, grant, package, reference, say, tenant_id, version};

/// E-E4: an absent package and one without a grant are byte for byte the same.
#[test]
fn absent_is_forbidden_is_absent() {
    let world = World::new();
    // Names of one length, so that nothing but the answer itself could differ.
    let secret = version("acme/aaa", "1.0.0", "2024-01-01", &reference(9));
    world.put_package(tenant_id(1), package("acme/aaa", vec![secret]));
    let forked = version("forked/aaa", "1.0.0", "2024-01-01", &reference(10));
    world.put_package(tenant_id(1), package("forked/aaa", vec![forked]));
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    for vendor in ["acme", "forked", "stranger"] {
        for suffix in [".json", "~dev.json"] {
            let forbidden = customer.get(&format!("/p2/{vendor}/aaa{suffix}")).without_date();
            let absent = customer.get(&format!("/p2/{vendor}/bbb{suffix}")).without_date();
            let expected = if vendor == "acme" { 200 } else { 404 };
            assert_eq!((forbidden.status, absent.status), (expected, expected), "{vendor}{suffix}");
            assert_eq!(forbidden.text(), absent.text().replace("bbb", "aaa"));
            let names = |response: &super::client::Response| -> Vec<String> {
                response.fields.iter().map(|(name, _)| name.clone()).collect()
            };
            assert_eq!(names(&forbidden), names(&absent));
        }
        let forbidden = customer.get(&format!("/dist/{vendor}/aaa/1.0.0.0/{}.zip", reference(9))).without_date();
        let absent = customer.get(&format!("/dist/{vendor}/bbb/1.0.0.0/{}.zip", reference(9))).without_date();
        assert_eq!(forbidden.status, 404);
        assert_eq!(forbidden, absent);
    }
    // The date of an empty list is a function of its URL: the same before the package came and after.
    let before = customer.get("/p2/acme/ccc.json").without_date();
    world.put_package(
        tenant_id(1),
        package("acme/ccc", vec![version("acme/ccc", "1.0.0", "2024-01-01", &reference(11))]),
    );
    assert_eq!(customer.get("/p2/acme/ccc.json").without_date(), before);
}

#[test]
fn the_table_of_vendors() {
    let world = World::new();
    let fork = version("forked/lib", "1.0.0", "2024-01-01", &reference(9));
    world.put_package(tenant_id(1), package("forked/lib", vec![fork]));
    let customer = world.customer(vec![grant("acme/pay", "^1.0"), grant("forked/lib", "^2")]);
    let empty = |name: &str| json!({ "packages": { name: [] } });
    for (target, status, body) in [
        // Under an exclusive vendor: an empty list, so that Composer looks nowhere else.
        ("/p2/acme/absent.json", 200, empty("acme/absent")),
        ("/p2/acme/pay~dev.json", 200, empty("acme/pay")),
        // Its public names: from packagist.org.
        ("/p2/acme/open.json", 404, json!({ "error": "not found" })),
        // Given to him, but no version shows: his, so no looking elsewhere.
        ("/p2/forked/lib.json", 200, empty("forked/lib")),
        // Not given to him, in a vendor that is not exclusive.
        ("/p2/forked/absent.json", 404, json!({ "error": "not found" })),
        ("/p2/monolog/monolog.json", 404, json!({ "error": "not found" })),
        // No name at all.
        ("/p2/Acme/Pay.json", 404, json!({ "warning": "Not found." })),
    ] {
        let response = customer.get(target);
        assert_eq!((response.status, response.json()), (status, body), "{target}");
        assert_eq!(response.field("content-type"), Some("application/json"), "{target}");
    }
    // A private package of a public name, for someone who has it.
    let open = version("acme/open", "1.0.0", "2024-01-01", &reference(10));
    world.put_package(tenant_id(1), package("acme/open", vec![open]));
    assert_eq!(customer.get("/p2/acme/open.json").status, 404);
    let owner = world.customer(vec![grant("acme/open", "*")]);
    assert_eq!(owner.versions("/p2/acme/open.json"), ["1.0.0"]);
}

/// E-E1, in small: two tenants with the same names and the same references see their own.
#[test]
fn tenants_with_the_same_names() {
    let world = World::new();
    let vendor = Vendor { name: VendorName::parse("acme").unwrap(), exclusive: true, public_names: Default::default() };
    let other = Tenant {
        id: tenant_id(2),
        slug: "other".to_owned(),
        canonical_url: "https://other.example".to_owned(),
        vendors: vec![vendor],
        ..acme()
    };
    world.put_tenant("other.example", other);
    let mut theirs = version("acme/pay", "1.0.0", "2024-01-10", &reference(1));
    say(&mut theirs, "description", json!("canary of the other"));
    world.put_package(tenant_id(2), package("acme/pay", vec![theirs]));
    let ours = world.customer(vec![grant("acme/pay", "^1.0")]);
    let mut stranger = world.customer(vec![]);
    world.put_access(tenant_id(2), &stranger.secret, super::world::access(vec![grant("acme/pay", "*")]));
    stranger.host = "other.example".to_owned();

    assert!(!ours.get("/p2/acme/pay.json").text().contains("canary"));
    let answer = stranger.get("/p2/acme/pay.json");
    assert!(
        answer.text().contains("canary") && answer.text().contains("https://other.example/dist/"),
        "{}",
        answer.text()
    );
    assert!(!answer.text().contains("https://acme.example"));
    // E-E3: a reference known from elsewhere opens nothing.
    assert_eq!(stranger.get(&dist_path("1.1.0.0", 2)).status, 404);
    let tag = |asker: &super::world::Asker<'_>| asker.get(&dist_path("1.0.0.0", 1)).field("etag").unwrap().to_owned();
    assert_ne!(tag(&ours), tag(&stranger));
    assert_eq!(PackageName::parse("acme/pay").unwrap().vendor(), "acme");
    assert_eq!(world.connect().request("GET", "/packages.json", &[("Host", HOST)]).status, 401);
}
