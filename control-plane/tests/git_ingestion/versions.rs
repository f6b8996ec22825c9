//! Which refs become which versions, and what a second sync does.

use cargoman_control_plane::git::protocol::{FailureCode, Kind, SkipCode};

use crate::repository::Repository;
use crate::run::{Place, answer};

#[test]
fn tags_and_branches_become_versions() {
    let mut repository = Repository::with_package("acme/pay");
    repository.tag("v1.0.0");
    repository.write("src/Pay.php", "<?php\n");
    let second = repository.commit("second");
    repository.git(&["tag", "-m", "annotated", "1.1.0"]);
    repository.tag("release-1.2.0-beta1");
    repository.git(&["branch", "1.x"]);
    repository.git(&["branch", "feature/odd#1"]);
    let place = Place::new();
    let answer = place.sync(&repository.url());

    assert_eq!(answer.head, Some(("acme/pay".into(), "main".into())));
    assert_eq!(
        answer.pretty(),
        ["1.1.0", "dev-main", "1.2.0-beta1", "v1.0.0", "1.x-dev", "dev-feature/odd+1"],
        "{answer:#?}"
    );
    assert!(answer.skipped.is_empty() && answer.finished);
    let annotated = answer.version("1.1.0");
    assert_eq!(annotated.commit, second);
    assert_ne!(annotated.oid, second);
    assert_eq!(annotated.tagged_at.as_deref(), Some("2023-11-14T22:15:20+00:00"));
    assert_eq!(
        (annotated.normalized.as_str(), annotated.stability.as_str(), annotated.kind),
        ("1.1.0.0", "stable", Kind::Tag)
    );
    assert_eq!(annotated.requires.iter().map(String::as_str).collect::<Vec<_>>(), ["acme/base"]);
    assert_eq!(annotated.metadata["version"], "1.1.0");
    assert_eq!(annotated.metadata["version_normalized"], "1.1.0.0");
    assert_eq!(annotated.metadata["time"], "2023-11-14T22:15:20+00:00");
    assert!(!annotated.metadata.contains_key("dist") && !annotated.metadata.contains_key("source"));
    let main = answer.version("dev-main");
    assert!(main.default_branch && main.metadata["default-branch"] == true);
    assert_eq!(main.dist, annotated.dist, "one commit, one archive");
    assert_eq!(answer.version("v1.0.0").dist.entries, 1);
    assert_eq!(answer.version("1.x-dev").normalized, "1.9999999.9999999.9999999-dev");
}

#[test]
fn odd_refs_are_skipped_with_their_reason() {
    let mut repository = Repository::with_package("acme/pay");
    repository.tag("1.0.0");
    repository.tag("v1.0.0");
    repository.tag("nightly");
    repository.tag("1.1.0-dev");
    repository.write("composer.json", r#"{"name":"other/name","version":"2.0.0"}"#);
    repository.commit("other name and version");
    repository.tag("2.0");
    repository.tag("2.1.0");
    repository.write("composer.json", r#"{"name":"Acme/Pay"}"#);
    repository.commit("a name that is none");
    repository.tag("2.2.0");
    repository.write("composer.json", "{broken");
    repository.commit("broken");
    repository.tag("3.0.0");
    repository.write("composer.json", format!(r#"{{"name":"acme/pay","description":"{}"}}"#, "x".repeat(2 << 20)));
    repository.commit("large");
    repository.tag("3.0.1");
    std::fs::remove_file(repository.path().join("composer.json")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", repository.path().join("composer.json")).unwrap();
    repository.commit("link");
    repository.tag("3.0.2");
    std::fs::remove_file(repository.path().join("composer.json")).unwrap();
    repository.commit("none");
    repository.tag("3.0.3");
    repository.git(&["tag", "3.0.4", "HEAD^{tree}"]);
    repository.write("composer.json", r#"{"name":"acme/pay"}"#);
    repository.commit("good again");
    let head = repository.git(&["rev-parse", "HEAD"]);
    // git itself refuses to make these.
    let packed = repository.path().join(".git/packed-refs");
    let mut lines = b"# pack-refs with: peeled fully-peeled sorted \n".to_vec();
    for name in [
        &b"refs/tags/4.0.0\x1b[31m"[..],
        b"refs/tags/4.0.1-\xff\xfe",
        b"refs/tags/4.0.2\xe2\x80\xae",
        b"refs/tags/../../x",
        b"refs/heads/-x",
        format!("refs/tags/{}", "5".repeat(300)).as_bytes(),
    ] {
        lines.extend_from_slice(head.as_bytes());
        lines.push(b' ');
        lines.extend_from_slice(name);
        lines.push(b'\n');
    }
    std::fs::write(packed, lines).unwrap();

    let place = Place::new();
    let request = place.request(&repository.url());
    let found = answer(&request);
    assert_eq!(found.pretty(), ["2.2.0", "dev-main", "2.0.0", "1.0.0"], "{found:#?}");
    assert!(
        found.versions.iter().all(|version| version.metadata["name"] == "acme/pay"),
        "every tag takes the bound name"
    );
    for (name, code, words) in [
        ("refs/tags/v1.0.0", SkipCode::Duplicate, "`1.0.0` already gives version 1.0.0.0"),
        ("refs/tags/nightly", SkipCode::NotAVersion, "nightly"),
        ("refs/tags/1.1.0-dev", SkipCode::NotAVersion, "dev"),
        ("refs/tags/2.1.0", SkipCode::VersionMismatch, "2.0.0"),
        ("refs/tags/3.0.0", SkipCode::BadManifest, "composer.json"),
        ("refs/tags/3.0.1", SkipCode::BadManifest, "larger than 1024 KiB"),
        ("refs/tags/3.0.2", SkipCode::BadManifest, "not a regular file"),
        ("refs/tags/3.0.3", SkipCode::NoManifest, "no composer.json"),
        ("refs/tags/3.0.4", SkipCode::NotACommit, "a tree"),
        ("refs/tags/4.0.0\\u{1b}[31m", SkipCode::RefName, "cannot be seen"),
        ("refs/tags/4.0.1-\\xff\\xfe", SkipCode::RefName, "not UTF-8"),
        ("refs/tags/4.0.2\\u{202e}", SkipCode::RefName, "cannot be seen"),
        ("refs/tags/../../x", SkipCode::RefName, "git's rules"),
        ("refs/heads/-x", SkipCode::RefName, "`-`"),
    ] {
        let skipped = found.skipped(name);
        assert_eq!(skipped.code, code, "{skipped:?}");
        assert!(skipped.reason.contains(words), "{skipped:?}");
    }
    assert_eq!(
        found.skipped("refs/tags/4.0.1-\\xff\\xfe").name_hex.as_deref(),
        Some("726566732f746167732f342e302e312dfffe")
    );
    assert!(
        found.skipped.iter().any(|skipped| skipped.name.ends_with('…') && skipped.reason.contains("255")),
        "{found:#?}"
    );
    assert!(!found.refs.iter().any(|entry| entry.name.contains("4.0.")), "{:?}", found.refs);
    assert!(found.finished);
}

#[test]
fn a_second_sync_does_only_what_is_new() {
    let mut repository = Repository::with_package("acme/pay");
    repository.tag("1.0.0");
    repository.tag("v1.0.0");
    repository.tag("nope");
    let place = Place::new();
    let request = place.request(&repository.url());
    let first = answer(&request);
    assert_eq!(first.pretty(), ["1.0.0", "dev-main"]);

    let second = answer(&first.next(&request));
    assert!(second.unchanged && second.head.is_none() && second.versions.is_empty(), "{second:#?}");

    repository.write("README.md", "x");
    repository.commit("more");
    repository.tag("1.1.0");
    let third = answer(&first.next(&request));
    assert_eq!(third.pretty(), ["1.1.0", "dev-main"]);
    assert_eq!(
        third.skipped.iter().map(|skipped| skipped.name.as_str()).collect::<Vec<_>>(),
        ["refs/tags/v1.0.0"],
        "only what may pass is looked at again"
    );
    assert_eq!(third.refs.len(), 5);

    // The winner goes: the one that lost is considered anew.
    repository.git(&["tag", "-d", "1.0.0"]);
    let mut next = third.next(&first.next(&request));
    next.known.extend(
        first.next(&request).known.into_iter().filter(|(name, _)| !next.known.contains_key(name)).collect::<Vec<_>>(),
    );
    let fourth = answer(&next);
    assert_eq!(fourth.pretty(), ["v1.0.0"]);
}

/// The first published stays, even when it moves and the newcomer comes earlier in byte order.
#[test]
fn a_published_tag_keeps_its_version() {
    let mut repository = Repository::with_package("acme/pay");
    repository.tag("v1.0.0");
    let place = Place::new();
    let request = place.request(&repository.url());
    let first = answer(&request);
    repository.write("x", "x");
    repository.commit("more");
    repository.tag("1.0.0");
    repository.git(&["tag", "-f", "v1.0.0"]);
    let second = answer(&first.next(&request));
    assert_eq!(second.skipped("refs/tags/1.0.0").code, SkipCode::Duplicate);
    assert_eq!(second.version("v1.0.0").name, "refs/tags/v1.0.0", "the parent is told that it moved");
}

#[test]
fn another_default_branch_is_told() {
    let repository = Repository::with_package("acme/pay");
    repository.git(&["branch", "2.x"]);
    let place = Place::new();
    let request = place.request(&repository.url());
    let first = answer(&request);
    repository.git(&["symbolic-ref", "HEAD", "refs/heads/2.x"]);
    let second = answer(&first.next(&request));
    assert_eq!(second.head, Some(("acme/pay".into(), "2.x".into())));
    assert_eq!(second.pretty(), ["2.x-dev", "dev-main"]);
    assert!(second.version("2.x-dev").default_branch && !second.version("dev-main").default_branch);
}

#[test]
fn the_bound_name_holds() {
    let mut repository = Repository::with_package("acme/pay");
    repository.tag("1.0.0");
    let place = Place::new();
    let mut request = place.request(&repository.url());
    request.bound_name = Some("acme/other".into());
    let refused = answer(&request);
    assert_eq!(refused.failure().code, FailureCode::Name);
    assert!(refused.failure().message.contains("acme/pay") && refused.failure().message.contains("acme/other"));
    assert!(refused.versions.is_empty() && refused.head.is_none());

    // A default branch that cannot be read any more costs only its own version.
    request.bound_name = Some("acme/pay".into());
    repository.write("composer.json", "{broken");
    repository.commit("broken");
    let kept = answer(&request);
    assert_eq!(kept.pretty(), ["1.0.0"]);
    assert_eq!(kept.skipped("refs/heads/main").code, SkipCode::BadManifest);
}

/// G-R6.
#[test]
fn dates_are_believable() {
    let repository = Repository::with_package("acme/pay");
    let tree = repository.git(&["rev-parse", "HEAD^{tree}"]);
    for (tag, date) in [("1.0.0", "-5 +0000"), ("2.0.0", "253402300799 +0000"), ("3.0.0", "99999999999999999999 -0000")]
    {
        let raw = format!("tree {tree}\nauthor A <a@x> {date}\ncommitter A <a@x> {date}\n\nx\n");
        let commit =
            repository.git_with(&["hash-object", "-t", "commit", "-w", "--stdin", "--literally"], raw.as_bytes());
        repository.write(&format!(".git/refs/tags/{tag}"), format!("{commit}\n"));
    }
    let answer = Place::new().sync(&repository.url());
    assert_eq!(answer.version("1.0.0").time, "1970-01-01T00:00:00+00:00");
    assert_eq!(answer.version("3.0.0").time, "1970-01-01T00:00:00+00:00");
    let future: String = answer.version("2.0.0").time.chars().take(3).collect();
    assert_eq!(future, "202", "{:?}", answer.version("2.0.0").time);
}

/// G-R5.
#[test]
fn tags_of_tags() {
    let repository = Repository::with_package("acme/pay");
    let mut target = repository.git(&["rev-parse", "HEAD"]);
    for depth in 1..=12 {
        let kind = if depth == 1 { "commit" } else { "tag" };
        let raw = format!("object {target}\ntype {kind}\ntag t{depth}\ntagger A <a@x> 1700000{depth:03} +0000\n\nx\n");
        target = repository.git_with(&["hash-object", "-t", "tag", "-w", "--stdin"], raw.as_bytes());
        repository.git(&["update-ref", &format!("refs/tags/1.{depth}.0"), &target]);
    }
    let place = Place::new();
    let answer = place.sync(&repository.url());
    assert_eq!(answer.version("1.9.0").tagged_at.as_deref(), Some("2023-11-14T22:13:29+00:00"), "the outermost tag's");
    assert_eq!(answer.versions.len(), 10, "nine tags and main: {:?}", answer.pretty());
    assert_eq!(answer.skipped("refs/tags/1.12.0").code, SkipCode::NotACommit);
}
