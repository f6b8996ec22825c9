//! The tenant's words: templates, what is filled in, and what stands in `packages.json` once a day.

use cargoman_edge_protocol::{Abandoned, Message, Source, Template, Tenant};
use cargoman_licence::{CustomerStatus, Grant};
use serde_json::json;

use super::world::{
    HOST, World, access, acme, acme_pay, at, dist_path, expand, grant, package, reference, tenant_id, version,
};

fn words(pairs: &[(Message, &str)]) -> Tenant {
    let mut tenant = acme();
    tenant.messages.renew_url = Some("https://shop.example/renew".to_owned());
    for (message, text) in pairs {
        tenant.messages.templates.insert(*message, Template::parse(text).unwrap());
    }
    tenant
}

fn until(package: &str, date: &str) -> Grant {
    Grant { updates_until: Some(at(date)), ..grant(package, "*") }
}

#[test]
fn templates() {
    let world = World::new();
    world.put_tenant(
        HOST,
        words(&[
            (Message::Suspended, "Dear {customer}: {reason}. {renew_url}"),
            (Message::BeyondUpdates, "{package} {version} after {until}: {renew_url}"),
            (Message::NotCovered, "Not {package} {version}!"),
        ]),
    );
    let customer = world.customer(vec![until("acme/pay", "2025-01-15")]);
    assert_eq!(
        customer.get(&dist_path("2.1.0.0", 5)).warning(),
        "acme/pay 2.1.0 after 2025-01-15: https://shop.example/renew"
    );
    // No version is named to whom it is not given.
    assert_eq!(customer.get(&dist_path("2.0.0.0-beta1", 3)).warning(), "Not acme/pay !");
    let mut access = access(vec![]);
    access.customer.name = "Shop \u{1b}[31mred {reason}\r\n".to_owned();
    access.customer.status = CustomerStatus::Suspended { reason: Some("\u{9b}2Jun\u{7}paid\u{202e}".to_owned()) };
    customer.change(access);
    assert_eq!(
        customer.get("/packages.json").warning(),
        "Dear Shop [31mred {reason}: 2Junpaid. https://shop.example/renew"
    );
}

/// Three packages by name, the others by their number; and only in `packages.json`.
#[test]
fn renewals() {
    let world = World::new();
    let mut grants = vec![until("acme/pay", "2025-01-15")];
    for (number, name) in (20_u8..).zip(["acme/a", "acme/b", "acme/c", "acme/d"]) {
        let versions = vec![
            version(name, "2.0.0", "2025-06-01", &reference(number)),
            version(name, "1.0.0", "2024-01-01", &reference(number + 50)),
        ];
        world.put_package(tenant_id(1), package(name, versions));
        grants.push(until(name, "2025-01-15"));
    }
    let secret = version("acme/secret", "9.0.0", "2025-06-01", &reference(90));
    world.put_package(tenant_id(1), package("acme/secret", vec![secret]));
    world.put_tenant(HOST, words(&[(Message::Renewal, "{package} {version} after {until}.")]));
    let customer = world.customer(grants.clone());
    let root = customer.get("/packages.json");
    assert_eq!(
        root.json()["info"],
        "acme/a 2.0.0 after 2025-01-15. acme/b 2.0.0 after 2025-01-15. acme/c 2.0.0 after 2025-01-15. and 2 more"
    );
    // Names under an exclusive vendor stand nowhere else in it.
    assert_eq!(root.json()["available-packages"], json!(null));
    assert!(!customer.get("/p2/acme/a.json").text().contains("2.0.0"));

    let one = world.customer(vec![until("acme/pay", "2025-01-15")]);
    assert_eq!(one.get("/packages.json").json()["info"], "acme/pay 2.1.0 after 2025-01-15.");
    // Nothing newer; a limit to come; no limit.
    for grant in [until("acme/pay", "2025-08-01"), until("acme/pay", "2999-01-01"), grant("acme/pay", "*")] {
        one.change(access(vec![grant]));
        assert_eq!(one.get("/packages.json").json()["info"], json!(null));
    }
    // The same words of two packages stand once.
    world.put_tenant(HOST, words(&[(Message::Renewal, "Renew at {renew_url}")]));
    one.change(access(grants.into_iter().take(2).collect()));
    assert_eq!(one.get("/packages.json").json()["info"], "Renew at https://shop.example/renew");
}

#[test]
fn deprecated() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let mut pay = acme_pay();
    pay.versions[2].deprecated = Some(Abandoned { replacement: Some("acme/pay-next".to_owned()) });
    pay.versions[4].deprecated = Some(Abandoned { replacement: None });
    world.put_package(tenant_id(1), pay);
    let shown = expand(&customer.get("/p2/acme/pay.json").json());
    let abandoned: Vec<_> = shown.iter().map(|version| version.get("abandoned").cloned()).collect();
    assert_eq!(abandoned, [None, Some(json!("acme/pay-next")), Some(json!(true)), None]);
}

/// The first that says something: customer, package, tenant.
#[test]
fn source() {
    let world = World::new();
    let customer = world.customer(vec![]);
    for (of_customer, of_package, of_tenant, expected) in [
        (None, None, Source::Hide, false),
        (None, None, Source::Show, true),
        (None, Some(Source::Hide), Source::Show, false),
        (None, Some(Source::Show), Source::Hide, true),
        (Some(false), Some(Source::Show), Source::Show, false),
        (Some(true), Some(Source::Hide), Source::Hide, true),
    ] {
        world.put_tenant(HOST, Tenant { source: of_tenant, ..acme() });
        world.put_package(tenant_id(1), cargoman_edge_protocol::Package { source: of_package, ..acme_pay() });
        let mut access = access(vec![grant("acme/pay", "*")]);
        access.customer.source_shown = of_customer;
        customer.change(access);
        let shown = customer.get("/p2/acme/pay.json").text().contains("git.internal");
        assert_eq!(shown, expected, "{of_customer:?} {of_package:?} {of_tenant:?}");
    }
}

/// An upload's reference is no commit: it has no source, whatever stands beside it.
#[test]
fn an_upload_has_no_source() {
    let world = World::new();
    let mut package = cargoman_edge_protocol::Package { source: Some(Source::Show), ..acme_pay() };
    let upload = package.versions.iter_mut().find(|version| version.version.normalized() == "2.1.0.0").unwrap();
    upload.dist.sha1.clone_from(&upload.reference);
    world.put_package(tenant_id(1), package);
    let shown = expand(&world.customer(vec![grant("acme/pay", "^2.0")]).get("/p2/acme/pay.json").json());
    let sources: Vec<bool> = shown.iter().map(|version| version.contains_key("source")).collect();
    assert_eq!(sources, [false, true]);
}
