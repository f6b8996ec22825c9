//! What was downloaded is counted once: through `kill -9` at any moment, and at an orderly end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use cargoman_testkit::deadline::poll_until;
use cargoman_tests::package_files::composer_json;
use cargoman_tests::{Customer, World};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
const NAME: &str = "acme/pay";

/// A registry with a package of some megabytes, and whoever may have it.
fn world() -> (World, Customer, String) {
    let world = World::start();
    let repository = world.repository(NAME);
    let mut noise = 1_u64;
    let mut bytes = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 56) as u8
    };
    let large: Vec<u8> = (0..4_000_000).map(|_| bytes()).collect();
    repository.write("composer.json", composer_json(NAME, &json!({}))).write("large", large);
    repository.commit("First").tag("v1.0.0");
    world.operator().add(NAME, &world.repository_url(NAME));
    let customer = world.operator().customer_of(&[NAME]);
    let path = world.reader(&customer).shown(NAME)[0].dist_path();
    (world, customer, path)
}

/// Downloads that were begun, and those of which every byte arrived.
#[derive(Default)]
struct Seen {
    begun: AtomicI64,
    whole: AtomicI64,
    enough: AtomicBool,
}

/// Downloads over and over, whatever happens to the other side.
fn download(address: &str, request: &[u8], size: usize, seen: &Seen) {
    let mut body = Vec::with_capacity(size + 4_096);
    while !seen.enough.load(Ordering::SeqCst) {
        let Ok(mut stream) = TcpStream::connect(address) else {
            std::thread::yield_now();
            continue;
        };
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        seen.begun.fetch_add(1, Ordering::SeqCst);
        body.clear();
        if stream.write_all(request).is_err() || stream.read_to_end(&mut body).is_err() {
            continue;
        }
        let head = body.windows(4).position(|window| window == b"\r\n\r\n").map_or(body.len(), |at| at + 4);
        if body.starts_with(b"HTTP/1.1 200") && body.len() - head == size {
            seen.whole.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn counted(world: &World) -> (i64, i64, i64) {
    let row = world.registry.database().unwrap().query(
        "select (select count(*) from download), (select coalesce(sum(downloads), 0) from download_count)
              , (select coalesce(sum(downloads), 0) from traffic)",
    );
    let numbers: Vec<i64> = row.split('|').map(|number| number.parse().unwrap()).collect();
    (numbers[0], numbers[1], numbers[2])
}

/// At least as many are counted as arrived, at most as many as were begun, and none twice.
#[test]
fn kill_9_at_any_moment() {
    let (mut world, customer, path) = world();
    let size = world.reader(&customer).get(&path).body.len();
    let before = 1;
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("token:{}", customer.token));
    let address = world.registry.edge_address();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {basic}\r\nConnection: close\r\n\r\n");
    let seen = Seen::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| download(&address, request.as_bytes(), size, &seen));
        }
        // Whatever fails in here must not leave the threads behind.
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for kill in 0..6_i64 {
                // Each time at another moment: of a segment's life, of a batch's way, of a download.
                let wanted = seen.whole.load(Ordering::SeqCst) + 7 + 23 * kill;
                poll_until("more downloads", LIMIT, || (seen.whole.load(Ordering::SeqCst) >= wanted).then_some(()));
                world.registry.kill9();
                world.registry.restart();
            }
            let wanted = seen.whole.load(Ordering::SeqCst) + 10;
            poll_until("downloads after the last start", LIMIT, || {
                (seen.whole.load(Ordering::SeqCst) >= wanted).then_some(())
            });
        }));
        seen.enough.store(true, Ordering::SeqCst);
        killed.unwrap();
    });
    // An orderly end hands in the rest.
    assert!(world.registry.stop().success());
    let (whole, begun) = (seen.whole.load(Ordering::SeqCst) + before, seen.begun.load(Ordering::SeqCst) + before);
    let (rows, by_version, by_customer) = counted(&world);
    println!("{whole} arrived, {rows} counted, {begun} begun");
    assert!(whole <= rows && rows <= begun, "{whole} arrived, {rows} counted, {begun} begun");
    assert_eq!((rows, rows), (by_version, by_customer), "the sums are those of the rows");
    let spool = world.registry.data().join("edge-state/spool");
    let left: Vec<_> = std::fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.is_dir()), "nothing is left to be sent: {left:?}");
}

#[test]
fn downloads_show_in_the_stats_and_at_the_token() {
    let (world, customer, path) = world();
    let reader = world.reader(&customer);
    let size = reader.get(&path).body.len();
    reader.ask("HEAD", &path, &[]);
    let operator = world.operator();
    let stats = poll_until("the download is counted", LIMIT, || {
        let stats = operator.get("/stats");
        (stats["today"]["downloads"] != 0).then_some(stats)
    });
    assert_eq!(stats["last_30_days"], json!({"downloads": 1, "bytes": size}));
    assert_eq!((&stats["packages"], &stats["customers"]), (&json!(1), &json!(1)));
    let version = operator.get(&format!("/stats/packages/{NAME}/versions/v1.0.0"));
    assert_eq!(version["last_7_days"]["downloads"], 1);
    let of_customer = operator.get(&format!("/stats/customers/{}", customer.id));
    assert_eq!(of_customer["packages"][0]["package"], NAME);
    let token = &operator.get(&format!("/customers/{}/tokens", customer.id))[0];
    assert_eq!((&token["last_used_ip"], token["last_used_at"] != Value::Null), (&json!("127.0.0.1"), true));
}
