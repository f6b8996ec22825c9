//! What edges hand in of what they served: counted once, whatever comes twice; and what `/stats` makes of it.

use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::{Batch, Download, Installed, TenantId, TokenUsed, USAGE_PATH, UsageEvent};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::{Answer, Registry};

const UNKNOWN: TenantId = TenantId(Uuid::from_u128(9));

/// A registry with a package of two versions, and a customer.
struct World {
    registry: Registry,
    customer: String,
    token: String,
}

impl World {
    async fn new() -> Self {
        let registry = Registry::new().await;
        registry.package("acme/pay").await;
        registry.publish("acme/pay", "1.0.0").await;
        registry.publish("acme/pay", "1.1.0").await;
        let (customer, token) = new_customer(&registry, "a").await;
        Self { registry, customer, token }
    }

    fn download(&self, version: &str, at: DateTime<Utc>) -> Download {
        Download {
            id: Uuid::now_v7(),
            tenant: self.registry.tenant,
            customer: self.customer.clone(),
            token: self.token.clone(),
            package: package("acme/pay"),
            version: version.to_owned(),
            reference: "a".repeat(40),
            bytes: 1_000,
            at,
            address: Some("192.0.2.7".parse().unwrap()),
            user_agent: "Composer/2.8".to_owned(),
        }
    }

    fn used(&self, at: DateTime<Utc>, address: Option<&str>) -> TokenUsed {
        let address = address.map(|text| text.parse().unwrap());
        TokenUsed { tenant: self.registry.tenant, token: self.token.clone(), at, address }
    }

    async fn token(&self) -> Value {
        self.registry.get(&format!("/customers/{}/tokens", self.customer)).await.status(200).data()[0].clone()
    }

    /// Of all days: downloads in the raw rows, in the counts and in the traffic; and the bytes of both sums.
    fn counted(&self) -> String {
        self.registry.sql(
            "select (select count(*) from download), (select coalesce(sum(downloads), 0) from download_count)
                  , (select coalesce(sum(downloads), 0) from traffic), (select coalesce(sum(bytes), 0) from download_count)
                  , (select coalesce(sum(bytes), 0) from traffic)",
        )
    }
}

async fn new_customer(registry: &Registry, name: &str) -> (String, String) {
    let id = registry.customer(name).await;
    let tokens = registry.get(&format!("/customers/{id}/tokens")).await;
    (id, tokens.data()[0]["id"].as_str().unwrap().to_owned())
}

fn package(text: &str) -> PackageName {
    PackageName::parse(text).unwrap()
}

fn batch(events: Vec<UsageEvent>) -> Batch {
    Batch { id: Uuid::now_v7(), events }
}

async fn send(registry: &Registry, batch: &Batch) -> Answer {
    registry.edge("POST", USAGE_PATH).json(&serde_json::to_value(batch).unwrap()).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_send_the_same_at_once_are_counted_once() {
    let world = World::new().await;
    world.registry.warm().await;
    let now = Utc::now();
    let downloads: Vec<_> = (0..10).map(|_| world.download("1.0.0.0", now)).collect();
    let installed = Installed {
        id: Uuid::now_v7(),
        tenant: world.registry.tenant,
        token: world.token.clone(),
        installs: vec![(package("acme/pay"), "1.0.0.0".to_owned())],
        at: now,
        address: None,
        user_agent: String::new(),
    };
    let events: Vec<_> = downloads.iter().cloned().map(UsageEvent::Download).collect();
    let first = batch([events.clone(), vec![UsageEvent::Installed(installed)]].concat());
    // Other batches with the same downloads in them, as an edge would never make them: each still counts once.
    let mut sent = vec![first.clone(); 8];
    sent.extend((0..8).map(|_| batch(events.iter().rev().cloned().collect())));
    let answers = sent.iter().map(|batch| send(&world.registry, batch));
    for answer in futures::future::join_all(answers).await {
        answer.status(204);
    }
    assert_eq!(world.counted(), "10|10|10|10000|10000");
    assert_eq!(world.registry.sql("select sum(installs) from install_count"), "1");
    assert_eq!(world.registry.sql("select sum(installs) from customer_install"), "1");
    send(&world.registry, &first).await.status(204);
    assert_eq!(world.counted(), "10|10|10|10000|10000");
}

/// Batches of several edges that touch the same rows in any order wait for each other and for nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn many_batches_at_once_lose_nothing() {
    let world = World::new().await;
    world.registry.warm().await;
    let other = new_customer(&world.registry, "b").await;
    let now = Utc::now();
    let batches: Vec<_> = (0..24)
        .map(|number| {
            let mut events: Vec<_> = (0..20)
                .map(|at| {
                    let version = if at % 2 == 0 { "1.0.0.0" } else { "1.1.0.0" };
                    let mut download = world.download(version, now - TimeDelta::days(at % 3));
                    if at % 5 == 0 {
                        (download.customer, download.token) = other.clone();
                    }
                    UsageEvent::Download(download)
                })
                .collect();
            if number % 2 == 0 {
                events.reverse();
            }
            batch(events)
        })
        .collect();
    for answer in futures::future::join_all(batches.iter().map(|batch| send(&world.registry, batch))).await {
        answer.status(204);
    }
    assert_eq!(world.counted(), "480|480|480|480000|480000");
    assert_eq!(world.registry.sql("select sum(downloads) from traffic group by customer_id order by 1"), "96\n384");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_counts_for_nothing_and_harms_nothing() {
    let world = World::new().await;
    let now = Utc::now();
    let right = world.download("1.0.0.0", now);
    let other = new_customer(&world.registry, "b").await.0;
    let odd = [
        Download { tenant: UNKNOWN, ..world.download("1.0.0.0", now) },
        Download { token: "'".to_owned(), ..world.download("1.0.0.0", now) },
        Download { token: format!("tok_id_{}", "0".repeat(32)), ..world.download("1.0.0.0", now) },
        // The token of somebody else.
        Download { customer: other, ..world.download("1.0.0.0", now) },
        Download { package: package("no/such"), ..world.download("1.0.0.0", now) },
    ];
    let mut events: Vec<_> = odd.into_iter().map(UsageEvent::Download).collect();
    events.push(UsageEvent::TokenUsed(TokenUsed { token: "x".to_owned(), ..world.used(now, None) }));
    events.push(UsageEvent::TokenUsed(TokenUsed { tenant: UNKNOWN, ..world.used(now, None) }));
    events.push(UsageEvent::Download(right.clone()));
    let mut body = serde_json::to_value(batch(events)).unwrap();
    body["events"].as_array_mut().unwrap().push(json!({"kind": "weather", "rain": true}));
    world.registry.edge("POST", USAGE_PATH).json(&body).send().await.status(204);
    assert_eq!(world.counted(), "1|1|1|1000|1000");
    let row = world.registry.sql("select id, host(address), user_agent, reference from download");
    assert_eq!(row, format!("{}|192.0.2.7|Composer/2.8|{}", right.id, right.reference));
    send(&world.registry, &batch(Vec::new())).await.status(204);
}

/// What was served in the moments before a deletion was served all the same.
#[tokio::test(flavor = "multi_thread")]
async fn downloads_of_what_was_just_deleted_count() {
    let world = World::new().await;
    world.registry.delete("/packages/acme/pay").await.status(200);
    send(&world.registry, &batch(vec![UsageEvent::Download(world.download("1.0.0.0", Utc::now()))])).await.status(204);
    assert_eq!(world.counted(), "1|1|1|1000|1000");
    world.registry.delete(&format!("/customers/{}", world.customer)).await.status(200);
    send(&world.registry, &batch(vec![UsageEvent::Download(world.download("1.0.0.0", Utc::now()))])).await.status(204);
    assert_eq!(world.counted(), "2|2|2|2000|2000");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_batches_are_refused() {
    let world = World::new().await;
    let call = || world.registry.edge("POST", USAGE_PATH);
    for body in [String::new(), "{".to_owned(), "[]".to_owned(), json!({"id": "x", "events": []}).to_string()] {
        call().body(body).send().await.error(422, "VALIDATION_ERROR", &["batch"]);
    }
    // One event that cannot be read costs nobody else his count, however often the batch comes.
    let good = serde_json::to_value(batch(vec![UsageEvent::Download(world.download("1.0.0.0", Utc::now()))])).unwrap();
    let broken =
        json!({"id": good["id"], "events": [{"kind": "download"}, good["events"][0], {"kind": "download", "id": 1}]});
    for _ in 0..2 {
        call().json(&broken).send().await.error(422, "VALIDATION_ERROR", &["events[0]"]);
        assert_eq!(world.counted(), "1|1|1|1000|1000");
    }
    let nul = Download { user_agent: "a\0b".to_owned(), ..world.download("1.0.0.0", Utc::now()) };
    let refused = batch(vec![UsageEvent::Download(world.download("1.0.0.0", Utc::now())), UsageEvent::Download(nul)]);
    send(&world.registry, &refused).await.error(422, "VALIDATION_ERROR", &["events"]);
    let many = batch(vec![UsageEvent::Unknown; 10_001]);
    let mut many = serde_json::to_value(many).unwrap();
    many["events"] = json!(vec![json!({"kind": "weather"}); 10_001]);
    call().json(&many).send().await.error(422, "VALIDATION_ERROR", &["events"]);
    assert_eq!(world.counted(), "1|1|1|1000|1000", "a refused batch leaves nothing");
    world.registry.edge_bare("POST", USAGE_PATH).body("{}").send().await.error(401, "UNAUTHORIZED", &[]);
}

/// No clock of an edge, however wrong, makes a day that nobody asks for, or a failure.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_wrong() {
    let world = World::new().await;
    let now = Utc::now();
    let times =
        [DateTime::<Utc>::MIN_UTC, now - TimeDelta::days(900), now + TimeDelta::days(9), DateTime::<Utc>::MAX_UTC];
    let events = times.map(|at| UsageEvent::Download(Download { bytes: u64::MAX, ..world.download("1.0.0.0", at) }));
    send(&world.registry, &batch(events.to_vec())).await.status(204);
    let days = world.registry.sql("select day - current_date, downloads from download_count order by 1");
    assert!(["-400|2\n0|2", "-401|2\n-1|2"].contains(&days.as_str()), "{days}");
    assert!(world.token().await["last_used_at"].as_str().unwrap() <= Utc::now().to_rfc3339().as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_say_when_and_from_where() {
    let world = World::new().await;
    assert_eq!(world.token().await["last_used_ip"], Value::Null);
    let now = Utc::now();
    let (hour, second) = (TimeDelta::hours(1), TimeDelta::seconds(1));
    let used = |at, address| UsageEvent::TokenUsed(world.used(at, address));
    let download = UsageEvent::Download(world.download("1.0.0.0", now - hour * 3));
    for (events, expected) in [
        (vec![download], "192.0.2.7"),
        // The last of one batch, in whatever order; an earlier one changes nothing.
        (
            vec![used(now - hour * 2, Some("2001:db8::1")), used(now - hour * 2 - second, Some("192.0.2.8"))],
            "2001:db8::1",
        ),
        (vec![used(now - hour * 3, Some("192.0.2.9"))], "2001:db8::1"),
        (vec![used(now - hour, None)], "2001:db8::1"),
        (vec![used(now - second, Some("192.0.2.10"))], "192.0.2.10"),
    ] {
        send(&world.registry, &batch(events)).await.status(204);
        assert_eq!(world.token().await["last_used_ip"], expected);
    }
    let shown = world.token().await["last_used_at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert!((now - second - shown).abs() < TimeDelta::milliseconds(1), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_served_its_time_is_forgotten() {
    let world = World::new().await;
    let old = batch(vec![UsageEvent::Download(world.download("1.0.0.0", Utc::now() - TimeDelta::days(91)))]);
    let new = batch(vec![UsageEvent::Download(world.download("1.0.0.0", Utc::now() - TimeDelta::days(89)))]);
    for batch in [&old, &new] {
        send(&world.registry, batch).await.status(204);
    }
    world.registry.sql(&format!("update usage_batch set at = now() - interval '31 days' where id = '{}'", old.id));
    assert_eq!(world.registry.state.database.system().purge_usage().await.unwrap(), 2);
    assert_eq!(world.counted(), "1|2|2|2000|2000", "the sums stay");
    assert_eq!(world.registry.sql("select id from usage_batch"), new.id.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn stats() {
    let world = World::new().await;
    let registry = &world.registry;
    let nothing = registry.get("/stats").await.status(200);
    assert_eq!((&nothing.data()["packages"], &nothing.data()["customers"]), (&json!(1), &json!(1)));
    assert_eq!(nothing.data()["last_30_days"], json!({"downloads": 0, "bytes": 0}));

    let now = Utc::now();
    let ago = |days| now - TimeDelta::days(days);
    let events = [(0, "1.0.0.0"), (0, "1.1.0.0"), (6, "1.0.0.0"), (7, "1.0.0.0"), (29, "1.1.0.0"), (31, "1.0.0.0")];
    let events = events.map(|(days, version)| UsageEvent::Download(world.download(version, ago(days))));
    send(registry, &batch(events.to_vec())).await.status(204);

    let lately = |answer: &Answer| {
        ["today", "last_7_days", "last_30_days"].map(|window| {
            let (downloads, bytes) = (&answer.data()[window]["downloads"], &answer.data()[window]["bytes"]);
            assert_eq!(bytes.as_i64().unwrap(), downloads.as_i64().unwrap() * 1_000, "{window}");
            downloads.as_i64().unwrap()
        })
    };
    assert_eq!(lately(&registry.get("/stats").await.status(200)), [2, 3, 5]);
    let of_package = registry.get("/stats/packages/acme/pay").await.status(200);
    assert_eq!(lately(&of_package), [2, 3, 5]);
    let versions = json!([
        {"version_normalized": "1.0.0.0", "downloads": 4, "bytes": 4_000},
        {"version_normalized": "1.1.0.0", "downloads": 2, "bytes": 2_000},
    ]);
    assert_eq!((of_package.text("package"), &of_package.data()["versions"]), ("acme/pay".to_owned(), &versions));
    for version in ["1.1.0", "1.1.0.0"] {
        let shown = registry.get(&format!("/stats/packages/acme/pay/versions/{version}")).await.status(200);
        assert_eq!((lately(&shown), shown.text("version")), ([1, 1, 2], "1.1.0".to_owned()));
    }
    let customer = registry.get(&format!("/stats/customers/{}", world.customer)).await.status(200);
    assert_eq!(customer.data()["last_30_days"], json!({"downloads": 5, "bytes": 5_000}));
    assert_eq!(customer.data()["packages"][0]["package"], "acme/pay");
    assert_eq!(customer.data()["packages"][0]["downloads"], 5);
    for path in ["/stats/packages/no/such", "/stats/packages/acme/pay/versions/9", "/stats/customers/cust_1"] {
        registry.get(path).await.error(404, "NOT_FOUND", &[]);
    }
    // Another tenant sees nothing of it.
    registry.post("/tenants", json!({"slug": "second"})).await.status(201);
    let theirs = registry.call("GET", "/stats").tenant("second").send().await.status(200);
    assert_eq!(theirs.data()["last_30_days"]["downloads"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_by_day() {
    let world = World::new().await;
    let registry = &world.registry;
    let now = Utc::now();
    let events = [0, 0, 2].map(|days| UsageEvent::Download(world.download("1.0.0.0", now - TimeDelta::days(days))));
    send(registry, &batch(events.to_vec())).await.status(204);
    let day = |days| (now - TimeDelta::days(days)).date_naive().to_string();
    let shown = registry.get(&format!("/stats/daily?from={}&to={}", day(2), day(0))).await.status(200);
    let expected = json!([
        {"date": day(2), "downloads": 1, "bytes": 1_000},
        {"date": day(1), "downloads": 0, "bytes": 0},
        {"date": day(0), "downloads": 2, "bytes": 2_000},
    ]);
    assert_eq!(shown.data(), &expected);
    let thirty = registry.get("/stats/daily").await.status(200);
    assert_eq!((&thirty.body["pagination"]["total"], &thirty.data()[29]["downloads"]), (&json!(30), &json!(2)));
    for (query, field) in [
        ("from=2026-02-30", "from"),
        ("to=x", "to"),
        ("to=99999-01-01", "to"),
        ("from=2026-02-02&to=2026-02-01", "from"),
        ("from=2024-01-01&to=2026-01-01", "from"),
        ("until=2026-01-01", "until"),
    ] {
        registry.get(&format!("/stats/daily?{query}")).await.error(422, "VALIDATION_ERROR", &[field]);
    }
    registry.get("/stats/daily?from=2024-01-01&to=2024-12-31&per_page=200&page=2").await.status(200);
}
