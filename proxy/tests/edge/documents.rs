//! `packages.json` and p2 files: what stands in them, and when they are 304.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cargoman_composer::stability::Stability;
use cargoman_edge_protocol::{Abandoned, Source};
use cargoman_licence::{Grant, PackageGlob};
use chrono::{TimeDelta, Utc};
use serde_json::json;

use super::world::{
    World, access, acme, acme_pay, at, expand, grant, package, reference, say, tenant_id, version, versions,
};

const STABLE: &str = "/p2/acme/pay.json";
const DEV: &str = "/p2/acme/pay~dev.json";

fn with(constraint: &str, stability: Option<Stability>, until: Option<&str>) -> Grant {
    Grant {
        id: format!("g {constraint} {stability:?} {until:?}"),
        minimum_stability: stability,
        updates_until: until.map(at),
        ..grant("acme/pay", constraint)
    }
}

#[test]
fn the_worked_examples() {
    let world = World::new();
    for (name, grants, stable, dev) in [
        ("*", vec![with("*", None, None)], vec!["2.1.0", "2.0.0", "1.1.0", "1.0.0"], vec![]),
        ("^1.0", vec![with("^1.0", None, None)], vec!["1.1.0", "1.0.0"], vec![]),
        (
            "beta",
            vec![with("*", Some(Stability::Beta), None)],
            vec!["2.1.0", "2.0.0", "2.0.0-beta1", "1.1.0", "1.0.0"],
            vec![],
        ),
        (
            "dev",
            vec![with("*", Some(Stability::Dev), None)],
            vec!["2.1.0", "2.0.0", "2.0.0-beta1", "1.1.0", "1.0.0"],
            vec!["dev-main"],
        ),
        ("boundary", vec![with("*", None, Some("2025-01-15"))], vec!["2.0.0", "1.1.0", "1.0.0"], vec![]),
        (
            "union",
            vec![with("^1.0", None, None), with("^2.0", None, Some("2025-02-01"))],
            vec!["2.0.0", "1.1.0", "1.0.0"],
            vec![],
        ),
        ("nothing", vec![with("^2.0", None, Some("2024-12-31"))], vec![], vec![]),
        ("none", vec![], vec![], vec![]),
    ] {
        let customer = world.customer(grants);
        assert_eq!(customer.versions(STABLE), stable, "{name}");
        assert_eq!(customer.versions(DEV), dev, "{name}");
    }
}

#[test]
fn a_version_object() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let response = customer.get(STABLE);
    assert_eq!(response.field("content-type"), Some("application/json"));
    assert_eq!(response.field("cache-control"), Some("private, no-cache"));
    assert_eq!(response.field("vary"), Some("Authorization, Accept-Encoding"));
    let document = response.json();
    assert_eq!(document["minified"], "composer/2.0");
    let newest = &expand(&document)[0];
    assert_eq!(newest["version_normalized"], "2.1.0.0");
    let expected = &acme_pay().versions[1];
    assert_eq!(
        newest["dist"],
        json!({
            "type": "zip",
            "url": format!("https://acme.example/dist/acme/pay/2.1.0.0/{}.zip", reference(5)),
            "reference": reference(5),
            "shasum": expected.dist.sha1,
        })
    );
    // E-E8: nothing of where the source lies, unless the tenant wants it.
    assert!(!response.text().contains("git.internal"));
    world.put_tenant(super::world::HOST, cargoman_edge_protocol::Tenant { source: Source::Show, ..acme() });
    let shown = &expand(&customer.get(STABLE).json())[0];
    assert_eq!(
        shown["source"],
        json!({ "type": "git", "url": "https://git.internal/acme/pay", "reference": reference(5) })
    );
}

/// E-H11: no field of a request reaches a URL in an answer.
#[test]
fn absolute_urls_come_from_settings() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let plain = customer.get(STABLE).without_date();
    for (name, value) in [
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "host=evil.example;proto=http"),
        ("X-Forwarded-Proto", "http"),
        ("X-Original-URL", "/packages.json"),
        ("X-Rewrite-URL", "/packages.json"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-Host", "evil.example"),
    ] {
        assert_eq!(customer.ask("GET", STABLE, &[(name, value)]).without_date(), plain, "{name}");
    }
}

#[test]
fn abandoned() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    for (replacement, expected) in [(None, json!(true)), (Some("acme/new".to_owned()), json!("acme/new"))] {
        world.put_package(
            tenant_id(1),
            cargoman_edge_protocol::Package { abandoned: Some(Abandoned { replacement }), ..acme_pay() },
        );
        assert_eq!(expand(&customer.get(STABLE).json())[0]["abandoned"], expected);
    }
}

#[test]
fn the_date_tells_views_apart() {
    let world = World::new();
    let all = world.customer(vec![grant("acme/pay", "*")]);
    let old = world.customer(vec![grant("acme/pay", "^1.0")]);
    let same = world.customer(vec![grant("acme/pay", "*")]);
    let date = |response: &super::client::Response| response.field("last-modified").unwrap().to_owned();
    let (first, second) = (all.get(STABLE), old.get(STABLE));
    assert_ne!(date(&first), date(&second));
    assert_eq!(same.get(STABLE).without_date(), first.clone().without_date());

    let since =
        |asker: &super::world::Asker<'_>, value: &str| asker.ask("GET", STABLE, &[("If-Modified-Since", value)]);
    let unchanged = since(&all, &date(&first));
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.field("last-modified"), Some(date(&first).as_str()));
    // Another view's date, a date in the future, garbage: the whole document.
    for value in [date(&second).as_str(), "Fri, 01 Jan 2100 00:00:00 GMT", "garbage"] {
        assert_eq!(since(&all, value).status, 200, "{value}");
    }
    // A change of rights gives another date, and going back gives the first one again.
    all.change(access(vec![grant("acme/pay", "^1.0")]));
    assert_eq!(since(&all, &date(&first)).status, 200);
    all.change(access(vec![grant("acme/pay", "*")]));
    assert_eq!(since(&all, &date(&first)).status, 304);
    // E-E5: a right validator without the right.
    all.change(access(vec![]));
    assert_eq!(since(&all, &date(&first)).status, 200);
}

#[test]
fn gzip_and_head() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    for target in [STABLE, "/packages.json"] {
        let plain = customer.get(target);
        let packed = customer.ask("GET", target, &[("Accept-Encoding", "deflate, gzip, br, zstd")]);
        assert_eq!(plain.field("content-encoding"), None);
        assert_eq!(packed.field("last-modified"), plain.field("last-modified"));
        if packed.field("content-encoding") == Some("gzip") {
            let mut out = vec![0; plain.body.len()];
            libdeflater::Decompressor::new().gzip_decompress(&packed.body, &mut out).unwrap();
            assert_eq!(out, plain.body, "{target}");
        }
        // E-G5, E-G4.
        let head = customer.ask("HEAD", target, &[]);
        assert_eq!(head.clone().without_date().fields, plain.clone().without_date().fields, "{target}");
        assert_eq!(
            customer.ask("GET", target, &[("Range", "bytes=0-3")]).without_date(),
            plain.without_date(),
            "{target}"
        );
    }
    assert_eq!(customer.ask("GET", STABLE, &[("Accept-Encoding", "gzip")]).field("content-encoding"), Some("gzip"));
}

#[test]
fn the_root_file() {
    let world = World::new();
    let mut fork = version("forked/lib", "1.0.0", "2024-01-01", &reference(9));
    say(&mut fork, "description", json!("A fork"));
    world.put_package(tenant_id(1), package("forked/lib", vec![fork]));
    let customer = world.customer(vec![grant("acme/pay", "*"), grant("forked/lib", "^1"), grant("forked/gone", "*")]);
    assert_eq!(
        customer.get("/packages.json").json(),
        json!({
            "packages": [],
            "metadata-url": "/p2/%package%.json",
            "available-package-patterns": ["acme/*"],
            "available-packages": ["forked/lib"],
            "mirrors": [{ "dist-url": "/dist/%package%/%version%/%reference%.zip", "preferred": true }],
            "notify-batch": "/downloads",
            "list": "/list.json",
            "search": "/search.json?q=%query%&type=%type%",
            "providers-api": "/providers/%package%.json",
        })
    );
    // Nothing visible outside exclusive vendors: no such list. Nothing at all: a pattern that no name fits.
    let hidden = world.customer(vec![grant("forked/lib", "^2")]);
    assert_eq!(hidden.get("/packages.json").json()["available-packages"], json!(null));
    world.put_tenant(super::world::HOST, cargoman_edge_protocol::Tenant { vendors: Vec::new(), ..acme() });
    assert_eq!(hidden.get("/packages.json").json()["available-package-patterns"], json!(["-/-"]));
}

#[test]
fn a_token_about_to_expire_is_told_in_the_root_file() {
    let world = World::new();
    let customer = world.customer(vec![]);
    let plain = customer.get("/packages.json");
    let expires = |days: i64| {
        let mut access = access(vec![]);
        access.token.expires_at = Some(Utc::now() + TimeDelta::days(days));
        customer.change(access);
        customer.get("/packages.json")
    };
    assert_eq!(expires(30).without_date(), plain.clone().without_date());
    let soon = expires(3);
    let info = soon.json()["info"].as_str().unwrap().to_owned();
    assert!(
        info.starts_with("Your token expires on ")
            && info.contains(&(Utc::now() + TimeDelta::days(3)).format("%Y-%m-%d").to_string()),
        "{info}"
    );
    assert_ne!(soon.field("last-modified"), plain.field("last-modified"));
    assert!(!customer.get(STABLE).text().contains("expires"));
}

/// E-E6.
#[test]
fn list_search_and_providers_show_what_is_visible() {
    let world = World::new();
    let mut log = version("acme/log", "1.0.0", "2024-01-01", &reference(9));
    say(&mut log, "provide", json!({ "psr/log-implementation": "3.0" }));
    say(&mut log, "type", json!("metapackage"));
    say(&mut log, "keywords", json!(["Audit"]));
    world.put_package(tenant_id(1), package("acme/log", vec![log]));
    let hidden = version("acme/hidden", "1.0.0", "2024-01-01", &reference(10));
    world.put_package(tenant_id(1), package("acme/hidden", vec![hidden]));
    let customer = world.customer(vec![grant("acme/pay", "*"), grant("acme/log", "*"), grant("acme/hidden", "^9")]);

    let names = |query: &str| customer.get(&format!("/list.json{query}")).json()["packageNames"].clone();
    assert_eq!(names(""), json!(["acme/log", "acme/pay"]));
    assert_eq!(names("?filter=acme%2Fp%2A"), json!(["acme/pay"]));
    assert_eq!(names("?filter=ACME/L*&vendor=acme"), json!(["acme/log"]));
    assert_eq!(names("?vendor=other"), json!([]));

    let found = |query: &str| -> Vec<String> {
        let answer = customer.get(&format!("/search.json?{query}")).json();
        let names: Vec<String> =
            answer["results"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(answer["total"], json!(names.len()));
        names
    };
    assert_eq!(found("q=acme&type="), ["acme/log", "acme/pay"]);
    assert_eq!(found("q=PAY+makes&type="), ["acme/pay"]);
    assert_eq!(found("q=audit&type="), ["acme/log"]);
    assert_eq!(found("q=&type=metapackage"), ["acme/log"]);
    assert_eq!(found("q=hidden&type="), Vec::<String>::new());

    let providers = |name: &str| customer.get(&format!("/providers/{name}.json")).json()["providers"].clone();
    assert_eq!(
        providers("psr/log-implementation"),
        json!([{ "name": "acme/log", "description": "acme/log makes things", "type": "metapackage" }])
    );
    assert_eq!(providers("ext-foo"), json!([]));

    let stranger = world.customer(vec![]);
    assert_eq!(stranger.get("/list.json").json(), json!({ "packageNames": [] }));
    assert_eq!(stranger.get("/providers/psr/log-implementation.json").json(), json!({ "providers": [] }));
}

#[test]
fn a_token_for_other_packages_sees_none() {
    let world = World::new();
    let mut narrowed = access(vec![grant("acme/pay", "*")]);
    narrowed.token.package_scopes = vec![PackageGlob::parse("acme/other").unwrap()];
    let customer = world.customer(vec![]);
    customer.change(narrowed);
    assert_eq!(customer.versions(STABLE), Vec::<String>::new());
    assert_eq!(customer.get("/list.json").json(), json!({ "packageNames": [] }));
}

/// A yanked version leaves metadata at the next request.
#[test]
fn yanked() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    assert!(customer.versions(STABLE).contains(&"2.1.0".to_owned()));
    let mut changed = acme_pay();
    changed.versions[1].yanked = true;
    world.put_package(tenant_id(1), changed);
    assert!(!customer.versions(STABLE).contains(&"2.1.0".to_owned()));
    assert_eq!(customer.get(&super::world::dist_path("2.1.0.0", 5)).status, 200);
}

/// One read per request once tenant and token are known, and no fact is sent twice.
#[test]
fn a_request_costs_one_conditional_read() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    customer.get(STABLE);
    let (reads, found) = (world.fake.reads.load(Ordering::SeqCst), world.fake.found.load(Ordering::SeqCst));
    for _ in 0..5 {
        customer.get(STABLE);
    }
    assert_eq!(world.fake.reads.load(Ordering::SeqCst), reads + 5);
    assert_eq!(world.fake.found.load(Ordering::SeqCst), found);
}

/// E-C2, E-C6: two customers of other rights, the same URLs, at the same time, and never each other's bytes.
#[test]
fn interleaved_customers() {
    let world = Arc::new(World::new());
    std::thread::scope(|scope| {
        for (constraint, expected) in [("^1.0", ["1.1.0", "1.0.0"]), ("^2.0", ["2.1.0", "2.0.0"])] {
            let world = Arc::clone(&world);
            scope.spawn(move || {
                let customer = world.customer(vec![grant("acme/pay", constraint)]);
                let basic = customer.basic();
                let mut connection = world.connect();
                for _ in 0..200 {
                    let fields = [("Host", "acme.example"), ("Authorization", basic.as_str())];
                    assert_eq!(versions(&connection.request("GET", STABLE, &fields).json()), expected);
                }
            });
        }
    });
}
