//! What was served is counted: on disk before the answer is whole, and sent until the control plane has it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cargoman_edge_protocol::{Download, UsageEvent};

use super::world::{
    Asker, HOST, World, acme_pay, bytes_of, dist, dist_path, eventually, grant, package, reference, tenant_id, version,
};

/// The control plane takes nothing, so that all stays on disk.
fn deaf(world: &World) {
    world.fake.usage_status.store(503, Ordering::SeqCst);
}

/// The downloads that lie in a spool.
fn spooled(state: &Path) -> Vec<Download> {
    let mut files: Vec<_> =
        std::fs::read_dir(state.join("spool")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    let texts = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect::<String>();
    downloads(texts.lines().map(|line| serde_json::from_str(line).unwrap()))
}

fn downloads(events: impl IntoIterator<Item = UsageEvent>) -> Vec<Download> {
    let download = |event| match event {
        UsageEvent::Download(download) => Some(download),
        _ => None,
    };
    events.into_iter().filter_map(download).collect()
}

fn ask_for(customer: &Asker<'_>, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {}\r\nUser-Agent: Composer/2\r\n\r\n",
        customer.basic()
    )
}

/// A package whose archive is larger than what sockets hold.
fn put_large(world: &World) -> (String, usize) {
    let bytes: Vec<u8> = (0..32_u32 << 20).map(|at| (at % 251) as u8).collect();
    let mut large = version("acme/large", "1.0.0", "2025-01-01", &reference(9));
    large.dist = dist(&bytes);
    world.put_package(tenant_id(1), package("acme/large", vec![large.clone()]));
    let size = bytes.len();
    world.fake.dists.lock().unwrap().insert(format!("{}/{}", tenant_id(1), large.dist.sha256), bytes);
    (format!("/dist/acme/large/1.0.0.0/{}.zip", reference(9)), size)
}

#[test]
fn a_whole_answer_is_on_disk_before_its_last_byte_is_out() {
    let world = World::new();
    deaf(&world);
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let mut connection = world.connect();
    for done in 1..=50 {
        connection.send(ask_for(&customer, &dist_path("2.1.0.0", 5)).as_bytes());
        assert_eq!(connection.receive(false).body.len(), 300_000);
        assert_eq!(spooled(world.state.path()).len(), done);
    }
    let all = spooled(world.state.path());
    let one = &all[0];
    assert_eq!((one.tenant, one.customer.as_str(), one.token.as_str()), (tenant_id(1), "cust_1", "tok_id_1"));
    assert_eq!((one.package.as_str(), one.version.as_str()), ("acme/pay", "2.1.0.0"));
    assert_eq!((one.reference.as_str(), one.bytes), (reference(5).as_str(), 300_000));
    assert_eq!((one.address, one.user_agent.as_str()), (Some("127.0.0.1".parse().unwrap()), "Composer/2"));
    let ids: std::collections::BTreeSet<_> = all.iter().map(|download| download.id).collect();
    assert_eq!(ids.len(), all.len());
}

#[test]
fn an_answer_that_is_cut_off_does_not_count() {
    let world = World::new();
    deaf(&world);
    let customer = world.customer(vec![grant("acme/pay", "*"), grant("acme/large", "*")]);
    let (large, size) = put_large(&world);
    // Not before the end: the client takes its time, and then all of it.
    let mut slow = world.connect();
    slow.send(ask_for(&customer, &large).as_bytes());
    assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).status, 200);
    assert_eq!(spooled(world.state.path()).len(), 1, "the slow one has begun, and more is not to be said");
    for _ in 0..5 {
        let mut connection = world.connect();
        connection.send(ask_for(&customer, &large).as_bytes());
        assert_eq!(connection.head(), 200);
    }
    assert_eq!(slow.receive(false).body.len(), size);
    let packages = |state: &Path| spooled(state).iter().map(|one| one.package.to_string()).collect::<Vec<_>>();
    assert_eq!(packages(world.state.path()), ["acme/pay", "acme/large"]);
    // Nor when the edge has ended, and nothing can come any more.
    let state = Arc::clone(&world.state);
    drop(slow);
    drop(world);
    assert_eq!(packages(state.path()), ["acme/pay", "acme/large"]);
}

#[test]
fn only_the_last_byte_counts() {
    let world = World::new();
    deaf(&world);
    let customer = world.customer(vec![grant("acme/pay", "^2")]);
    let path = dist_path("2.1.0.0", 5);
    let tag = customer.get(&path).field("etag").unwrap().to_owned();
    assert_eq!(spooled(world.state.path()).len(), 1);
    for (method, path, field, status) in [
        ("HEAD", path.as_str(), ("Accept", "*/*"), 200),
        ("GET", path.as_str(), ("If-None-Match", tag.as_str()), 304),
        ("GET", path.as_str(), ("Range", "bytes=0-0"), 206),
        ("GET", path.as_str(), ("Range", "bytes=0-299998"), 206),
        ("GET", path.as_str(), ("Range", "bytes=300000-"), 416),
        ("GET", dist_path("1.0.0.0", 1).as_str(), ("Accept", "*/*"), 403),
        ("GET", dist_path("9.0.0.0", 1).as_str(), ("Accept", "*/*"), 404),
        ("POST", path.as_str(), ("Content-Length", "0"), 405),
    ] {
        assert_eq!(customer.ask(method, path, &[field]).status, status, "{method} {path} {field:?}");
        assert_eq!(spooled(world.state.path()).len(), 1, "{method} {path} {field:?}");
    }
    for (range, bytes) in
        [("bytes=299999-299999", 1), ("bytes=-7", 7), ("bytes=100-", 299_900), ("bytes=0-,5-", 300_000)]
    {
        customer.ask("GET", &path, &[("Range", range)]);
        assert_eq!(spooled(world.state.path()).last().unwrap().bytes, bytes, "{range}");
    }
    assert_eq!(spooled(world.state.path()).len(), 5);
}

/// A branch with a slash is asked for by its MD5, and counted by its name.
#[test]
fn counted_by_its_normalized_version() {
    let world = World::new();
    deaf(&world);
    let mut pay = acme_pay();
    pay.versions = vec![version("acme/pay", "dev-feature/x", "2025-01-01", &reference(7))];
    world.put_package(tenant_id(1), pay);
    let mut all = grant("acme/pay", "*");
    all.minimum_stability = Some(cargoman_composer::stability::Stability::Dev);
    let customer = world.customer(vec![all]);
    let document = customer.get("/p2/acme/pay~dev.json").json();
    let url = super::world::expand(&document)[0]["dist"]["url"].as_str().unwrap().to_owned();
    assert_eq!(customer.get(url.strip_prefix("https://acme.example").unwrap()).body, bytes_of(&reference(7)));
    assert_eq!(spooled(world.state.path())[0].version, "dev-feature/x");
}

/// Sent until it is counted, always as the same batch; and what one process could not send, the next one does.
#[test]
fn sent_until_it_is_counted() {
    let state = Arc::new(tempfile::tempdir().unwrap());
    let in_state = |config: &mut cargoman_proxy::config::EdgeConfig| config.state_directory = state.path().to_owned();
    let kept = {
        let world = World::with(in_state);
        deaf(&world);
        let customer = world.customer(vec![grant("acme/pay", "*")]);
        assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).status, 200);
        eventually("it is tried again", || world.fake.batches.lock().unwrap().len() >= 3);
        let batches = world.fake.batches.lock().unwrap();
        assert!(batches.iter().all(|batch| batch == &batches[0]));
        spooled(state.path())
    };
    assert_eq!(kept.len(), 1);
    let world = World::with(in_state);
    eventually("the next process sends it", || downloads(world.fake.events()) == kept);
    eventually("it is forgotten", || spooled(state.path()).is_empty());
}

#[test]
fn what_is_refused_is_put_aside_and_the_rest_goes_on() {
    let world = World::new();
    world.fake.usage_status.store(422, Ordering::SeqCst);
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).status, 200);
    let refused = world.state.path().join("spool/refused");
    let aside = || std::fs::read_dir(&refused).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    eventually("it is put aside", || aside().len() == 1);
    let first = world.fake.batches.lock().unwrap()[0].clone();
    assert_eq!(aside(), [first.id.to_string().as_str()]);
    world.fake.usage_status.store(0, Ordering::SeqCst);
    assert_eq!(customer.get(&dist_path("2.0.0.0", 4)).status, 200);
    eventually("the next one is counted", || downloads(world.fake.events()).len() == 2);
    eventually("and forgotten", || spooled(world.state.path()).is_empty());
    assert_eq!(aside().len(), 1);
}

/// An edge that ends hands in what it knows, and says when tokens were used.
#[test]
fn the_end_hands_everything_in() {
    let world = World::new();
    let (fake, state) = (Arc::clone(&world.fake), Arc::clone(&world.state));
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).status, 200);
    assert_eq!(customer.get("/packages.json").status, 200);
    drop(world);
    let events = fake.events();
    assert_eq!(downloads(events.clone()).len(), 1);
    let used = events.iter().find_map(|event| if let UsageEvent::TokenUsed(used) = event { Some(used) } else { None });
    let used = used.expect("the use of the token");
    assert_eq!((used.tenant, used.token.as_str()), (tenant_id(1), "tok_id_1"));
    assert_eq!(used.address, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(events.len(), 2, "two requests, one use: {events:?}");
    let left =
        std::fs::read_dir(state.path().join("spool")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file());
    assert_eq!(left.count(), 0);
}

/// A full disk costs counts, never an answer.
#[test]
fn a_full_spool_refuses_nobody() {
    let world = World::with(|config| config.spool_bytes = 1_000);
    deaf(&world);
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    for _ in 0..10 {
        assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).body, bytes_of(&reference(5)));
    }
    let counted = spooled(world.state.path()).len();
    assert!((1..10).contains(&counted), "{counted}");
}
