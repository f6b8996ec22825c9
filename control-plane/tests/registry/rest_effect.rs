//! `?dry_run=true`, previews and the brake.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use cargoman_testkit::random::Random;
use serde_json::{Value, json};

use crate::fixture::{Answer, Registry};

fn random() -> Random {
    let seed =
        std::env::var("CARGOMAN_TEST_SEED").ok().map_or(20_261_123, |seed| seed.parse().expect("a decimal seed"));
    println!("seed: CARGOMAN_TEST_SEED={seed}");
    Random::new(seed)
}

/// Package and version.
type Pair = (String, String);

/// What a customer sees and what he may install, asked of `/explain`, version by version.
async fn sight(registry: &Registry, customer: &str, packages: &[String]) -> BTreeMap<(Pair, String), (bool, bool)> {
    let mut seen = BTreeMap::new();
    for package in packages {
        let answer = registry.get(&format!("/explain?customer={customer}&package={package}")).await;
        for row in answer.data()["versions"].as_array().into_iter().flatten() {
            let text = |field: &str| row[field].as_str().unwrap().to_owned();
            let key = ((package.clone(), text("version")), text("reference"));
            seen.insert(key, (row["visible"] == true, row["installable"] == true));
        }
    }
    seen
}

#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Turn {
    gained: BTreeSet<Pair>,
    lost: BTreeSet<Pair>,
}

fn turn(before: &BTreeMap<(Pair, String), (bool, bool)>, after: &BTreeMap<(Pair, String), (bool, bool)>) -> Turn {
    let mut turn = Turn::default();
    for key in before.keys().chain(after.keys()) {
        let (a, b) = (before.get(key).copied().unwrap_or_default(), after.get(key).copied().unwrap_or_default());
        if (b.0 && !a.0) || (b.1 && !a.1) {
            turn.gained.insert(key.0.clone());
        }
        if (a.0 && !b.0) || (a.1 && !b.1) {
            turn.lost.insert(key.0.clone());
        }
    }
    turn
}

/// What a dry run says, by customer.
fn said(answer: &Answer) -> BTreeMap<String, Turn> {
    assert_eq!(answer.data()["dry_run"], true, "{}", answer.body);
    let effect = &answer.data()["effect"];
    let pairs = |list: &Value| -> BTreeSet<Pair> {
        let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(|row| (text(row, "package"), text(row, "version"))).collect()
    };
    let rows = effect["customers"].as_array().unwrap();
    let turns: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            let turn = Turn { gained: pairs(&row["gained"]), lost: pairs(&row["lost"]) };
            (row["customer"]["id"].as_str().unwrap().to_owned(), turn)
        })
        .collect();
    assert_eq!(effect["customers_gaining"], turns.values().filter(|turn| !turn.gained.is_empty()).count());
    assert_eq!(effect["customers_losing"], turns.values().filter(|turn| !turn.lost.is_empty()).count());
    turns
}

/// Everything that a dry run must leave alone.
fn stored(registry: &Registry) -> String {
    const TABLES: [&str; 10] = [
        "customer",
        "access_grant",
        "collection",
        "package",
        "version",
        "tenant",
        "deletion",
        "access_loss",
        "audit",
        "outbox",
    ];
    let rows = TABLES.map(|table| format!("select '{table} ' || row_to_json(t)::text from {table} t"));
    registry.sql(&format!("{} order by 1", rows.join(" union all ")))
}

struct World {
    customers: Vec<String>,
    packages: Vec<String>,
}

async fn world(registry: &Registry) -> World {
    let packages: Vec<String> = ["acme/a", "acme/b", "zeta/c"].map(str::to_owned).to_vec();
    for (at, name) in packages.iter().enumerate() {
        registry.package(name).await;
        for version in ["1.0.0", "1.1.0", "2.0.0", "dev-main"] {
            registry.publish(name, version).await;
        }
        registry.sql(&format!("update version_reference set published_at = '2025-01-01'::timestamptz + interval '1 month' * (1 + {at} + abs(hashtext(reference)) % 12)"));
    }
    for (slug, members) in [("all", json!(["acme/*"])), ("two", json!(["acme/b", "zeta/c"]))] {
        let body = json!({"name": slug, "slug": slug, "packages": members});
        registry.post("/collections", body).await.status(201);
    }
    let mut customers = Vec::new();
    for name in ["Ann", "Bob", "Cy", "Di"] {
        customers.push(registry.customer(name).await);
    }
    World { customers, packages }
}

/// Some write, of every kind that may take or give rights.
async fn edit(registry: &Registry, random: &mut Random, world: &World) -> (&'static str, String, Value) {
    let customer = random.pick(&world.customers).clone();
    let package = random.pick(&world.packages).clone();
    let collection = *random.pick(&["all", "two"]);
    let constraint = *random.pick(&["*", "^1", "^2", "1.0.*"]);
    let until = random.pick(&[json!(null), json!("2025-05-01T00:00:00Z"), json!("2025-09-15T00:00:00Z")]).clone();
    let stability = *random.pick(&["stable", "dev"]);
    let of = |rest: &str| format!("/customers/{customer}{rest}");
    let mut words = json!({"constraint": constraint, "updates_until": until, "minimum_stability": stability});
    let on = |words: &mut Value, in_collection: bool| match in_collection {
        true => words["collection"] = json!(collection),
        false => words["package"] = json!(package),
    };
    let grants = registry.get(&of("/packages")).await;
    let ids: Vec<String> =
        grants.data().as_array().into_iter().flatten().map(|grant| grant["id"].as_str().unwrap().to_owned()).collect();
    let grant = if ids.is_empty() { "grant_0".to_owned() } else { random.pick(&ids).clone() };
    let of_grant = |rest: &str| of(&format!("/grants/{grant}{rest}"));
    let lapsed = *random.pick(&["forbid", "keep-metadata", "keep"]);
    let version = *random.pick(&["1.0.0", "2.0.0", "dev-main"]);
    let day = *random.pick(&["2025-01-01T00:00:00Z", "2025-08-01T00:00:00Z"]);
    let withdraw = *random.pick(&["takedown", "untakedown", "yank", "unyank"]);
    // What takes is mended as often, lest soon there is nothing left to take.
    match random.below(48) {
        0..=4 => {
            on(&mut words, random.below(2) == 0);
            ("POST", of("/packages"), words)
        }
        5 => {
            let mut second = words.clone();
            on(&mut words, true);
            on(&mut second, false);
            ("PUT", of("/packages"), json!({"packages": [words, second]}))
        }
        6 => ("PATCH", of_grant(""), words),
        7 => ("DELETE", of_grant(""), json!({})),
        8 => ("POST", of_grant("/suspend"), json!({})),
        9 => ("POST", of_grant("/reactivate"), json!({})),
        10 => ("POST", of("/suspend"), json!({})),
        11 | 12 => ("POST", of("/reactivate"), json!({})),
        13 => ("POST", of("/expire"), json!({})),
        14 => ("POST", of("/freeze"), json!({})),
        15 => ("DELETE", of(""), json!({})),
        16 => ("POST", of("/restore"), json!({})),
        17 => (
            "PATCH",
            format!("/collections/{collection}"),
            json!({"packages": [random.pick(&["acme/*", "zeta/c", "*/b"])]}),
        ),
        18 => ("PATCH", format!("/collections/{collection}"), json!({"constraint": constraint})),
        19 => ("DELETE", format!("/packages/{package}"), json!({})),
        20 => ("POST", format!("/packages/{package}/restore"), json!({})),
        21 => ("PATCH", "/settings".to_owned(), json!({"lapsed": {"suspended": lapsed}})),
        23..=26 => {
            let body = if withdraw == "takedown" { json!({"reason": "malware"}) } else { json!({}) };
            ("POST", format!("/packages/{package}/{withdraw}/{version}"), body)
        }
        29..=33 => ("POST", of("/reactivate"), json!({})),
        34..=37 => ("POST", of("/packages"), {
            words["package"] = json!(package);
            words
        }),
        38..=40 => ("POST", format!("/packages/{package}/untakedown/{version}"), json!({})),
        41..=43 => ("POST", format!("/packages/{package}/restore"), json!({})),
        44..=46 => ("POST", of("/restore"), json!({})),
        27 | 28 => {
            let body = json!({"published_at": day, "reason": "imported late"});
            ("PATCH", format!("/packages/{package}/versions/{version}"), body)
        }
        22 => ("PATCH", of(""), json!({"minimum_stability": stability, "expires_at": null})),
        _ => ("PATCH", "/settings".to_owned(), json!({"lapsed": {"expired": lapsed}})),
    }
}

/// The one promise of a preview: what it says is what then happens, to everyone; and it does nothing itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_then_happens() {
    let registry = Registry::new().await;
    let world = world(&registry).await;
    let mut random = random();
    let rounds = if std::env::var_os("CARGOMAN_TEST_FULL").is_some() { 1000 } else { 120 };
    let (mut done, mut moved) = (0, 0);
    for round in 0..rounds {
        let (method, path, body) = edit(&registry, &mut random, &world).await;
        let what = format!("round {round}: {method} {path} {body}");
        let mut before = BTreeMap::new();
        for customer in &world.customers {
            before.insert(customer, sight(&registry, customer, &world.packages).await);
        }
        let kept = stored(&registry);
        let dry = registry.call(method, &format!("{path}?dry_run=true")).json(&body).send().await;
        assert_eq!(stored(&registry), kept, "{what}: a dry run does nothing");
        let real = registry.call(method, &path).json(&body).send().await;
        assert_eq!(dry.status.is_success(), real.status.is_success(), "{what}: {} {}", dry.body, real.body);
        if !real.status.is_success() {
            assert!(real.status.is_client_error(), "{what}: {}", real.body);
            continue;
        }
        let mut happened = BTreeMap::new();
        for customer in &world.customers {
            let turn = turn(&before[customer], &sight(&registry, customer, &world.packages).await);
            if turn != Turn::default() {
                happened.insert(customer.clone(), turn);
            }
        }
        assert_eq!(said(&dry), happened, "{what}");
        done += 1;
        moved += usize::from(!happened.is_empty());
    }
    println!("{done} writes, {moved} of them with an effect");
    assert!(done * 2 > rounds && moved * 10 > rounds, "{done} {moved}");
}

/// Customers who each see one version.
async fn readers(registry: &Registry, count: usize) -> Vec<String> {
    registry.package("acme/pay").await;
    registry.publish("acme/pay", "1.0.0").await;
    let mut customers = Vec::new();
    for n in 0..count {
        let customer = registry.customer(&format!("c{n}")).await;
        let path = format!("/customers/{customer}/packages");
        registry.post(&path, json!({"package": "acme/pay"})).await.status(201);
        customers.push(customer);
    }
    customers
}

async fn brake(registry: &Registry, limit: Value) {
    registry.patch("/settings", json!({"brake": {"customers_per_hour": limit}})).await.status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brake_holds_at_the_limit() {
    let registry = Registry::new().await;
    let customers = readers(&registry, 6).await;
    let suspend = |n: usize, query: &str| {
        registry.call("POST", &format!("/customers/{}/suspend{query}", customers[n])).json(&json!({})).send()
    };
    brake(&registry, json!(2)).await;
    // Who has nothing to lose does not count.
    let nobody = registry.customer("nobody").await;
    registry.post(&format!("/customers/{nobody}/suspend"), json!({})).await.status(200);
    suspend(0, "").await.status(200);
    suspend(1, "").await.status(200);
    let kept = stored(&registry);
    let refused = suspend(2, "").await.error(409, "CONFLICT", &[]);
    let message = refused.body["error"]["message"].as_str().unwrap();
    for part in ["from 1 customers", "from 3", "allows 2 an hour", "?dry_run=true", "?confirm=true"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(stored(&registry), kept, "nothing is stored");
    assert_eq!(registry.get(&format!("/customers/{}", customers[2])).await.text("status"), "active");
    // Looking is free, giving too, and so is taking more from who has lost already.
    assert_eq!(suspend(2, "?dry_run=true").await.status(200).data()["effect"]["customers_losing"], 1);
    registry.post(&format!("/customers/{}/reactivate", customers[0]), json!({})).await.status(200);
    registry.delete(&format!("/customers/{}", customers[0])).await.status(200);
    registry.delete("/packages/acme/pay").await.error(409, "CONFLICT", &[]);
    suspend(2, "?confirm=true").await.status(200);
    suspend(3, "").await.error(409, "CONFLICT", &[]);
    // An hour later.
    registry.sql("update access_loss set at = at - interval '1 hour'");
    suspend(3, "").await.status(200);
    suspend(4, "").await.status(200);
    suspend(5, "").await.error(409, "CONFLICT", &[]);
    brake(&registry, Value::Null).await;
    suspend(5, "").await.status(200);
    brake(&registry, json!(1)).await;
    // Yanking leaves locks alone; taking down does not.
    registry.post(&format!("/customers/{}/reactivate", customers[4]), json!({})).await.status(200);
    registry.post(&format!("/customers/{}/reactivate", customers[5]), json!({})).await.status(200);
    registry.post("/packages/acme/pay/yank/1.0.0", json!({})).await.status(200);
    registry.post("/packages/acme/pay/unyank/1.0.0", json!({})).await.status(200);
    let reason = json!({"reason": "malware"});
    registry.post("/packages/acme/pay/takedown/1.0.0", reason.clone()).await.error(409, "CONFLICT", &[]);
    registry.post("/packages/acme/pay/takedown/1.0.0?confirm=true", reason).await.status(200);
    registry.delete("/packages/acme/pay").await.status(200);
    for (query, field) in [("?dry_run=yes", "dry_run"), ("?confirm=1", "confirm")] {
        suspend(5, query).await.error(422, "VALIDATION_ERROR", &[field]);
    }
}

/// Whatever is taken at the same moment is counted together.
#[tokio::test(flavor = "multi_thread")]
async fn no_two_slip_under_the_brake_at_once() {
    let registry = Registry::new().await;
    let customers = readers(&registry, 8).await;
    brake(&registry, json!(3)).await;
    registry.warm().await;
    let calls = customers
        .iter()
        .map(|customer| registry.call("POST", &format!("/customers/{customer}/suspend")).json(&json!({})).send());
    let answers = futures::future::join_all(calls).await;
    let (done, held): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((done.len(), held.len()), (3, 5));
    for answer in held {
        answer.error(409, "CONFLICT", &[]);
    }
    assert_eq!(registry.count("access_loss"), 3);
    assert_eq!(registry.count("customer where suspended_at is not null"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_installed_what_is_lost() {
    let registry = Registry::new().await;
    let customers = readers(&registry, 3).await;
    registry.publish("acme/pay", "2.0.0").await;
    let installed = |customer: &str, version: &str, days: i32| {
        let uuid = customer.strip_prefix("cust_").unwrap();
        registry.sql(&format!(
            "insert into customer_install values ('{}', '{uuid}', 'acme/pay', '{version}', 3, now() - interval '{days} days')",
            registry.tenant
        ));
    };
    installed(&customers[0], "1.0.0.0", 2);
    installed(&customers[0], "2.0.0.0", 2);
    installed(&customers[1], "1.0.0.0", 31);
    let dry = registry.delete("/packages/acme/pay?dry_run=true").await.status(200);
    let effect = &dry.data()["effect"];
    assert_eq!((&effect["customers_losing"], &effect["installed_30_days"]), (&json!(3), &json!(1)));
    assert_eq!(effect["customers"][0]["installed_30_days"], 2);
    assert_eq!(effect["customers"][1]["installed_30_days"], 0);
    let path = format!("/customers/{}/packages?dry_run=true", customers[0]);
    let body = json!({"packages": [{"package": "acme/pay", "constraint": "^2"}]});
    let narrowed = registry.put(&path, body).await.status(200);
    let row = &narrowed.data()["effect"]["customers"][0];
    assert_eq!(row["lost"], json!([{"package": "acme/pay", "version": "1.0.0"}]));
    assert_eq!((&row["gained"], &row["installed_30_days"]), (&json!([]), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_of_grants() {
    let registry = Registry::new().await;
    let customers = readers(&registry, 1).await;
    registry.package("acme/new").await;
    registry.publish("acme/new", "1.0.0").await;
    let path = format!("/customers/{}/packages/preview", customers[0]);
    let kept = stored(&registry);
    let one = registry.post(&path, json!({"package": "acme/new"})).await.status(200);
    let row = &one.data()["effect"]["customers"][0];
    assert_eq!((&row["gained"], &row["lost"]), (&json!([{"package": "acme/new", "version": "1.0.0"}]), &json!([])));
    assert_eq!(row["customer"], json!({"id": customers[0], "name": "c0"}));
    let all = registry.post(&path, json!({"packages": [{"package": "acme/new"}]})).await.status(200);
    assert_eq!(
        (&all.data()["effect"]["customers_gaining"], &all.data()["effect"]["customers_losing"]),
        (&json!(1), &json!(1))
    );
    // What he has already changes nothing.
    let same = registry.post(&path, json!({"package": "acme/pay"})).await.status(200);
    assert_eq!(same.data()["effect"]["customers"], json!([]));
    registry.post(&path, json!({"package": "acme/none"})).await.error(422, "VALIDATION_ERROR", &["package"]);
    assert_eq!(stored(&registry), kept);
}

/// As many customers as a tenant may have; the time is printed. No connection may be left idle in its transaction for long.
#[tokio::test(flavor = "multi_thread")]
async fn many_customers() {
    let registry = Registry::new().await;
    let full = std::env::var_os("CARGOMAN_TEST_FULL").is_some();
    let customers = if full { 10_000 } else { 500 };
    let tenant = registry.tenant;
    registry.sql(&format!(
        "insert into package (tenant_id, id, name, repository_type) select '{tenant}', gen_random_uuid(), 'acme/p' || n, 'git' from generate_series(1, 20) n;
         insert into dist values ('{tenant}', repeat('a', 64), repeat('a', 40), 1);
         insert into version (tenant_id, id, package_id, normalized, pretty, stability, kind, ref_name, metadata, reference)
         select tenant_id, gen_random_uuid(), id, '1.' || n || '.0.0', '1.' || n || '.0', 'stable', 'tag', 'x', '{{}}', repeat('a', 40) from package, generate_series(1, 100) n;
         insert into version_reference select tenant_id, id, reference, '2025-01-01'::timestamptz + interval '1 day' * (abs(hashtext(id::text)) % 300), repeat('a', 64) from version;
         insert into customer (tenant_id, id, name) select '{tenant}', gen_random_uuid(), 'c' || n from generate_series(1, {customers}) n;
         insert into access_grant (tenant_id, id, customer_id, package_id, version_constraint, updates_until)
         select '{tenant}', gen_random_uuid(), c.id, p.id, '^1.' || abs(hashtext(c.id::text)) % 7, '2025-01-01'::timestamptz + interval '1 day' * (abs(hashtext(c.id::text)) % 500)
         from customer c, package p"
    ));
    let calls = [
        ("DELETE", "/packages/acme/p1?dry_run=true", json!({})),
        ("PATCH", "/settings?dry_run=true", json!({"minimum_stability": "dev", "lapsed": {"expired": "keep"}})),
        ("DELETE", "/packages/acme/p2", json!({})),
    ];
    for (method, path, body) in calls {
        let begun = Instant::now();
        let answer = registry.call(method, path).json(&body).send().await;
        println!("{customers} customers: {method} {path}: {:?}", begun.elapsed());
        if path.starts_with("/packages/acme/p1") {
            let losing = answer.status(200).data()["effect"]["customers_losing"].as_u64().unwrap();
            assert!(losing * 10 > customers * 8, "{losing}");
        } else {
            answer.status(if full && method == "DELETE" { 409 } else { 200 });
        }
    }
}

/// Whoever asks for a preview where there is none must not find it done.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_never_does_anything() {
    let registry = Registry::new().await;
    let customer = readers(&registry, 1).await.remove(0);
    let token =
        registry.get(&format!("/customers/{customer}/tokens")).await.data()[0]["id"].as_str().unwrap().to_owned();
    let kept = stored(&registry);
    for (method, path, body) in [
        ("POST", "/customers".to_owned(), json!({"name": "n"})),
        ("POST", format!("/customers/{customer}/tokens"), json!({"name": "n"})),
        ("DELETE", format!("/customers/{customer}/tokens/{token}"), Value::Null),
        ("POST", format!("/customers/{customer}/tokens/{token}/rotate"), json!({})),
        ("DELETE", format!("/customers/{customer}/token"), Value::Null),
        ("PATCH", "/packages/acme/pay".to_owned(), json!({"source": "show"})),
        ("POST", "/packages/acme/pay/abandon".to_owned(), json!({})),
        ("PUT", "/vendors/acme".to_owned(), json!({"exclusive": false, "public_names": []})),
        ("POST", "/credentials".to_owned(), json!({"name": "n", "level": "viewer"})),
        ("POST", "/tenants".to_owned(), json!({"slug": "n", "name": "n"})),
    ] {
        let call = registry.call(method, &format!("{path}?dry_run=true"));
        let call = if body.is_null() { call } else { call.json(&body) };
        call.send().await.error(422, "VALIDATION_ERROR", &["dry_run"]);
    }
    assert_eq!(stored(&registry), kept);
    for near in ["dryrun", "DRY_RUN", "dry-run"] {
        let call = registry.call("DELETE", &format!("/customers/{customer}?{near}=true"));
        call.send().await.error(422, "VALIDATION_ERROR", &[near]);
    }
    let twice = registry.call("POST", &format!("/customers/{customer}/suspend?dry_run=true&dry_run=false"));
    twice.json(&json!({})).send().await.error(422, "VALIDATION_ERROR", &["dry_run"]);
}
