//! Who gets in: forms of a token, its end, the customer's, the tenant's.

use std::sync::atomic::Ordering;

use cargoman_credential::Kind;
use cargoman_edge_protocol::{Entry, Host, Key, Tenant};
use cargoman_licence::{CustomerStatus, Scope};
use chrono::{TimeDelta, Utc};

use super::client::Response;
use super::world::{HOST, World, access, acme, dist_path, grant, secret, tenant_id};

/// Every route that answers with a customer's things.
fn routes() -> [String; 8] {
    [
        "/packages.json".to_owned(),
        "/p2/acme/pay.json".to_owned(),
        "/p2/acme/pay~dev.json".to_owned(),
        dist_path("1.0.0.0", 1),
        "/list.json".to_owned(),
        "/search.json?q=a&type=".to_owned(),
        "/providers/acme/pay.json".to_owned(),
        "/p2/absent/thing.json".to_owned(),
    ]
}

fn bare(world: &World, host: &str, target: &str, authorization: Option<&str>) -> Response {
    let mut fields = vec![("Host", host)];
    fields.extend(authorization.map(|value| ("Authorization", value)));
    world.connect().request("GET", target, &fields).without_date()
}

#[test]
fn basic_and_bearer() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let bearer = format!("Bearer {}", customer.secret.expose());
    for authorization in [customer.basic(), bearer.clone(), bearer.replace("Bearer", "bearer")] {
        assert_eq!(bare(&world, HOST, "/packages.json", Some(&authorization)).status, 200, "{authorization}");
    }
}

/// E-A1, E-A2, E-A5, E-A6, E-A7, E-H13: one body for every bad token, every path, and hosts of the zone without a tenant.
#[test]
fn one_answer_to_every_bad_token() {
    let world = World::new();
    world.fake.put(Key::Host { host: "nobody.example".to_owned() }, Entry::Host(Host::ZoneWithoutTenant));
    world.put_tenant("other.example", Tenant { id: tenant_id(2), slug: "other".to_owned(), ..acme() });
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let expected = bare(&world, HOST, "/packages.json", None);
    assert_eq!(expected.status, 401);
    assert_eq!(expected.field("www-authenticate"), Some("Basic realm=\"Cargoman\""));
    assert_eq!(expected.field("cache-control"), Some("no-store"));
    assert!(expected.warning().contains("token"));

    let unknown = format!("Bearer {}", secret(Kind::Token).expose());
    let operator = format!("Bearer {}", secret(Kind::Operator).expose());
    let right = customer.basic();
    for target in routes() {
        for (host, authorization) in [
            (HOST, None),
            (HOST, Some(unknown.as_str())),
            (HOST, Some(operator.as_str())),
            (HOST, Some("Bearer x")),
            (HOST, Some("Basic !")),
            ("other.example", Some(right.as_str())),
            ("nobody.example", Some(right.as_str())),
            ("nobody.example", None),
        ] {
            assert_eq!(bare(&world, host, &target, authorization), expected, "{host} {target} {authorization:?}");
        }
    }
    // A token anywhere else is none.
    let text = customer.secret.expose();
    let elsewhere = world.connect().request(
        "GET",
        &format!("/packages.json?token={text}"),
        &[("Host", HOST), ("Cookie", text), ("X-Api-Key", text), ("PRIVATE-TOKEN", text)],
    );
    assert_eq!(elsewhere.without_date(), expected);
}

/// E-A10: what is not even well-formed costs nobody anything.
#[test]
fn malformed_tokens_are_not_looked_up() {
    let world = World::new();
    bare(&world, HOST, "/packages.json", None);
    let before = world.fake.reads.load(Ordering::SeqCst);
    for number in 0..50 {
        assert_eq!(bare(&world, HOST, "/packages.json", Some(&format!("Bearer tok_{number:038}"))).status, 401);
    }
    assert_eq!(world.fake.reads.load(Ordering::SeqCst), before);
}

/// E-A8: revoked, expired, customer and tenant gone bad: at the next request, on every route.
#[test]
fn the_next_request_is_refused() {
    let world = World::new();
    let customer = world.customer(vec![]);
    let good = access(vec![grant("acme/pay", "*")]);
    let yesterday = Utc::now() - TimeDelta::days(1);
    let mut bad = vec![];
    let mut change = |status: u16, words: &'static str, edit: &dyn Fn(&mut cargoman_edge_protocol::Access)| {
        let mut access = good.clone();
        edit(&mut access);
        bad.push((status, words, access));
    };
    change(401, "ending in wxyz was revoked on", &|access| access.token.revoked_at = Some(yesterday));
    change(401, "ending in wxyz expired on", &|access| access.token.expires_at = Some(yesterday));
    change(401, "expired on", &|access| access.token.expires_at = Some(Utc::now()));
    change(403, "webhook", &|access| access.token.scope = Scope::Webhook);
    change(403, "suspended: unpaid bill", &|access| {
        access.customer.status = CustomerStatus::Suspended { reason: Some("unpaid\u{1b} bill".to_owned()) };
    });
    change(403, "suspended", &|access| access.customer.status = CustomerStatus::Suspended { reason: None });
    change(403, "expired", &|access| access.customer.status = CustomerStatus::Expired);
    change(403, "expired", &|access| access.customer.expires_at = Some(yesterday));
    for (status, words, access) in bad {
        for target in routes() {
            customer.change(good.clone());
            let before = customer.get(&target);
            assert!(matches!(before.status, 200 | 404), "{target} {before:?}");
            customer.change(access.clone());
            let after = customer.get(&target);
            assert_eq!(after.status, status, "{target} {words}");
            assert!(after.warning().contains(words), "{target}: {}", after.warning());
            assert_eq!(after.field("cache-control"), Some("no-store"));
        }
        assert_eq!(customer.post("/downloads", "{\"downloads\":[]}").status, status);
    }
    customer.change(good);
    world.fake.remove(&Key::Access { tenant: tenant_id(1), digest: customer.secret.digest() });
    for target in routes() {
        assert_eq!(customer.get(&target).status, 401, "{target}");
    }
}

#[test]
fn a_suspended_tenant() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    world.put_tenant(HOST, Tenant { suspended: Some("Closed for \u{7}now.".to_owned()), ..acme() });
    for target in routes() {
        let response = customer.get(&target);
        assert_eq!((response.status, response.warning().as_str()), (403, "Closed for now."), "{target}");
        assert_eq!(bare(&world, HOST, &target, None).status, 401, "{target}");
    }
}
