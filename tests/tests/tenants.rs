//! Two tenants with the same package name on one registry: nothing of one is at the other's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use cargoman_testkit::cargoman::{ADMIN_TOKEN, Registry};
use cargoman_testkit::raw_http::request;
use cargoman_tests::operator::text;
use cargoman_tests::package_files::composer_json;
use cargoman_tests::reader::without_date;
use cargoman_tests::world::LOCAL;
use cargoman_tests::{Customer, Reader, World};
use serde_json::{Value, json};

/// A tenant with `acme/pay`, and a customer who sees it.
struct Tenant {
    slug: &'static str,
    customer: Customer,
    reader: Reader,
}

fn tenants() -> (World, [Tenant; 2]) {
    let config = format!("{LOCAL}[tenancy]\nzone = \"registry.example\"\n");
    let world = World::start_with(Registry::builder().config(&config));
    let tenants = ["alpha", "beta"].map(|slug| {
        world.operator().post("/tenants", &json!({"slug": slug}));
        let operator = world.operator_of(slug);
        let repository = world.git.repository(&format!("{slug}.git"));
        repository.write("composer.json", composer_json("acme/pay", &json!({})));
        repository.write("canary", format!("only {slug}\n")).commit("First").tag("v1.0.0");
        operator.add("acme/pay", &world.git.url(&format!("{slug}.git")));
        let customer = operator.customer_of(&["acme/pay"]);
        let reader = world.reader(&customer).at_host(&format!("{slug}.registry.example"));
        Tenant { slug, customer, reader }
    });
    (world, tenants)
}

const ROUTES: [&str; 5] =
    ["/packages.json", "/p2/acme/pay.json", "/p2/acme/pay~dev.json", "/list.json", "/search.json?q=pay&type="];

/// E-A6, E-E3.
#[test]
fn a_token_is_good_on_its_own_host_alone() {
    let (world, [alpha, beta]) = tenants();
    let nobody = world.operator_of("alpha").customer("Gone");
    world.operator_of("alpha").ask("DELETE", &format!("/customers/{}", nobody.id), &Value::Null);
    for (own, other) in [(&alpha, &beta), (&beta, &alpha)] {
        let shown = &own.reader.shown("acme/pay")[0];
        let dist = shown.dist_path();
        let archive = own.reader.get(&dist);
        assert_eq!(archive.status, 200);
        let url = shown.text("/dist/url");
        assert!(url.starts_with(&format!("http://{}.registry.example:", own.slug)), "{url}");
        for route in ROUTES.into_iter().chain([dist.as_str()]) {
            let host = format!("{}.registry.example", other.slug);
            let unknown = without_date(world.reader(&nobody).at_host(&host).get(route));
            assert_eq!(unknown.status, 401, "{route}");
            assert_eq!(without_date(own.reader.at_host(&host).get(route)), unknown, "{route}");
        }
        // The address of the other's archive, with the own token on the own host.
        let others = other.reader.shown("acme/pay")[0].dist_path();
        assert_ne!(others, dist, "their commits differ");
        assert_eq!(own.reader.get(&others).status, 404);
        // What the zone's other hosts and the default tenant say to it.
        for host in ["127.0.0.1", "gamma.registry.example"] {
            assert_eq!(own.reader.at_host(host).get("/packages.json").status, 401, "{host}");
        }
    }
    // Same name, other bytes.
    let [first, second] = [&alpha, &beta].map(|tenant| {
        let path = tenant.reader.shown("acme/pay")[0].dist_path();
        let archive = tenant.reader.get(&path);
        (archive.header("etag").unwrap().to_owned(), archive.body)
    });
    assert!(first.0 != second.0 && first.1 != second.1);
}

/// C-Z1: with the ids of another tenant there is nothing.
#[test]
fn the_api_works_on_one_tenant() {
    let (world, [alpha, beta]) = tenants();
    let (status, answer) = world.operator().call("GET", "/customers", None);
    assert_eq!((status, answer["error"]["code"].as_str()), (400, Some("VALIDATION_ERROR")), "{answer}");
    assert!(text(&answer["error"]["message"]).contains("X-Cargoman-Tenant"), "{answer}");
    let (status, answer) = world.operator_of("gamma").call("GET", "/customers", None);
    assert_eq!(status, 404, "{answer}");

    let operator = world.operator_of(beta.slug);
    let customers = operator.get("/customers");
    assert_eq!(customers.as_array().unwrap().len(), 1);
    assert_eq!(customers[0]["id"], beta.customer.id);
    let foreign = &alpha.customer.id;
    let token = world.operator_of(alpha.slug).first_token(&alpha.customer);
    let grant = text(&world.operator_of(alpha.slug).get(&format!("/customers/{foreign}/packages"))[0]["id"]);
    let own = &beta.customer.id;
    for (method, path) in [
        ("GET", format!("/customers/{foreign}")),
        ("PATCH", format!("/customers/{foreign}")),
        ("DELETE", format!("/customers/{foreign}")),
        ("POST", format!("/customers/{foreign}/suspend")),
        ("GET", format!("/customers/{foreign}/tokens")),
        ("POST", format!("/customers/{foreign}/token/regenerate")),
        ("DELETE", format!("/customers/{own}/tokens/{token}")),
        ("POST", format!("/customers/{own}/tokens/{token}/rotate")),
        ("GET", format!("/customers/{own}/grants/{grant}")),
        ("DELETE", format!("/customers/{own}/grants/{grant}")),
    ] {
        let body = (method == "PATCH" || method == "POST").then(|| json!({}));
        let (status, answer) = operator.call(method, &path, body.as_ref());
        assert_eq!((status, answer["error"]["code"].as_str()), (404, Some("NOT_FOUND")), "{method} {path}: {answer}");
    }
    assert_eq!(alpha.reader.get("/packages.json").status, 200, "nothing has happened to him");
}

/// Headers that only the registry's own parts may use, sent by a client.
#[test]
fn internal_headers_from_outside_have_no_effect() {
    let (world, [alpha, beta]) = tenants();
    let tenants = world.operator().get("/tenants");
    let id = |slug: &str| {
        let all = tenants.as_array().unwrap();
        text(&all.iter().find(|tenant| tenant["slug"] == slug).unwrap()["id"]).replace("ten_", "")
    };
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let spoofed_id = id(beta.slug);
    let spoofs: [&[(&str, &str)]; 5] = [
        &[("X-Cargoman-Tenant", "beta")],
        &[("X-Cargoman-Edge-Tenant", &spoofed_id)],
        &[("X-Cargoman-Edge", "cme_00000000000000000000000000000000000000"), ("X-Cargoman-Edge-Tenant", &spoofed_id)],
        &[("x-cargoman-edge", ""), ("X-CARGOMAN-TENANT", "beta")],
        &[("X-Forwarded-Host", "beta.registry.example"), ("Forwarded", "host=beta.registry.example")],
    ];
    let ask = |base: &str, host: &str, spoof: &[(&str, &str)]| {
        let headers = [&[("Host", host), ("Authorization", bearer.as_str())], spoof].concat();
        request("GET", &format!("{base}/api/v1/customers"), &headers, b"")
    };
    let edge = world.registry.edge_url();
    for spoof in spoofs {
        // Through the edge the host decides, and nothing else.
        let answer = ask(edge, "alpha.registry.example", spoof);
        assert_eq!(answer.status, 200, "{spoof:?}: {}", answer.text());
        assert_eq!(answer.json()["data"][0]["id"], alpha.customer.id, "{spoof:?}");
        for route in ROUTES {
            let plain = without_date(alpha.reader.get(route));
            assert_eq!(without_date(alpha.reader.ask("GET", route, spoof)), plain, "{spoof:?} {route}");
        }
    }
    // On the control plane's own listener a wrong credential of an edge is refused.
    for spoof in &spoofs[2..4] {
        let control = world.registry.control_url();
        assert_eq!(ask(control, &control.replace("http://", ""), spoof).status, 401, "{spoof:?}");
    }
    // Without the admin's token there is nothing, with whatever headers.
    for spoof in spoofs {
        let headers = [&[("Host", "alpha.registry.example")], spoof].concat();
        assert_eq!(request("GET", &format!("{edge}/api/v1/customers"), &headers, b"").status, 401, "{spoof:?}");
    }
}

/// E-H13: without a credential nobody finds out which tenants there are, on no path.
#[test]
fn names_of_tenants_cannot_be_found_by_trying() {
    let (world, _) = tenants();
    let ask = |slug: &str, method: &str, path: &str, authorization: Option<&str>| {
        let host = format!("{slug}.registry.example");
        let mut headers = vec![("Host", host.as_str())];
        headers.extend(authorization.map(|value| ("Authorization", value)));
        let mut answer = request(method, &format!("{}{path}", world.registry.edge_url()), &headers, b"");
        // Both differ with each answer, whoever is asked.
        answer.headers.retain(|(name, _)| !["date", "x-request-id"].contains(&name.to_ascii_lowercase().as_str()));
        answer.headers.sort();
        (answer.status, answer.headers, answer.body)
    };
    for authorization in [None, Some("Bearer nonsense"), Some("Basic YTpi")] {
        for path in [
            "/",
            "/favicon.ico",
            "/api/v1/customers",
            "/api/v1/nothing",
            "/graphql",
            "/packages.json",
            "/p2/acme/pay.json",
        ] {
            for method in ["GET", "POST"] {
                let there = ask("alpha", method, path, authorization);
                assert_eq!(ask("nobody", method, path, authorization), there, "{method} {path} {authorization:?}");
            }
        }
    }
}
