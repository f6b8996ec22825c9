//! Both kinds behave alike: each case runs over a folder and over a bucket of a real S3 server. Then what goes wrong with a bucket only.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use cargoman_testkit::s3::{BUCKET, Fault, KEY, S3Server};
use futures::TryStreamExt;

use super::open::Patience;
use super::*;
use crate::config::{SecretAccessKey, StorageConfig, StorageKind};
use crate::trust::Trust;

const TENANT: TenantId = TenantId(uuid::Uuid::from_u128(1));
const OTHER: TenantId = TenantId(uuid::Uuid::from_u128(2));

/// A storage, and a way to its files behind its back.
struct World {
    storage: Storage,
    root: PathBuf,
    server: Option<S3Server>,
    folder: tempfile::TempDir,
}

/// A dist that is to be stored.
struct Dist {
    bytes: Vec<u8>,
    sha256: Digest,
    file: PathBuf,
}

fn config(server: &S3Server) -> StorageConfig {
    StorageConfig {
        kind: StorageKind::S3,
        bucket: Some(BUCKET.to_owned()),
        endpoint: Some(server.endpoint()),
        region: Some("us-east-1".to_owned()),
        access_key_id: Some(KEY.0.to_owned()),
        secret_access_key: Some(SecretAccessKey::new(KEY.1)),
        ..StorageConfig::default()
    }
}

impl World {
    fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("storage");
        Self { storage: Storage::in_folder(&root).unwrap(), root, server: None, folder }
    }

    fn bucket(prefix: Option<&str>) -> Self {
        let server = S3Server::start();
        let config = StorageConfig { prefix: prefix.map(str::to_owned), ..config(&server) };
        let patience = Patience { call: Duration::from_millis(400), piece: Duration::from_millis(1_500) };
        let storage = Storage::open_with(&config, &Trust::default(), patience).unwrap();
        let root = server.object(prefix.unwrap_or_default());
        Self { storage, root, server: Some(server), folder: tempfile::tempdir().unwrap() }
    }

    fn all() -> Vec<(&'static str, Self)> {
        vec![
            ("folder", Self::folder()),
            ("bucket", Self::bucket(None)),
            ("bucket with a prefix", Self::bucket(Some("acme/one"))),
        ]
    }

    fn server(&self) -> &S3Server {
        self.server.as_ref().unwrap()
    }

    fn dist(&self, length: usize) -> Dist {
        let bytes: Vec<u8> = (0..length as u64).map(|at| (at.wrapping_mul(at) >> 9).to_le_bytes()[0]).collect();
        let file = self.folder.path().join(format!("{length}.zip"));
        std::fs::write(&file, &bytes).unwrap();
        Dist { sha256: Digest::of(&bytes), bytes, file }
    }

    async fn put(&self, dist: &Dist) -> Result<(), StorageError> {
        self.storage.put(TENANT, dist.sha256, dist.bytes.len() as u64, &dist.file).await
    }

    async fn check(&self, dist: &Dist) -> Condition {
        self.storage.check(TENANT, dist.sha256, dist.bytes.len() as u64).await.unwrap()
    }

    fn stored(&self, dist: &Dist) -> PathBuf {
        self.root.join(key::of(TENANT, dist.sha256))
    }
}

async fn bytes(storage: &Storage, tenant: TenantId, sha256: Digest) -> Option<Vec<u8>> {
    let stream = storage.read(tenant, sha256).await.unwrap()?;
    Some(stream.try_collect::<Vec<_>>().await.unwrap().concat())
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_is_read_by_its_tenant_alone() {
    for (kind, world) in World::all() {
        world.storage.probe().await.unwrap();
        // Empty; small; more than one part of an upload, and the last one not whole.
        for length in [0, 5, 3 << 20, (35 << 20) + 1] {
            let dist = world.dist(length);
            assert_eq!(world.check(&dist).await, Condition::Missing, "{kind}, {length}");
            assert!(world.storage.read(TENANT, dist.sha256).await.unwrap().is_none(), "{kind}");
            for _ in 0..2 {
                world.put(&dist).await.unwrap();
            }
            assert!(bytes(&world.storage, TENANT, dist.sha256).await.unwrap() == dist.bytes, "{kind}, {length}");
            assert!(bytes(&world.storage, OTHER, dist.sha256).await.is_none(), "{kind}");
            assert_eq!(world.check(&dist).await, Condition::Whole, "{kind}, {length}");
        }
        assert_eq!(files(&world.root.join("unfinished")), 0, "{kind}");
        assert_eq!(files(&world.root.join("probe")), 0, "{kind}: the probe leaves nothing");
    }
}

/// Z-13, as far as the bytes go.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_are_healed_and_whole_ones_left_alone() {
    for (kind, world) in World::all() {
        let dist = world.dist((2 << 20) + 5);
        world.put(&dist).await.unwrap();
        let stored = world.stored(&dist);
        let mut flipped = dist.bytes.clone();
        flipped[1 << 20] ^= 1;
        let longer = [&dist.bytes[..], b"x"].concat();
        for broken in [&flipped[..], &dist.bytes[1..], b"", &longer] {
            std::fs::write(&stored, broken).unwrap();
            assert_eq!(world.check(&dist).await, Condition::Damaged { size: broken.len() as u64 }, "{kind}");
            world.put(&dist).await.unwrap();
            assert!(std::fs::read(&stored).unwrap() == dist.bytes, "{kind}: {} broken bytes stayed", broken.len());
        }
        std::fs::remove_file(&stored).unwrap();
        world.put(&dist).await.unwrap();
        let written = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&stored).unwrap());
        let before = written();
        world.put(&dist).await.unwrap();
        assert_eq!(written(), before, "{kind}: whole bytes are not written again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_what_was_said_is_never_visible() {
    for (kind, world) in World::all() {
        for length in [10, 20 << 20] {
            let mut dist = world.dist(length);
            dist.sha256 = Digest::of(b"something else");
            let refused = world.put(&dist).await.unwrap_err();
            assert!(matches!(refused, StorageError::SourceChanged(_)), "{kind}: {refused}");
            dist.file = world.folder.path().join("absent");
            assert!(matches!(world.put(&dist).await, Err(StorageError::Source { .. })), "{kind}");
            assert_eq!(world.check(&dist).await, Condition::Missing, "{kind}");
        }
        if let Some(server) = &world.server {
            settled(|| server.parts() == 0).await;
        }
        settled(|| files(&world.root.join("unfinished")) == 0).await;
    }
}

/// What is given up is taken back in a task of its own.
async fn settled(done: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("something was left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_looked_at_and_removed() {
    for (kind, world) in World::all() {
        let list = || async { world.storage.list().await.unwrap().try_collect::<Vec<_>>().await.unwrap() };
        assert_eq!(list().await, [], "{kind}");
        let dists = [world.dist(1), world.dist(2), world.dist(3)];
        let mut expected = Vec::new();
        for dist in &dists {
            world.put(dist).await.unwrap();
            expected.push(Stored { tenant: TENANT, sha256: dist.sha256 });
        }
        // None of ours.
        std::fs::write(world.root.join("dists/readme.txt"), "x").unwrap();
        let mut found = list().await;
        found.sort_by_key(|one| one.sha256.to_hex());
        expected.sort_by_key(|one| one.sha256.to_hex());
        assert_eq!(found, expected, "{kind}");
        let one = Stored { tenant: TENANT, sha256: dists[2].sha256 };
        let (size, written) = world.storage.look(one).await.unwrap().unwrap();
        assert!(size == 3 && (crate::clock::now() - written).num_seconds().abs() < 60, "{kind}: {written}");
        for _ in 0..2 {
            world.storage.remove(one).await.unwrap();
        }
        assert_eq!(world.storage.look(one).await.unwrap(), None, "{kind}");
        assert_eq!(list().await.len(), 2, "{kind}");
    }
}

/// Z-13: what an S3 service does wrong. Nothing of it makes a dist visible that is not whole.
#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_tried_again() {
    let world = World::bucket(None);
    let server = world.server();
    let mut length = 1_000;
    for (method, part, times, fault) in [
        ("PUT", "dists", 2, Fault::Refuse(500, "InternalError")),
        ("PUT", "dists", 2, Fault::Refuse(503, "SlowDown")),
        ("PUT", "dists", 2, Fault::Refuse(429, "TooManyRequests")),
        ("GET", "dists", 2, Fault::Refuse(502, "")),
        ("PUT", "dists", 1, Fault::Hang),
        ("GET", "dists", 1, Fault::Hang),
        ("PUT", "dists", 1, Fault::Break),
        ("PUT", "dists", 1, Fault::BreakAfter),
        ("PUT", "dists", 1, Fault::AlterRequest),
        ("PUT", "dists", 1, Fault::Pretend),
        // Small and in several parts.
        ("PUT", "partNumber", 2, Fault::Refuse(500, "InternalError")),
        ("PUT", "partNumber", 1, Fault::Hang),
        ("PUT", "partNumber", 1, Fault::BreakAfter),
        ("PUT", "partNumber=2", 1, Fault::AlterRequest),
        ("POST", "uploads", 1, Fault::Refuse(503, "SlowDown")),
        ("POST", "uploadId", 1, Fault::Refuse(500, "InternalError")),
    ] {
        length += 1;
        let dist = world.dist(if part == "dists" { length } else { (33 << 20) + length });
        server.fail(method, part, times, fault);
        world.put(&dist).await.unwrap_or_else(|error| panic!("{method} {part} {fault:?}: {error}"));
        assert_eq!(server.faults_left(), 0, "{method} {part} {fault:?} happened");
        assert!(std::fs::read(world.stored(&dist)).unwrap() == dist.bytes, "{method} {part} {fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_pass_is_an_error_and_leaves_nothing() {
    let world = World::bucket(None);
    let server = world.server();
    let mut length = 1_000;
    for (method, part, fault) in [
        ("PUT", "dists", Fault::Refuse(500, "InternalError")),
        ("PUT", "dists", Fault::Refuse(403, "AccessDenied")),
        ("PUT", "dists", Fault::Break),
        ("PUT", "dists", Fault::Hang),
        ("PUT", "dists", Fault::Pretend),
        ("PUT", "partNumber=2", Fault::Refuse(403, "AccessDenied")),
        ("PUT", "partNumber=2", Fault::Hang),
        ("POST", "uploadId", Fault::Refuse(400, "InvalidPart")),
    ] {
        length += 1;
        let dist = world.dist(if part == "dists" { length } else { (33 << 20) + length });
        server.fail(method, part, usize::MAX, fault);
        let began = std::time::Instant::now();
        let error = world.put(&dist).await.expect_err("it cannot be stored");
        assert!(began.elapsed() < Duration::from_secs(20), "{method} {part} {fault:?}: {:?}", began.elapsed());
        assert!(!error.to_string().is_empty() && !error.to_string().contains(KEY.1), "{error}");
        server.heal();
        settled(|| server.parts() == 0).await;
        assert_eq!(world.check(&dist).await, Condition::Missing, "{method} {part} {fault:?}");
        world.put(&dist).await.unwrap();
    }
    // A byte that is always another one: not whole, so never said to be stored.
    let dist = world.dist(length + 1);
    server.fail("PUT", "dists", usize::MAX, Fault::AlterRequest);
    assert!(matches!(world.put(&dist).await, Err(StorageError::Altered(_))));
    assert!(matches!(world.check(&dist).await, Condition::Damaged { .. }));
    server.heal();
    world.put(&dist).await.unwrap();
    assert_eq!(world.check(&dist).await, Condition::Whole);
}

/// Half of an answer is never taken for the whole.
#[tokio::test(flavor = "multi_thread")]
async fn reading_breaks_off_loudly_or_goes_on() {
    let world = World::bucket(None);
    let server = world.server();
    let dist = world.dist(3 << 20);
    world.put(&dist).await.unwrap();
    for times in [1, usize::MAX] {
        server.fail("GET", "dists", times, Fault::CutBody);
        let read = async {
            let stream = world.storage.read(TENANT, dist.sha256).await?.expect("it is there");
            Ok::<_, StorageError>(stream.try_collect::<Vec<_>>().await.map_err(StorageError::BrokeOff)?.concat())
        };
        if let Ok(read) = read.await {
            assert!(read == dist.bytes, "{times}: {} bytes of {}", read.len(), dist.bytes.len());
        }
        server.heal();
    }
    server.fail("GET", "dists", 1, Fault::AlterAnswer);
    assert!(matches!(world.check(&dist).await, Condition::Damaged { .. }));
    for fault in [Fault::Refuse(500, "InternalError"), Fault::Hang, Fault::Break] {
        server.fail("GET", "dists", usize::MAX, fault);
        assert!(world.storage.read(TENANT, dist.sha256).await.is_err(), "{fault:?} does not mean that it is missing");
        server.heal();
    }
}

/// Killed in the middle of an upload: what was sent is taken back, and nothing is visible.
#[tokio::test(flavor = "multi_thread")]
async fn given_up_half_way() {
    let world = World::bucket(None);
    let server = world.server();
    // The part that hangs must not be the last but one: that is sent when all has been read, and the upload then ends by itself.
    let dist = world.dist(72 << 20);
    server.fail("PUT", "partNumber=2", usize::MAX, Fault::Hang);
    let parts_came = async {
        settled(|| server.parts() > 0).await;
    };
    tokio::select! {
        ended = world.put(&dist) => panic!("{ended:?} {:?}", server.calls()),
        () = parts_came => {}
    }
    server.heal();
    settled(|| server.parts() == 0).await;
    assert_eq!(world.check(&dist).await, Condition::Missing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_is_named_at_the_start() {
    let server = S3Server::start();
    let good = config(&server);
    let probe = async |config: &StorageConfig| match Storage::open(config, &Trust::default()) {
        Ok(storage) => storage.probe().await,
        Err(error) => Err(error),
    };
    probe(&good).await.unwrap();
    let with = |change: fn(&mut StorageConfig)| {
        let mut config = good.clone();
        change(&mut config);
        config
    };
    for (config, named) in [
        (
            with(|config| config.secret_access_key = Some(SecretAccessKey::new("wrong"))),
            "storage.secret_access_key_file",
        ),
        (with(|config| config.secret_access_key = None), "storage.secret_access_key_file"),
        (with(|config| config.secret_access_key_file = Some("/absent".into())), ""),
        (with(|config| config.access_key_id = Some("OTHER".to_owned())), "storage.access_key_id"),
    ] {
        let answer = probe(&config).await;
        let Err(error) = answer else {
            assert!(named.is_empty(), "{config:?} is refused");
            continue;
        };
        assert!(error.is_of_setting() && error.to_string().contains(named), "{named}: {error}");
        assert!(!error.to_string().contains(KEY.1), "{error}");
    }
    for (status, code, named) in [
        // The test's server makes a bucket for whoever asks.
        (404, "NoSuchBucket", "storage.bucket"),
        (403, "RequestTimeTooSkewed", "clock"),
        (403, "AccessDenied", "storage.access_key_id"),
        (301, "PermanentRedirect", "storage.region"),
    ] {
        server.fail("PUT", "probe", 1, Fault::Refuse(status, code));
        let error = probe(&good).await.unwrap_err();
        assert!(error.is_of_setting() && error.to_string().contains(named), "{error}");
    }
    // A key that may not list, or not remove.
    for method in ["DELETE", "GET"] {
        server.fail(method, "", usize::MAX, Fault::Refuse(403, "AccessDenied"));
        assert!(probe(&good).await.unwrap_err().is_of_setting(), "{method}");
        server.heal();
    }
    // What may pass is none of a setting.
    server.fail("PUT", "probe", usize::MAX, Fault::Refuse(503, "SlowDown"));
    let error = probe(&good).await.unwrap_err();
    assert!(!error.is_of_setting(), "{error}");
    let gone = config(&server);
    drop(server);
    let error = probe(&gone).await.unwrap_err();
    assert!(!error.is_of_setting(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = Storage::in_folder(&file.join("storage")).unwrap_err();
    assert!(error.is_of_setting() && error.to_string().contains("storage.root"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_good_for_one_dist_and_a_short_while() {
    let world = World::bucket(Some("acme"));
    let dist = world.dist(5_000);
    world.put(&dist).await.unwrap();
    let address = async |life| world.storage.address(TENANT, dist.sha256, life).await.unwrap().unwrap();
    let get = async |url: String| {
        let answer = reqwest_get(&url).await;
        (answer.0, answer.1 == dist.bytes)
    };
    let good = address(Duration::from_secs(60)).await;
    assert_eq!(get(good.clone()).await, (200, true), "{good}");
    let other = world.dist(6_000);
    world.put(&other).await.unwrap();
    let turned = good
        .replace(&dist.sha256.to_hex(), &other.sha256.to_hex())
        .replace(&dist.sha256.to_hex()[..2], &other.sha256.to_hex()[..2]);
    assert_eq!(get(turned).await.0, 403);
    let short = address(Duration::from_secs(1)).await;
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while get(short.clone()).await.0 == 200 {
        assert!(std::time::Instant::now() < until, "{short} never ends");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!good.contains(KEY.1));
    let folder = World::folder();
    assert!(!folder.storage.gives_addresses());
    assert_eq!(folder.storage.address(TENANT, dist.sha256, Duration::from_secs(1)).await.unwrap(), None);
}

async fn reqwest_get(url: &str) -> (u16, Vec<u8>) {
    let client = super::s3::client(&Trust::default()).unwrap();
    let answer = client.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
}
