//! Every refusal of the table in the licence rules: what stands on the wire, and that Composer prints our words, with an empty
//! cache and with a full one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use cargoman_testkit::cargoman::Registry;
use cargoman_testkit::composer::Composer;
use cargoman_testkit::raw_http::Response;
use cargoman_tests::operator::text;
use cargoman_tests::package_files::composer_json;
use cargoman_tests::reader::without_date;
use cargoman_tests::world::LOCAL;
use cargoman_tests::{Customer, Reader, World};
use serde_json::json;

/// A world with `acme/pay` 1.0.0 and 2.0.0, and `acme/other`.
fn world() -> World {
    let config = format!("{LOCAL}[tenancy]\nzone = \"registry.example\"\n");
    let world = World::start_with(Registry::builder().config(&config));
    let pay = world.small_package("acme/pay");
    pay.write("src/Two.php", "<?php // two\n").commit("Second").tag("v2.0.0");
    world.operator().sync("acme/pay");
    world.small_package("acme/other");
    world
}

/// Every route that Composer asks, for `acme/pay` 1.0.0.
fn routes(world: &World) -> Vec<String> {
    let reference = text(&world.operator().versions("acme/pay")[1]["reference"]);
    [
        "/packages.json",
        "/p2/acme/pay.json",
        "/p2/acme/pay~dev.json",
        "/list.json",
        "/search.json?q=pay&type=",
        "/providers/acme/pay.json",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([format!("/dist/acme/pay/1.0.0.0/{reference}.zip")])
    .collect()
}

/// A well-formed token that is nobody's.
fn unknown_token(world: &World) -> String {
    let customer = world.operator().customer("Gone");
    world.operator().ask("DELETE", &format!("/customers/{}", customer.id), &json!(null));
    customer.token
}

#[track_caller]
fn warning(response: &Response) -> String {
    // Exactly this type: with another one Composer prints nothing.
    assert_eq!(response.header("content-type"), Some("application/json"), "{response:?}");
    text(&response.json()["warning"])
}

/// That each route answers `status` with a warning that holds `words`, and always the same bytes.
#[track_caller]
fn all_routes(world: &World, reader: &Reader, status: u16, words: &str) -> Response {
    let mut first: Option<Response> = None;
    for route in routes(world) {
        let response = without_date(reader.get(&route));
        assert_eq!(response.status, status, "{route}: {:?}", String::from_utf8_lossy(&response.body));
        assert!(warning(&response).contains(words), "{route}: {}", warning(&response));
        assert_eq!(*first.get_or_insert_with(|| response.clone()), response, "{route}");
    }
    first.unwrap()
}

/// A Composer that has everything of the registry in its cache, and nothing installed.
fn warmed(world: &World, customer: &Customer) -> Composer {
    let composer = world.composer(&customer.token, &json!({"acme/pay": "^1.0"}));
    composer.run(&["update"]).expect_success();
    composer.uninstall(false);
    composer
}

/// That Composer says `words`: with a full cache, and with an empty one, when nothing can be installed.
#[track_caller]
fn composer_says(composer: &Composer, words: &str) {
    let warm = composer.run(&["update"]);
    assert!(warm.combined.contains(words), "with a full cache:\n{}", warm.combined);
    let cold = composer.clear_cache().uninstall(false).run(&["update"]);
    assert!(cold.expect_failure().combined.contains(words), "with an empty cache:\n{}", cold.combined);
    assert!(composer.installed().is_empty());
}

/// E-A2, E-A5, E-A7, E-A10, E-H: what is no token, and whose host is no one's.
#[test]
fn a_wrong_token_and_an_unknown_host() {
    let world = world();
    let edge = world.registry.edge_url();
    let words = "This registry needs a valid token";
    let none = all_routes(&world, &Reader::anonymous(edge), 401, words);
    let unknown = unknown_token(&world);
    assert!(none.header("www-authenticate").is_some());
    let admin = cargoman_testkit::cargoman::ADMIN_TOKEN;
    for token in [&unknown, "tok_short", "", admin, "é", &format!("{unknown}x"), &unknown[..41]] {
        assert_eq!(all_routes(&world, &Reader::new(edge, token), 401, words), none, "{token:?}");
    }
    let customer = world.operator().customer_of(&["acme/pay"]);
    for route in routes(&world) {
        let separator = if route.contains('?') { '&' } else { '?' };
        let asked = format!("{route}{separator}token={}", customer.token);
        assert_ne!(Reader::anonymous(edge).get(&asked).status, 200, "{asked}");
        for header in ["PRIVATE-TOKEN", "X-Api-Key", "Cookie"] {
            let response = Reader::anonymous(edge).ask("GET", &route, &[(header, &customer.token)]);
            assert_eq!(without_date(response), none, "{header} {route}");
        }
    }
    composer_says(&world.composer(&unknown, &json!({"acme/pay": "^1.0"})), words);

    // A host of the zone without a tenant is like a wrong token; one outside it is no one's.
    let reader = world.reader(&customer);
    assert_eq!(all_routes(&world, &reader.at_host("nobody.registry.example"), 401, words), none);
    for host in ["packages.example", "registry.example", "a.b.registry.example"] {
        all_routes(&world, &reader.at_host(host), 400, "No registry answers under this host name");
    }
    assert_eq!(reader.at_host("localhost").get("/packages.json").status, 200);
}

/// E-A8: what was good once, at the next request, on every route.
#[test]
fn a_token_that_was_revoked_rotated_or_has_expired() {
    let world = world();
    let operator = world.operator();

    let customer = operator.customer_of(&["acme/pay"]);
    let composer = warmed(&world, &customer);
    let token = operator.first_token(&customer);
    operator.ask("DELETE", &format!("/customers/{}/tokens/{token}", customer.id), &json!(null));
    let tail = &customer.token[customer.token.len() - 4..];
    let revoked = format!("The token ending in {tail} was revoked on 20");
    all_routes(&world, &world.reader(&customer), 401, &revoked);
    composer_says(&composer, &revoked);

    let customer = operator.customer_of(&["acme/pay"]);
    let token = operator.first_token(&customer);
    let rotated = operator.post(&format!("/customers/{}/tokens/{token}/rotate", customer.id), &json!({}));
    all_routes(&world, &world.reader(&customer), 401, "was revoked on");
    let new = Reader::new(world.registry.edge_url(), &text(&rotated["plain_token"]));
    assert_eq!(new.get("/packages.json").status, 200);

    let soon = operator
        .post(&format!("/customers/{}/tokens", customer.id), &json!({"name": "brief", "expires_at": in_seconds(2)}));
    let brief = Reader::new(world.registry.edge_url(), &text(&soon["plain_token"]));
    cargoman_testkit::deadline::poll_until("the token's end", std::time::Duration::from_secs(20), || {
        (brief.get("/packages.json").status == 401).then_some(())
    });
    all_routes(&world, &brief, 401, "expired on 20");

    // A customer who is deleted leaves nothing behind: his token is like any unknown one.
    operator.ask("DELETE", &format!("/customers/{}", customer.id), &json!(null));
    all_routes(&world, &new, 401, "This registry needs a valid token");
}

/// An instant so many seconds from now, RFC 3339.
fn in_seconds(seconds: u64) -> String {
    let output = std::process::Command::new("date")
        .args(["--utc", "--date", &format!("now + {seconds} seconds"), "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_suspended_customer_reads_the_reason() {
    let world = world();
    let operator = world.operator();
    let customer = operator.customer_of(&["acme/pay"]);
    let composer = warmed(&world, &customer);
    let reader = world.reader(&customer);
    let reason = "invoice 2041 is unpaid; write to billing@acme.example";
    operator.post(&format!("/customers/{}/suspend", customer.id), &json!({"reason": reason}));
    let words = format!("Your access to this registry is suspended: {reason}");
    all_routes(&world, &reader, 403, &words);
    composer_says(&composer, &words);

    // A reason cannot steer the reader's terminal.
    let (status, answer) = operator.call(
        "POST",
        &format!("/customers/{}/suspend", customer.id),
        Some(&json!({"reason": "\u{1b}[31mred\u{202e}"})),
    );
    if status == 200 {
        let shown = warning(&reader.get("/packages.json"));
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
    } else {
        assert_eq!(status, 422, "{answer}");
    }
    operator.post(&format!("/customers/{}/reactivate", customer.id), &json!({}));
    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay v1.0.0"]);
}

#[test]
fn an_expired_customer_and_a_suspended_tenant() {
    let world = world();
    let operator = world.operator();
    let customer = operator.customer_of(&["acme/pay"]);
    let composer = warmed(&world, &customer);
    let words = "Your access to this registry has expired";
    operator.post(&format!("/customers/{}/expire", customer.id), &json!({}));
    all_routes(&world, &world.reader(&customer), 403, words);
    composer_says(&composer, words);

    // By itself, when the time has come.
    let customer = operator.customer_of(&["acme/pay"]);
    operator.ask("PATCH", &format!("/customers/{}", customer.id), &json!({"expires_at": "2020-01-01T00:00:00Z"}));
    all_routes(&world, &world.reader(&customer), 403, words);
    operator.ask("PATCH", &format!("/customers/{}", customer.id), &json!({"expires_at": null}));
    assert_eq!(world.reader(&customer).get("/packages.json").status, 200);

    let tenant = text(&operator.get("/tenants")[0]["id"]);
    operator.post(&format!("/tenants/{tenant}/suspend"), &json!({"reason": "This shop is closed for the winter."}));
    all_routes(&world, &world.reader(&customer), 403, "This shop is closed for the winter.");
    operator.post(&format!("/tenants/{tenant}/reactivate"), &json!({}));
    assert_eq!(world.reader(&customer).get("/packages.json").status, 200);
}

/// E-E2, E-E7: what is not in metadata is no dist either, even for whoever knows its address.
#[test]
fn a_version_outside_what_was_granted() {
    let world = world();
    let operator = world.operator();
    let versions = operator.versions("acme/pay");
    let path = |pretty: &str| {
        let version = versions.iter().find(|version| version["version"] == pretty).unwrap();
        format!("/dist/acme/pay/{}/{}.zip", text(&version["version_normalized"]), text(&version["reference"]))
    };
    let all = operator.customer_of(&["acme/pay"]);
    let composer = world.composer(&all.token, &json!({"acme/pay": "^2.0"}));
    composer.run(&["update"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay v2.0.0"]);

    let old = operator.customer("Old");
    operator.grant(&old, &json!({"package": "acme/pay", "constraint": "^1.0"}));
    let reader = world.reader(&old);
    assert_eq!(reader.versions("acme/pay"), ["v1.0.0"]);
    assert_eq!(reader.get(&path("v1.0.0")).status, 200);
    for pretty in ["v2.0.0", "dev-main"] {
        let refused = reader.get(&path(pretty));
        assert_eq!(
            (refused.status, warning(&refused).as_str()),
            (403, "Your licence for acme/pay does not cover this version.")
        );
    }
    // A lock that holds what he lost: refused, in our words, and not taken from anywhere else.
    let grant = text(&operator.get(&format!("/customers/{}/packages", all.id))[0]["id"]);
    let change = |fields| operator.ask("PATCH", &format!("/customers/{}/grants/{grant}", all.id), &fields);
    let locked = |words: &str| {
        let output = composer.uninstall(true).clear_cache().run(&["install"]);
        assert!(output.expect_failure().combined.contains(words), "{}", output.combined);
    };
    change(json!({"constraint": "^1.0"}));
    locked("Your licence for acme/pay does not cover this version.");
    // Hidden by the date alone: the date, the version and where to renew.
    change(json!({"constraint": "*", "updates_until": "2019-01-01T00:00:00Z"}));
    locked("Your licence for acme/pay covers versions published up to 2019-01-01; v2.0.0 came later. Renew at http");
    assert_eq!(world.reader(&all).versions("acme/pay"), [""; 0]);
    change(json!({"updates_until": null}));
    composer.run(&["install"]).expect_success();
    assert_eq!(composer.installed(), ["acme/pay v2.0.0"]);

    // A token narrowed to another package.
    let narrow = operator
        .post(&format!("/customers/{}/tokens", all.id), &json!({"name": "narrow", "package_scopes": ["acme/other"]}));
    let narrow = Reader::new(world.registry.edge_url(), &text(&narrow["plain_token"]));
    assert_eq!(narrow.get(&path("v1.0.0")).status, 403);
    assert_eq!(narrow.versions("acme/pay"), [""; 0]);

    // Versions and references that are not there.
    let reference = text(&versions[0]["reference"]);
    let absent = world.reader(&all).get(&format!("/dist/acme/pay/9.0.0.0/{reference}.zip"));
    assert_eq!(absent.status, 404);
}

/// E-E4: absent and not granted cannot be told apart.
#[test]
fn absent_and_not_granted_are_the_same() {
    let world = world();
    let operator = world.operator();
    let customer = operator.customer_of(&["acme/other"]);
    let reader = world.reader(&customer);
    let reference = text(&operator.versions("acme/pay")[0]["reference"]);
    for template in
        ["/p2/{}.json", "/p2/{}~dev.json", &format!("/dist/{{}}/2.0.0.0/{reference}.zip"), "/providers/{}.json"]
    {
        for method in ["GET", "HEAD"] {
            let ask = |name: &str| {
                let mut answer = without_date(reader.ask(method, &template.replace("{}", name), &[]));
                // The name that was asked for stands in the answer; nothing else may differ.
                let body = String::from_utf8(answer.body).unwrap();
                answer.body = body.replace(name, "NAME").into_bytes();
                answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("last-modified"));
                answer
            };
            // Of the same length, so that lengths can be compared too.
            assert_eq!(ask("acme/pay"), ask("acme/nil"), "{method} {template}");
        }
    }
    let validator = without_date(reader.get("/p2/acme/nil.json"));
    assert_eq!((validator.status, validator.text()), (200, r#"{"packages":{"acme/nil":[]}}"#));
    // E-E5: a validator from somebody who may see it opens nothing.
    let all = world.reader(&operator.customer_of(&["acme/pay"])).get("/p2/acme/pay.json");
    let since = [("If-Modified-Since", all.header("last-modified").unwrap())];
    let answer = reader.ask("GET", "/p2/acme/pay.json", &since);
    assert_eq!((answer.status, answer.text()), (200, r#"{"packages":{"acme/pay":[]}}"#));
    // E-E6.
    assert_eq!(reader.get("/list.json").json(), json!({"packageNames": ["acme/other"]}));
    assert_eq!(reader.get("/search.json?q=acme&type=").json()["total"], 1);
}

/// A `webhook` token is for webhooks.
#[test]
fn a_token_of_a_scope_that_does_not_read() {
    let world = world();
    let customer = world.operator().customer_of(&["acme/pay"]);
    let made = world
        .operator()
        .post(&format!("/customers/{}/tokens", customer.id), &json!({"name": "hook", "scope": "webhook"}));
    let reader = Reader::new(world.registry.edge_url(), &text(&made["plain_token"]));
    all_routes(&world, &reader, 403, "A token of scope webhook cannot read packages");
    let name = composer_json("acme/pay", &json!({}));
    assert!(!reader.get("/p2/acme/pay.json").text().contains(&name));
}
