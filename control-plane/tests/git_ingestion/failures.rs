//! Repositories that cannot be read, wholly or in part: each says clearly why, and takes nothing else down.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cargoman_control_plane::git::protocol::{FailureCode, SkipCode};

use crate::repository::{Repository, git};
use crate::run::{Answer, Place, answer};
use crate::server::Server;

fn failing(prepare: impl FnOnce(&mut Repository)) -> Answer {
    let mut repository = Repository::new();
    prepare(&mut repository);
    Place::new().sync(&repository.url())
}

#[test]
fn each_says_what_is_wrong() {
    type Prepare = Box<dyn FnOnce(&mut Repository)>;
    let manifest = |content: &'static str| -> Prepare {
        Box::new(move |repository| {
            repository.write("composer.json", content);
            repository.commit("x");
            repository.tag("1.0.0");
        })
    };
    let cases: Vec<(Prepare, FailureCode, &str)> = vec![
        (Box::new(|_| ()), FailureCode::Empty, "no branches and no tags"),
        (
            Box::new(|repository| {
                repository.write("README.md", "x");
                repository.commit("x");
            }),
            FailureCode::NoManifest,
            "no composer.json",
        ),
        (manifest("{broken"), FailureCode::BadManifest, "`main`"),
        (manifest("[]"), FailureCode::BadManifest, "object"),
        (manifest("{}"), FailureCode::BadManifest, "empty object"),
        (manifest(r#"{"type":"library"}"#), FailureCode::Name, "no `name`"),
        (manifest(r#"{"name":"Acme/Pay"}"#), FailureCode::Name, "acme/pay"),
        (manifest(r#"{"name":"nonsense"}"#), FailureCode::Name, "vendor/name"),
        (manifest(r#"{"name":"acme/pay","require":{"acme/x":5}}"#), FailureCode::BadManifest, "require"),
        (
            Box::new(|repository| {
                repository.write(
                    "composer.json",
                    format!(r#"{{"name":"acme/pay","description":"{}"}}"#, "x".repeat(2 << 20)),
                );
                repository.commit("x");
            }),
            FailureCode::BadManifest,
            "larger than 1024 KiB",
        ),
        (
            Box::new(|repository| {
                repository.write("composer.json", r#"{"name":"acme/pay"}"#);
                repository.commit("x");
                repository.git(&["symbolic-ref", "HEAD", "refs/heads/gone"]);
            }),
            FailureCode::NoDefaultBranch,
            "refs/heads/gone",
        ),
        (
            Box::new(|repository| {
                repository.write("composer.json", r#"{"name":"acme/pay"}"#);
                repository.commit("x");
                fs::write(repository.path().join(".git/shallow"), "").unwrap();
            }),
            FailureCode::Unsupported,
            "shallow",
        ),
        (
            Box::new(|repository| {
                fs::remove_dir_all(repository.path().join(".git")).unwrap();
                repository.git(&["init", "--quiet", "--initial-branch=main", "--object-format=sha256"]);
                repository.write("composer.json", r#"{"name":"acme/pay"}"#);
                repository.commit("x");
            }),
            FailureCode::Unsupported,
            "SHA-256",
        ),
        (
            Box::new(|repository| {
                fs::remove_dir_all(repository.path().join(".git")).unwrap();
                repository.git(&["init", "--quiet", "--initial-branch=main", "--ref-format=reftable"]);
            }),
            FailureCode::Unsupported,
            "reftable",
        ),
        (
            Box::new(|repository| fs::remove_dir_all(repository.path().join(".git")).unwrap()),
            FailureCode::NotFound,
            "no git repository",
        ),
    ];
    for (prepare, code, words) in cases {
        let answer = failing(prepare);
        let failure = answer.failure();
        assert_eq!(failure.code, code, "{words}: {failure:?}");
        assert!(failure.message.contains(words), "{words}: {failure:?}");
        assert!(!failure.remedy.is_empty() && answer.versions.is_empty() && answer.head.is_none(), "{answer:?}");
    }
}

#[test]
fn addresses_are_checked_by_the_worker_too() {
    let repository = Repository::with_package("acme/pay");
    let place = Place::new();
    for (url, local, code, words) in [
        (repository.url(), false, FailureCode::RepositoryUrl, "not allowed here"),
        ("git@git.example.com:a/b.git".into(), false, FailureCode::Authentication, "needs a key"),
        ("https://user:hunter2@git.example.com/a".into(), false, FailureCode::RepositoryUrl, "user name or password"),
        ("https://127.0.0.1/a".into(), true, FailureCode::RepositoryUrl, "may not be reached"),
        ("ext::sh -c id".into(), true, FailureCode::RepositoryUrl, "repository_url: "),
    ] {
        let mut request = place.request(&url);
        request.network.allow_local = local;
        let refused = answer(&request);
        assert_eq!(refused.failure().code, code, "{refused:?}");
        assert!(
            refused.failure().message.contains(words) && !format!("{refused:?}").contains("hunter2"),
            "{refused:?}"
        );
    }
    let mut request = place.request(&repository.url());
    request.mirror = "relative".into();
    assert_eq!(answer(&request).failure().code, FailureCode::Request);
}

/// One object less costs the versions that need it, and no other.
#[test]
fn a_missing_or_broken_object_costs_only_its_versions() {
    let mut repository = Repository::with_package("acme/pay");
    repository.tag("1.0.0");
    repository.write("only-here", "the content that will be missing");
    repository.commit("second");
    repository.tag("1.1.0");
    repository.write("only-here", "the content that will be broken");
    repository.commit("third");
    repository.tag("1.2.0");
    fs::remove_file(repository.path().join("only-here")).unwrap();
    repository.write("composer.json", r#"{"name":"acme/pay","description":"manifest that will be missing"}"#);
    repository.commit("fourth");
    repository.tag("1.3.0");
    repository.write("composer.json", r#"{"name":"acme/pay","description":"fine"}"#);
    repository.commit("fifth");
    repository.tag("1.4.0");
    repository.git(&["tag", "1.5.0", "HEAD~3"]);
    let object = |what: &str| {
        let oid = repository.git(&["rev-parse", what]);
        repository.path().join(".git/objects").join(&oid[..2]).join(&oid[2..])
    };
    fs::remove_file(object("1.1.0:only-here")).unwrap();
    fs::remove_file(object("1.3.0:composer.json")).unwrap();
    let broken = object("1.2.0:only-here");
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&broken, "nonsense").unwrap();
    let place = Place::new();
    let request = place.request(&repository.url());
    let found = answer(&request);
    assert!(found.finished, "{found:#?}");
    assert_eq!(found.pretty(), ["dev-main", "1.4.0", "1.0.0"], "{found:#?}");
    for name in ["refs/tags/1.1.0", "refs/tags/1.2.0", "refs/tags/1.3.0", "refs/tags/1.5.0"] {
        let skipped = found.skipped(name);
        assert_eq!(skipped.code, SkipCode::UnreadableObject, "{skipped:?}");
        assert!(skipped.reason.contains("cannot be read"), "{skipped:?}");
    }

    // Repaired: the next look finds what was missing, though the refs are the same.
    repository.git_with(&["hash-object", "-w", "--stdin"], b"the content that will be missing");
    assert_eq!(answer(&found.next(&request)).pretty(), ["1.5.0", "1.1.0"]);

    // The default branch's own commit is one that everything hangs on, while no name is bound.
    fs::remove_file(object("main")).unwrap();
    let gone = Place::new().sync(&repository.url());
    assert_eq!(gone.failure().code, FailureCode::UnreadableObject, "{gone:?}");
}

/// What the machine refuses leaves no new object behind, says so, and stops no later sync; neither way in.
#[test]
fn a_failed_machine_gives_the_space_back() {
    let mut repository = Repository::with_package("acme/pay");
    repository.write("large", "x".repeat(1 << 20));
    let head = repository.commit("second");
    let server = Server::start(repository.folder.path());
    for (url, blocked) in [(repository.url(), &head[..2]), (server.url("work/.git"), "pack")] {
        let place = Place::new();
        let mirror = place.folder.path().join("mirror.git");
        // A file where a folder must be: most is copied, or received, before it is in the way.
        let in_the_way = mirror.join("objects").join(blocked);
        fs::create_dir_all(in_the_way.parent().unwrap()).unwrap();
        fs::write(&in_the_way, "").unwrap();
        let failed = place.sync(&url);
        assert_eq!(failed.failure().code, FailureCode::Machine, "{url}: {failed:?}");
        assert!(failed.failure().remedy.contains("sync it again once"), "{failed:?}");
        let left = files(&mirror);
        assert!(left.iter().all(|file| !file.contains("objects/") || file.ends_with(blocked)), "{url}: {left:?}");
        assert!(!left.iter().any(|file| file.contains("incoming") || file.contains("partial")), "{url}: {left:?}");

        fs::remove_file(&in_the_way).unwrap();
        assert_eq!(place.sync(&url).pretty(), ["dev-main"], "{url}");
        git(&mirror, &["fsck", "--full", "--strict"], b"", 0);
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path.to_str().unwrap().to_owned()] })
        .collect()
}

/// A failed sync leaves what an earlier one has made: mirror and dists.
#[test]
fn a_failure_destroys_nothing() {
    let repository = Repository::with_package("acme/pay");
    repository.tag("1.0.0");
    let place = Place::new();
    let request = place.request(&repository.url());
    let first = answer(&request);
    fs::rename(repository.path(), repository.folder.path().join("moved")).unwrap();
    assert_eq!(answer(&request).failure().code, FailureCode::NotFound);
    let dist = &first.version("1.0.0").dist;
    assert_eq!(fs::metadata(&dist.path).unwrap().len(), dist.size);
    git(&place.folder.path().join("mirror.git"), &["fsck", "--full", "--strict"], b"", 0);
}
