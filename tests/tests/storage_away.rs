//! The object store is absent, slow, or gives other bytes than were stored: dists in an edge's cache go on, others are answered 503
//! within three seconds, and no wrong byte is sent or kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cargoman_testkit::cargoman::ADMIN_TOKEN;
use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::git::{self, Repository};
use cargoman_testkit::link_proxy::Direction;
use cargoman_testkit::raw_http::{self, Connection, Response};
use cargoman_tests::reader::sha1;
use cargoman_tests::scale_out::{Link, Token, request};
use serde_json::json;

const NAME: &str = "acme/parcel";
const LIMIT: Duration = Duration::from_secs(60);
/// The answer is to begin within this.
const SOON: Duration = Duration::from_secs(3);

/// A stored dist, as metadata shows it.
struct Dist {
    path: String,
    shasum: String,
    /// Where the storage has it.
    file: PathBuf,
}

/// Makes other bytes of those that were stored.
type Change = fn(&[u8]) -> Vec<u8>;

/// Publishes so many versions and finds their files.
fn publish(link: &Link, token: &Token, count: usize) -> Vec<Dist> {
    link.write("POST", "/packages", &json!({"type": "artifact", "name": NAME}));
    link.write("POST", &format!("/customers/{}/packages", link.customer), &json!({"package": NAME}));
    for number in 0..count {
        let repository = Repository::bare();
        repository.write("composer.json", json!({"name": NAME, "description": "A parcel"}).to_string());
        // Does not compress well: long enough to be cut in the middle.
        let noise: Vec<u8> = (0..200_000_u32).map(|at| (at.wrapping_mul(at) >> 7).to_le_bytes()[number % 2]).collect();
        repository.write("noise", noise).write("number", number.to_string()).commit("All");
        let zip = git::command(repository.path()).args(["archive", "--format=zip", "main^{tree}"]).output().unwrap();
        let url =
            format!("http://{}/api/v1/packages/{NAME}/versions/1.0.{number}", link.world.control_planes[0].address());
        let headers = [("Authorization", &*format!("Bearer {ADMIN_TOKEN}")), ("Content-Type", "application/zip")];
        let answer = raw_http::request("PUT", &url, &headers, &zip.stdout);
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    let stored = files(&link.world.storage().join("dists"));
    let shown = get(link, token, "/p2/acme/parcel.json").json();
    let versions = shown["packages"][NAME].as_array().unwrap();
    assert_eq!(versions.len(), count, "{shown:#}");
    let dist = |version: &serde_json::Value| {
        let text = |name: &str| version["dist"][name].as_str().unwrap().to_owned();
        let url = url::Url::parse(&text("url")).unwrap();
        let shasum = text("shasum");
        let is_it = |file: &&PathBuf| sha1(&fs::read(file).unwrap()) == shasum;
        let file = stored.iter().find(is_it).expect("it is stored").clone();
        Dist { path: url.path().to_owned(), shasum, file }
    };
    versions.iter().map(dist).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn get(link: &Link, token: &Token, path: &str) -> Response {
    Connection::open(link.world.edges[0].address()).send(request(token, path)).response()
}

#[track_caller]
fn is_there(link: &Link, token: &Token, dist: &Dist, what: &str) {
    let answer = get(link, token, &dist.path);
    assert_eq!((answer.status, sha1(&answer.body) == dist.shasum), (200, true), "{what}: {}", answer.text());
}

/// While something is wrong: what is cached is there, what is not is refused soon. When it is mended, that comes too.
#[track_caller]
fn refused_soon_and_there_when_mended(
    link: &Link,
    token: &Token,
    (cached, other): (&Dist, &Dist),
    what: &str,
    mend: impl FnOnce(),
) {
    for _ in 0..2 {
        is_there(link, token, cached, what);
        let began = Instant::now();
        let answer = get(link, token, &other.path);
        assert_eq!(answer.status, 503, "{what}: {} bytes", answer.body.len());
        assert!(answer.header("retry-after").is_some(), "{what}: {answer:?}");
        assert!(began.elapsed() < SOON, "{what}: {:?}", began.elapsed());
    }
    mend();
    poll_until(&format!("{what}: it is there when all is well"), LIMIT, || {
        (get(link, token, &other.path).status == 200).then_some(())
    });
    is_there(link, token, other, what);
}

#[test]
fn what_the_storage_does_not_give() {
    let link = Link::start_with_proxies(1, 1);
    let (token, _) = link.token(0);
    link.warm(&token);
    let dists = publish(&link, &token, 7);
    let (cached, others) = dists.split_first().unwrap();
    is_there(&link, &token, cached, "at first");
    let whole = |dist: &Dist| fs::read(&dist.file).unwrap();
    let replaced: [(&str, Change); 3] = [
        ("cut in the middle", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("empty", |_| Vec::new()),
        ("another byte", |bytes| {
            let mut other = bytes.to_vec();
            *other.last_mut().unwrap() ^= 1;
            other
        }),
    ];
    for ((what, change), dist) in replaced.into_iter().zip(others) {
        let bytes = whole(dist);
        fs::write(&dist.file, change(&bytes)).unwrap();
        refused_soon_and_there_when_mended(&link, &token, (cached, dist), what, || {
            fs::write(&dist.file, &bytes).unwrap();
        });
    }
    let aside = |dist: &Dist| dist.file.with_extension("aside");
    let dist = &others[3];
    fs::rename(&dist.file, aside(dist)).unwrap();
    refused_soon_and_there_when_mended(&link, &token, (cached, dist), "absent", || {
        fs::rename(aside(dist), &dist.file).unwrap();
    });
    // Opening a pipe that nobody writes to takes as long as a network disk whose server is gone.
    let dist = &others[4];
    fs::rename(&dist.file, aside(dist)).unwrap();
    assert!(Command::new("mkfifo").arg(&dist.file).status().unwrap().success());
    refused_soon_and_there_when_mended(&link, &token, (cached, dist), "held up", || {
        // Whoever waits at the pipe goes on.
        drop(fs::File::options().read(true).write(true).open(&dist.file).unwrap());
        fs::rename(aside(dist), &dist.file).unwrap();
    });
    let proxy = &link.world.links[0][0];
    let dist = &others[5];
    proxy.cut(Direction::ToEdge);
    refused_soon_and_there_when_mended(&link, &token, (cached, dist), "nothing comes from the control plane", || {
        proxy.heal();
    });
}
