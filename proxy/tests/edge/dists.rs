//! The dist route: decided by (version, reference), never a wrong byte, filled once.

use std::sync::Arc;

use cargoman_composer::stability::Stability;
use cargoman_credential::Digest;
use cargoman_licence::{Grant, PackageGlob};

use super::world::{
    World, access, acme_pay, at, bytes_of, dist_path, eventually, grant, package, past, reference, tenant_id, version,
};

fn until(constraint: &str, stability: Stability, date: &str) -> Grant {
    Grant { minimum_stability: Some(stability), updates_until: Some(at(date)), ..grant("acme/pay", constraint) }
}

#[test]
fn an_archive() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let path = dist_path("2.1.0.0", 5);
    let whole = customer.get(&path);
    assert_eq!((whole.status, &whole.body), (200, &bytes_of(&reference(5))));
    assert_eq!(whole.field("content-type"), Some("application/zip"));
    assert_eq!(whole.field("cache-control"), Some("private, max-age=31536000, immutable"));
    assert_eq!(whole.field("accept-ranges"), Some("bytes"));
    let tag = whole.field("etag").unwrap().to_owned();
    assert!(tag.starts_with('"') && tag.len() == 66, "{tag}");

    // E-G5.
    let head = customer.ask("HEAD", &path, &[]);
    assert_eq!(head.without_date().fields, whole.clone().without_date().fields);

    let unchanged = customer.ask("GET", &path, &[("If-None-Match", &tag)]);
    assert_eq!((unchanged.status, unchanged.body.len(), unchanged.field("etag")), (304, 0, Some(tag.as_str())));
    // E-C3: what a request carries besides does not matter.
    assert_eq!(customer.ask("GET", &path, &[("Accept-Encoding", "gzip")]).without_date(), whole.without_date());
}

/// E-G1, E-G2, E-G3 on the wire.
#[test]
fn ranges() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let path = dist_path("2.1.0.0", 5);
    let bytes = bytes_of(&reference(5));
    let size = bytes.len();
    let tag = customer.get(&path).field("etag").unwrap().to_owned();
    for (range, expected) in [
        ("bytes=0-0", Some(0..1)),
        ("bytes=-1", Some(size - 1..size)),
        ("bytes=299990-", Some(size - 10..size)),
        ("bytes=100000-299998", Some(100_000..size - 1)),
        ("bytes=0-999999999", Some(0..size)),
        ("bytes=5-2", None),
        ("bytes=a-b", None),
        ("lines=0-1", None),
        ("bytes=0-1,5-6", None),
    ] {
        let response = customer.ask("GET", &path, &[("Range", range)]);
        match expected {
            Some(part) => {
                assert_eq!((response.status, &response.body[..]), (206, &bytes[part.clone()]), "{range}");
                let text = format!("bytes {}-{}/{size}", part.start, part.end - 1);
                assert_eq!(response.field("content-range"), Some(text.as_str()), "{range}");
            }
            None => assert_eq!((response.status, &response.body), (200, &bytes), "{range}"),
        }
    }
    for range in ["bytes=300000-", "bytes=", "bytes=18446744073709551616-"] {
        let response = customer.ask("GET", &path, &[("Range", range)]);
        assert_eq!((response.status, response.field("content-range")), (416, Some("bytes */300000")), "{range}");
    }
    for (condition, status) in [(tag.as_str(), 206), ("\"stale\"", 200), (&format!("W/{tag}"), 200)] {
        assert_eq!(
            customer.ask("GET", &path, &[("Range", "bytes=0-0"), ("If-Range", condition)]).status,
            status,
            "{condition}"
        );
    }
}

/// The column "dist" of the table in licences.md.
#[test]
fn the_table() {
    let world = World::new();
    let mut pay = acme_pay();
    pay.versions[2].yanked = true;
    world.put_package(tenant_id(1), pay);
    for (case, grants, version, number, status, words) in [
        ("visible", vec![grant("acme/pay", "*")], "2.1.0.0", 5, 200, ""),
        ("yanked", vec![grant("acme/pay", "*")], "2.0.0.0", 4, 200, ""),
        ("constraint", vec![grant("acme/pay", "^1")], "2.1.0.0", 5, 403, "does not cover this version"),
        ("stability", vec![grant("acme/pay", "*")], "2.0.0.0-beta1", 3, 403, "does not cover this version"),
        (
            "date alone",
            vec![until("*", Stability::Stable, "2025-01-15")],
            "2.1.0.0",
            5,
            403,
            "up to 2025-01-15; 2.1.0 came later. Renew at https://acme.example",
        ),
        ("boundary", vec![until("*", Stability::Stable, "2025-08-01")], "2.1.0.0", 5, 200, ""),
        (
            "date and constraint",
            vec![until("^1", Stability::Stable, "2025-01-15")],
            "2.1.0.0",
            5,
            403,
            "does not cover this version",
        ),
        ("no such version", vec![grant("acme/pay", "*")], "9.0.0.0", 5, 404, "Not found"),
        ("reference of another version", vec![grant("acme/pay", "*")], "2.1.0.0", 4, 404, "Not found"),
        ("pretty instead of normalized", vec![grant("acme/pay", "*")], "2.1.0", 5, 404, "Not found"),
        ("no grant", vec![], "2.1.0.0", 5, 404, "Not found"),
        ("branch", vec![until("*", Stability::Dev, "2026-01-01")], "dev-main", 6, 200, ""),
        // Pushed after the window; the head inside it stays installable, from lock files.
        (
            "branch after the window",
            vec![until("*", Stability::Dev, "2025-01-01")],
            "dev-main",
            6,
            403,
            "up to 2025-01-01",
        ),
        ("past reference", vec![until("*", Stability::Dev, "2025-01-01")], "dev-main", 16, 200, ""),
        (
            "past reference after the window",
            vec![until("*", Stability::Dev, "2024-11-30")],
            "dev-main",
            16,
            403,
            "up to 2024-11-30",
        ),
    ] {
        let customer = world.customer(grants);
        let response = customer.get(&dist_path(version, number));
        assert_eq!(response.status, status, "{case}");
        if status == 200 {
            assert_eq!(response.body, bytes_of(&reference(number)), "{case}");
        } else {
            assert!(response.warning().contains(words), "{case}: {}", response.warning());
        }
    }
    let customer = world.customer(vec![]);
    let mut narrowed = access(vec![grant("acme/pay", "*")]);
    narrowed.token.package_scopes = vec![PackageGlob::parse("acme/other").unwrap()];
    customer.change(narrowed);
    assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).status, 403);
}

/// E-E2: one commit behind two versions, only one of which he may have.
#[test]
fn one_reference_behind_an_allowed_and_a_forbidden_version() {
    let world = World::new();
    let both = [("2.0.0", "2025-01-01"), ("1.9.9", "2025-01-01")]
        .map(|(pretty, date)| version("acme/two", pretty, date, &reference(7)));
    world.put_package(tenant_id(1), package("acme/two", both.to_vec()));
    let customer = world.customer(vec![grant("acme/two", "^1")]);
    let path = |normalized: &str| format!("/dist/acme/two/{normalized}/{}.zip", reference(7));
    assert_eq!(customer.get(&path("1.9.9.0")).status, 200);
    let refused = customer.get(&path("2.0.0.0"));
    assert_eq!(refused.status, 403);
    assert!(!refused.warning().contains("2.0.0"), "{}", refused.warning());
    // A tag it got from the allowed one helps neither.
    let tag = customer.get(&path("1.9.9.0")).field("etag").unwrap().to_owned();
    assert_eq!(customer.ask("GET", &path("2.0.0.0"), &[("If-None-Match", &tag)]).status, 403);
}

/// A branch with a slash: by MD5, as Composer fills in a mirror's URL, and as `dist.url` says.
#[test]
fn a_branch_with_a_slash() {
    let world = World::new();
    let mut branch = version("acme/two", "dev-feature/x", "2025-01-01", &reference(7));
    branch.past = vec![past(&reference(8), "2024-01-01")];
    world.put_package(tenant_id(1), package("acme/two", vec![branch]));
    let customer = world.customer(vec![Grant { minimum_stability: Some(Stability::Dev), ..grant("acme/two", "*") }]);
    let document = customer.get("/p2/acme/two~dev.json").json();
    let url = super::world::expand(&document)[0]["dist"]["url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix("https://acme.example").unwrap();
    assert_eq!(path.split('/').count(), 6, "{path}");
    assert_eq!(customer.get(path).body, bytes_of(&reference(7)));
    assert_eq!(customer.get(&path.replace(&reference(7), &reference(8))).body, bytes_of(&reference(8)));
    assert_eq!(customer.get(&format!("/dist/acme/two/dev-feature/x/{}.zip", reference(7))).status, 404);
}

/// E-C8 for archives: many ask, one fetches.
#[test]
fn filled_once() {
    let world = Arc::new(World::new());
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let basic = customer.basic();
    let together = std::sync::Barrier::new(16);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut connection = world.connect();
                together.wait();
                let fields = [("Host", "acme.example"), ("Authorization", basic.as_str())];
                assert_eq!(connection.request("GET", &dist_path("2.1.0.0", 5), &fields).body, bytes_of(&reference(5)));
            });
        }
    });
    assert_eq!(world.fills(), 1);
    assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).status, 200);
    assert_eq!(world.fills(), 1);
    // HEAD needs no bytes at all.
    assert_eq!(customer.ask("HEAD", &dist_path("1.0.0.0", 1), &[]).status, 200);
    assert_eq!(world.fills(), 1);
}

/// E-C5: other bytes than the digest names are never sent and never kept.
#[test]
fn a_corrupt_source() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let right = bytes_of(&reference(5));
    let key = format!("{}/{}", tenant_id(1), Digest::of(&right));
    let mut flipped = right.clone();
    flipped[150_000] ^= 1;
    let longer = [right.clone(), vec![0]].concat();
    for wrong in [flipped, longer, right[..right.len() - 1].to_vec(), Vec::new()] {
        world.fake.dists.lock().unwrap().insert(key.clone(), wrong);
        let response = customer.get(&dist_path("2.1.0.0", 5));
        assert_eq!(response.status, 503);
        assert!(response.field("retry-after").is_some());
    }
    world.fake.dists.lock().unwrap().remove(&key);
    assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).status, 503);
    assert_eq!(files(world.cache.path()), 0);
    world.fake.dists.lock().unwrap().insert(key, right.clone());
    assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).body, right);
}

/// E-C9: whatever happens to the file, the bytes are right.
#[test]
fn a_corrupt_cache() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    let right = bytes_of(&reference(5));
    let get = || customer.get(&dist_path("2.1.0.0", 5));
    assert_eq!(get().body, right);
    let hex = Digest::of(&right).to_hex();
    let path = world.cache.path().join(tenant_id(1).to_string()).join(&hex[..2]).join(&hex);
    let mut flipped = right.clone();
    flipped[7] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    assert_eq!(get().body, right);
    std::fs::write(&path, &right[..100]).unwrap();
    assert_eq!(get().body, right);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(get().body, right);
    std::fs::remove_dir_all(path.parent().unwrap().parent().unwrap()).unwrap();
    assert_eq!(get().body, right);
    assert_eq!(world.fills(), 5);
    // Wrong on disk and nowhere else to get it: 503, not a wrong byte.
    std::fs::write(&path, &flipped).unwrap();
    world.fake.dists.lock().unwrap().clear();
    assert_eq!(get().status, 503);
}

/// What an earlier process left is used, after a look at its bytes.
#[test]
fn adopted_files() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let right = bytes_of(&reference(5));
    for corrupt in [false, true] {
        let hex = Digest::of(&right).to_hex();
        let folder = directory.path().join(tenant_id(1).to_string()).join(&hex[..2]);
        std::fs::create_dir_all(&folder).unwrap();
        let mut left = right.clone();
        left[0] ^= u8::from(corrupt);
        std::fs::write(folder.join(&hex), &left).unwrap();
        let world = World::in_directory(Arc::clone(&directory), |_| {});
        let customer = world.customer(vec![grant("acme/pay", "*")]);
        assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).body, right);
        // Adoption goes on beside the first requests, so a fill may have come first once.
        assert!(world.fills() <= 1);
    }
}

/// The bound on disk holds; what was dropped is fetched again.
#[test]
fn bounded() {
    let world = World::with(|config| config.cache.dist_bytes = 700 << 10);
    let customer = world.customer(vec![Grant { minimum_stability: Some(Stability::Beta), ..grant("acme/pay", "*") }]);
    let all = [("1.0.0.0", 1), ("1.1.0.0", 2), ("2.0.0.0-beta1", 3), ("2.0.0.0", 4), ("2.1.0.0", 5)];
    for _ in 0..3 {
        for (version, number) in all {
            assert_eq!(customer.get(&dist_path(version, number)).body, bytes_of(&reference(number)));
        }
    }
    eventually("at most two archives on disk", || {
        customer.get(&dist_path("2.1.0.0", 5));
        files(world.cache.path()) <= 2
    });
}

/// A client that goes away in the middle harms nobody.
#[test]
fn a_client_that_goes_away() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/pay", "*")]);
    for _ in 0..5 {
        let mut connection = world.connect();
        connection.send(
            format!(
                "GET {} HTTP/1.1\r\nHost: acme.example\r\nAuthorization: {}\r\n\r\n",
                dist_path("2.1.0.0", 5),
                customer.basic()
            )
            .as_bytes(),
        );
        drop(connection);
    }
    assert_eq!(customer.get(&dist_path("2.1.0.0", 5)).body, bytes_of(&reference(5)));
}

/// Archives in the cache; what the edge keeps of itself lies in `state`.
fn files(directory: &std::path::Path) -> usize {
    if directory.ends_with("state") {
        return 0;
    }
    let entries =
        std::fs::read_dir(directory).map(|entries| entries.flatten().collect()).unwrap_or_else(|_| Vec::new());
    entries.iter().map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

/// Large archives: the beginning goes out while the rest comes; the end only when all of it is right.
#[test]
fn sent_while_it_comes() {
    let world = World::new();
    let customer = world.customer(vec![grant("acme/large", "*")]);
    // The source stops in the middle: what came is sent to the two who ask for all, nothing to who asks for a part.
    let (mut bytes, key, sender) = world.put_large();
    let path = format!("/dist/acme/large/1.0.0.0/{}.zip", reference(9));
    let question = |range: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: acme.example\r\nAuthorization: {}\r\n{range}\r\n", customer.basic())
    };
    let mut readers = [world.connect(), world.connect()];
    for reader in &mut readers {
        reader.send(question("").as_bytes());
        let head = reader.begin().unwrap();
        assert_eq!((head.status, head.field("content-length")), (200, Some("3000000")));
        assert_eq!(reader.read(1_000_000), bytes[..1_000_000]);
    }
    let mut part = world.connect();
    part.send(question("Range: bytes=0-9\r\n").as_bytes());
    assert_eq!(world.fills(), 1);
    assert_eq!(files(&world.cache.path().join(tenant_id(1).to_string())), 0);
    sender.send_replace(usize::MAX);
    for reader in &mut readers {
        assert_eq!(reader.read(2_000_000), bytes[1_000_000..]);
    }
    assert_eq!(part.receive(false).body, bytes[..10]);
    assert_eq!((world.fills(), customer.get(&path).body == bytes), (1, true));

    // One wrong byte: nobody gets the end of it, and nothing is kept.
    let hex = Digest::of(&bytes).to_hex();
    let file = world.cache.path().join(tenant_id(1).to_string()).join(&hex[..2]).join(&hex);
    std::fs::remove_file(&file).unwrap();
    bytes[1_500_000] ^= 1;
    world.fake.dists.lock().unwrap().insert(key, bytes.clone());
    let mut reader = world.connect();
    reader.send(question("").as_bytes());
    assert_eq!(reader.begin().unwrap().status, 200);
    let got = reader.read(usize::MAX);
    assert!(got.len() < bytes.len(), "{} bytes", got.len());
    let mut part = world.connect();
    part.send(question("Range: bytes=0-9\r\n").as_bytes());
    assert_eq!(part.receive(false).status, 503);
    assert!(!file.exists());
    assert_eq!(files(&world.cache.path().join("unfinished")), 0);
}
