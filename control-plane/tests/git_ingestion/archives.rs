//! Dists against `git archive` on random trees, and the format itself against other programs that read zips.

use std::path::Path;
use std::process::Command;

use cargoman_control_plane::git::protocol::SkipCode;

use crate::contents::{Contents, bytes, of_git_archive, of_zips};
use crate::repository::Repository;
use crate::run::{Place, answer};
use crate::trees::{Random, Tree, commit_trees, random_tree};

#[test]
fn the_same_entries_as_git_archive() {
    let full = std::env::var_os("CARGOMAN_TEST_FULL").is_some();
    let trees = if full { 2000 } else { 60 };
    let repository = Repository::with_package("acme/random");
    let contents: Vec<_> = (0..trees).map(|seed| random_tree(&mut Random::new(seed))).collect();
    commit_trees(&repository, &contents);
    let place = Place::new();
    let answer = place.sync(&repository.url());
    assert_eq!(answer.skipped, [], "every tree is acceptable");
    let tags: Vec<String> = (0..trees).map(|seed| format!("1.{seed}.0")).collect();
    let zips: Vec<&Path> = tags.iter().map(|tag| answer.version(tag).dist.path.as_path()).collect();
    let mut ignored = 0;
    let both = of_zips(&zips).into_iter().zip(of_git_archive(&repository, &tags));
    for (seed, (mut ours, mut theirs)) in both.enumerate() {
        for (path, (mode, content)) in &contents[seed] {
            ignored += usize::from(!theirs.contains_key(path) && *mode != "160000");
            // Contents are compared with what was committed: expanding $Format:…$ is what we leave out on purpose.
            if let Some(entry) = theirs.get_mut(path) {
                entry.1.clone_from(content);
            }
        }
        for entry in theirs.values_mut().chain(ours.values_mut()).filter(|entry| entry.0 & 0o170_000 == 0o120_000) {
            entry.0 = 0o120_777;
        }
        let shown =
            |entries: &Contents| entries.iter().map(|(path, (mode, _))| format!("{mode:o} {path}")).collect::<Vec<_>>();
        assert_eq!(shown(&ours), shown(&theirs), "seed {seed}\n{}", attributes(&contents[seed]));
        assert!(ours == theirs, "seed {seed}: contents differ");
    }
    assert!(ignored > trees as usize, "the trees test the attribute at all: {ignored} left out");
    println!("{trees} trees, {ignored} entries left out by attributes");
}

fn attributes(tree: &Tree) -> String {
    tree.iter()
        .filter(|(path, (mode, _))| path.ends_with(".gitattributes") && *mode == "100644")
        .map(|(path, (_, content))| format!("--- {path}\n{}", String::from_utf8_lossy(content)))
        .collect()
}

#[test]
fn the_same_bytes_every_time_and_readable_by_others() {
    let mut repository = Repository::with_package("acme/pay");
    repository.write("bin/run", "#!/bin/sh\necho hello\n");
    repository.write("src/Größe.php", "<?php // text that packs well, text that packs well, text that packs well\n");
    repository.write("empty", "");
    repository.git(&["add", "--all"]);
    repository.git(&["update-index", "--chmod=+x", "bin/run"]);
    std::os::unix::fs::symlink("../src", repository.path().join("bin/link")).unwrap();
    std::fs::write(repository.path().join(".git/info/exclude"), "").unwrap();
    repository.git(&["config", "core.fileMode", "false"]);
    repository.commit("all kinds");
    repository.tag("1.0.0");
    let (first, second) = (Place::new().sync(&repository.url()), Place::new().sync(&repository.url()));
    let (a, b) = (&first.version("1.0.0").dist, &second.version("1.0.0").dist);
    assert_eq!((&a.sha256, &a.sha1, a.size), (&b.sha256, &b.sha1, b.size));

    // The stored bytes of all published versions hang on this: a change here is a change for every customer.
    let place = Place::new();
    let found = answer(&place.request(&repository.url()));
    let dist = &found.version("1.0.0").dist;
    assert_eq!(dist.sha256, "38643bd57f71bf81858b953fa6025fbf23090abd0363a59ea9390f43cc2d3654");
    let bytes = std::fs::read(&dist.path).unwrap();
    assert_eq!(bytes.len() as u64, dist.size);
    assert_eq!(dist.path.file_name().unwrap().to_str().unwrap(), format!("{}.zip", dist.sha256));
    let left: Vec<_> = std::fs::read_dir(place.folder.path().join("output"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 1, "nothing but the dist is left: {left:?}");

    let digest =
        |program: &str| String::from_utf8(Command::new(program).arg(&dist.path).output().unwrap().stdout).unwrap();
    assert!(digest("sha256sum").starts_with(&dist.sha256) && digest("sha1sum").starts_with(&dist.sha1));
    let unzip = Command::new("unzip").arg("-tq").arg(&dist.path).output().unwrap();
    assert!(unzip.status.success(), "{unzip:?}");

    // Composer's way of unpacking keeps links and the executable bit.
    let target = place.folder.path().join("unpacked");
    assert!(Command::new("unzip").arg("-qq").arg(&dist.path).arg("-d").arg(&target).status().unwrap().success());
    assert_eq!(std::fs::read_link(target.join("bin/link")).unwrap(), Path::new("../src"));
    let mode = |path: &str| {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(target.join(path)).unwrap().permissions()) & 0o777
    };
    assert_eq!((mode("bin/run"), mode("empty"), mode("bin")), (0o755, 0o644, 0o755));
    assert!(target.join("src/Größe.php").is_file());
}

#[test]
fn dangerous_and_oversized_trees_are_refused() {
    let repository = Repository::with_package("acme/pay");
    let composer = repository.git_with(&["hash-object", "-w", "--stdin"], br#"{"name":"acme/pay"}"#);
    let id = bytes(&composer);
    let tag = |number: usize, entries: &[(&str, &[u8])]| {
        let mut raw = Vec::new();
        for (mode, name) in entries {
            raw.extend_from_slice(format!("{mode} ").as_bytes());
            raw.extend_from_slice(name);
            raw.push(0);
            raw.extend_from_slice(&id);
        }
        let tree = repository.git_with(&["hash-object", "-t", "tree", "-w", "--stdin", "--literally"], &raw);
        let commit = repository.git(&["commit-tree", &tree, "-m", "x"]);
        repository.write(&format!(".git/refs/tags/1.{number}.0"), format!("{commit}\n"));
    };
    let bad: [&[(&str, &[u8])]; 13] = [
        &[("100644", b".."), ("100644", b"composer.json")],
        &[("100644", b"."), ("100644", b"composer.json")],
        &[("100644", b".git"), ("100644", b"composer.json")],
        &[("100644", b".GIT"), ("100644", b"composer.json")],
        &[("100644", b"/abs"), ("100644", b"composer.json")],
        &[("100644", b"a\\..\\b"), ("100644", b"composer.json")],
        &[("100644", b"a/b"), ("100644", b"composer.json")],
        &[("100644", b"C:x"), ("100644", b"composer.json")],
        &[("100644", b"composer.json"), ("100644", b"\xff\xfe")],
        &[("100644", b"composer.json"), ("100644", b"git~1")],
        &[("100644", b"composer.json"), ("100644", b"composer.json")],
        &[("100644", b"b"), ("100644", b"a"), ("100644", b"composer.json")],
        &[("000000", b"a"), ("100644", b"composer.json")],
    ];
    for (number, entries) in bad.iter().enumerate() {
        tag(number, entries);
    }
    let good: &[(&str, &[u8])] = &[("100664", b"a"), ("104755", b"b"), ("100644", b"composer.json")];
    tag(bad.len(), good);
    let place = Place::new();
    let answer = place.sync(&repository.url());
    for number in 0..bad.len() {
        let skipped = answer.skipped(&format!("refs/tags/1.{number}.0"));
        assert_eq!(skipped.code, SkipCode::Archive, "{skipped:?}");
    }
    assert_eq!(answer.pretty(), [format!("1.{}.0", bad.len()), "dev-main".to_owned()]);
    let modes: Vec<u32> = of_zips(&[&answer.versions[0].dist.path])[0].values().map(|(mode, _)| *mode).collect();
    assert_eq!(modes, [0o100_644, 0o100_755, 0o100_644]);
}

/// Z-8.
#[test]
fn limits_of_size() {
    let mut repository = Repository::with_package("acme/pay");
    repository.tag("1.0.0");
    repository.write("zeros", vec![0u8; 60 << 20]);
    repository.commit("a bomb");
    repository.tag("1.1.0");
    std::fs::remove_file(repository.path().join("zeros")).unwrap();
    for index in 0..30 {
        repository.write(&format!("f/{index}"), "x");
    }
    repository.commit("many");
    repository.tag("1.2.0");
    let place = Place::new();
    let mut request = place.request(&repository.url());
    request.limits.archive_entries = 20;
    let found = answer(&request);
    assert_eq!(found.pretty(), ["1.0.0"]);
    for (name, words) in [
        ("refs/tags/1.1.0", "zip bomb"),
        ("refs/tags/1.2.0", "more than 20 entries"),
        ("refs/heads/main", "more than 20 entries"),
    ] {
        assert!(found.skipped(name).reason.contains(words), "{:?}", found.skipped(name));
    }
    request.limits.archive_bytes = 50 << 20;
    assert!(answer(&request).skipped("refs/tags/1.1.0").reason.contains("more than 50 MiB"));
}
