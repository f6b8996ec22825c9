//! Repositories and their server, seen by the real git.

#![allow(clippy::expect_used, reason = "a test's own functions fail by panicking")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::git::{self, Fault, HttpServer, Repository, Shape};

/// What git printed, or its error text.
fn git(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = git::command(directory).args(arguments).output().expect("git");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn library(repository: &Repository) {
    repository.write("composer.json", r#"{"name": "acme/library"}"#).write("old.txt", "old").commit("First");
    repository.tag("v1.0.0").branch("1.x").checkout("main");
    repository.remove("old.txt").executable("bin/tool", "#!/bin/sh\n").symlink("link", "bin/tool");
    repository.write("a \"b\"\\c.txt", "odd name").commit("Second").annotated_tag("v2.0.0", "Two");
}

#[test]
fn history_reads_as_written_and_is_the_same_each_time() {
    let repository = Repository::bare_with(library);
    assert_eq!(Repository::bare_with(library).head(), repository.head());

    let folder = tempfile::tempdir().expect("a folder");
    git(folder.path(), &["clone", "--quiet", &repository.url(), "clone"]).expect("clone");
    let clone = folder.path().join("clone");
    assert_eq!(git(&clone, &["branch", "--show-current"]).as_deref(), Ok("main"));
    assert_eq!(git(&clone, &["log", "--format=%s %at"]).as_deref(), Ok("Second 1600003600\nFirst 1600000000"));
    let kinds = git(&clone, &["for-each-ref", "--format=%(refname:short) %(objecttype)", "refs/tags"]);
    assert_eq!(kinds.as_deref(), Ok("v1.0.0 commit\nv2.0.0 tag"));
    let tree = git(&clone, &["ls-tree", "-r", "--format=%(objectmode) %(path)", "HEAD"]);
    let expected = "100644 \"a \\\"b\\\"\\\\c.txt\"\n100755 bin/tool\n100644 composer.json\n120000 link";
    assert_eq!(tree.as_deref(), Ok(expected));
}

#[test]
fn refs_can_be_moved_and_deleted() {
    let repository = Repository::bare_with(library);
    let first = repository.resolve("v1.0.0");
    repository.move_tag("v1.0.0");
    assert_eq!(repository.resolve("v1.0.0"), repository.head());
    repository.update_ref("refs/pull/1/head", &first).delete_tag("v2.0.0").delete_branch("1.x");
    let refs = repository.git(&["for-each-ref", "--format=%(refname)"]);
    assert_eq!(refs, "refs/heads/main\nrefs/pull/1/head\nrefs/tags/v1.0.0");

    repository.branch("feature").date(1_700_000_000).write("feature.txt", "").commit("Feature");
    assert_eq!(repository.git(&["log", "-1", "--format=%ct", "feature"]), "1700000000");
    repository.checkout("main").write("main.txt", "").commit("Main").merge("feature", "Merge");
    assert_eq!(repository.git(&["rev-list", "--parents", "-1", "main"]).split(' ').count(), 3);
    assert!(repository.git(&["ls-tree", "--name-only", "main"]).contains("main.txt"));
}

#[test]
fn shapes_have_their_size() {
    for (shape, minimum_tests) in [(Shape::monolog(), 50), (Shape::console(), 90)] {
        let start = Instant::now();
        let repository = Repository::shaped(&shape);
        println!("{}: {:?}", shape.name, start.elapsed());
        let count = |pattern: &str| repository.git(&["for-each-ref", "--format=x", pattern]).lines().count();
        assert_eq!((count("refs/tags"), count("refs/heads")), (shape.tags, shape.branches));
        assert_eq!(shape.tag_names().len(), shape.tags);
        for tag in [&shape.tag_names()[0], &shape.tag_names()[shape.tags - 1]] {
            let files = repository.git(&["ls-tree", "-r", "--name-only", &repository.resolve(tag)]);
            assert_eq!(files.lines().count(), shape.files, "{tag}");
            assert!(files.lines().filter(|file| file.starts_with("tests/")).count() > minimum_tests);
        }
        let last = shape.tag_names().pop().expect("tags");
        repository.git(&["archive", "--output=release.tar", &last]);
        let listing = Command::new("tar").arg("tf").arg(repository.path().join("release.tar")).output().expect("tar");
        let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
        assert!(listing.contains("src/") && !listing.contains("tests/"), "export-ignore holds: {listing}");
        assert_eq!(repository.git(&["fsck", "--strict"]), "");
        assert_eq!(repository.head(), repository.resolve("HEAD"));
        assert_eq!(Repository::shaped(&shape).head(), repository.head());
    }
}

#[test]
fn the_server_serves_clones_fetches_and_asks_for_passwords() {
    let server = HttpServer::start();
    let repository = server.repository("acme/library.git");
    library(&repository);
    let folder = tempfile::tempdir().expect("a folder");
    let clone = folder.path().join("clone");
    git(folder.path(), &["clone", "--quiet", &server.url("acme/library.git"), "clone"]).expect("clone");
    assert_eq!(git(&clone, &["rev-parse", "HEAD"]).as_deref(), Ok(repository.head().as_str()));

    repository.write("new.txt", "new").commit("Third").tag("v3.0.0");
    git(&clone, &["fetch", "--quiet"]).expect("fetch");
    assert_eq!(git(&clone, &["rev-parse", "v3.0.0"]).as_deref(), Ok(repository.head().as_str()));
    let uploads = server.requests().iter().filter(|request| request.target.ends_with("git-upload-pack")).count();
    assert!(uploads >= 2, "{uploads}");

    server.require_basic("user", "secret");
    let plain = server.url("acme/library.git");
    assert!(git(folder.path(), &["ls-remote", &plain]).is_err());
    let with_password = plain.replace("http://", "http://user:secret@");
    assert!(git(folder.path(), &["ls-remote", &with_password]).expect("allowed").contains("refs/tags/v3.0.0"));
    assert!(git(folder.path(), &["ls-remote", &server.url("no.git").replace("//", "//user:secret@")]).is_err());
}

#[test]
fn compressed_and_chunked_requests_arrive() {
    let server = HttpServer::start();
    let repository = server.repository("shaped.git");
    repository.fill(&Shape::monolog());
    let folder = tempfile::tempdir().expect("a folder");
    // Many wants and haves make git compress; a tiny buffer makes it send chunks.
    let url = server.url("shaped.git");
    let clone = ["-c", "http.postBuffer=1", "-c", "protocol.version=0", "clone", "--quiet", "--mirror", &url, "clone"];
    git(folder.path(), &clone).expect("clone");
    let seen = |name: &str, value: &str| server.requests().iter().any(|request| request.header(name) == Some(value));
    assert!(seen("transfer-encoding", "chunked") || seen("content-encoding", "gzip"), "{:?}", server.requests());
    let clone = folder.path().join("clone");
    assert_eq!(git(&clone, &["rev-parse", "main"]).as_deref(), Ok(repository.head().as_str()));
    git(&clone, &["-c", "protocol.version=0", "fetch", "--quiet"]).expect("nothing new");
}

#[test]
fn faults_are_seen_by_the_client() {
    let server = HttpServer::start();
    library(&server.repository("library.git"));
    let folder = tempfile::tempdir().expect("a folder");
    let url = server.url("library.git");
    for (fault, seen) in [
        (Fault::Status(503), "503"),
        (Fault::Close, "Empty reply"),
        (Fault::Truncate(20), "transfer closed with outstanding read data remaining"),
        (Fault::Redirect("http://127.0.0.1:1/elsewhere".to_owned()), "127.0.0.1 port 1"),
    ] {
        server.fault(Some(fault.clone()));
        let error = git(folder.path(), &["ls-remote", &url]).expect_err("a fault");
        assert!(error.contains(seen), "{fault:?}: {error}");
    }

    server.fault(Some(Fault::Hang));
    let before = server.requests().len();
    let mut client = git::command(folder.path()).args(["ls-remote", &url]).spawn().expect("git");
    poll_until("the request arrives", Duration::from_secs(10), || (server.requests().len() > before).then_some(()));
    assert!(client.try_wait().expect("our child").is_none(), "it hangs");
    server.fault(None);
    assert!(!client.wait().expect("our child").success());
    assert!(git(folder.path(), &["ls-remote", &url]).expect("no fault").contains("refs/heads/main"));
}
