//! Dists of random trees as others unpack them: Python's zipfile, PHP's ZipArchive and Info-ZIP find the same in them; and they are the
//! same bytes whatever the machine is set to.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use cargoman_control_plane::git::protocol::{Event, Request};

use crate::contents::{bytes, of_zips};
use crate::repository::Repository;
use crate::run::{Place, collect};
use crate::trees::{Random, commit_trees, random_tree};

/// Path → content; folders end in a slash, the content of a link is its target.
type Found = BTreeMap<String, Vec<u8>>;

fn trees(count: u64) -> (Repository, Vec<String>) {
    let repository = Repository::with_package("acme/random");
    let contents: Vec<_> = (0..count).map(|seed| random_tree(&mut Random::new(seed))).collect();
    commit_trees(&repository, &contents);
    (repository, (0..count).map(|seed| format!("1.{seed}.0")).collect())
}

#[test]
fn three_extractors_agree() {
    let full = std::env::var_os("CARGOMAN_TEST_FULL").is_some();
    let (repository, tags) = trees(if full { 2000 } else { 40 });
    let place = Place::new();
    let answer = place.sync(&repository.url());
    let zips: Vec<&Path> = tags.iter().map(|tag| answer.version(tag).dist.path.as_path()).collect();
    let python = of_zips(&zips);
    let php = by_php(&zips);
    assert_eq!((python.len(), php.len()), (zips.len(), zips.len()));
    for (at, zip) in zips.iter().enumerate() {
        let python: Found = python[at].iter().map(|(path, (_, content))| (path.clone(), content.clone())).collect();
        assert_eq!(python, php[at], "PHP, seed {at}");
        // Info-ZIP calls an archive without entries a failure.
        if !python.is_empty() {
            assert_eq!(python, by_info_zip(zip), "Info-ZIP, seed {at}");
        }
    }
}

/// What Composer unpacks with where there is no `unzip`.
fn by_php(zips: &[&Path]) -> Vec<Found> {
    const SCRIPT: &str = r#"
        foreach (array_slice($argv, 1) as $path) {
            $zip = new ZipArchive();
            if ($zip->open($path, ZipArchive::CHECKCONS) !== true) { fwrite(STDERR, $path); exit(1); }
            for ($at = 0; $at < $zip->numFiles; $at++) {
                $name = $zip->getNameIndex($at, ZipArchive::FL_ENC_RAW);
                echo bin2hex($name), ' ', bin2hex($zip->getFromIndex($at)) ?: '-', "\n";
            }
            echo "end\n";
        }
    "#;
    let output = Command::new("php").args(["-r", SCRIPT, "--"]).args(zips).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut all, mut current) = (Vec::new(), Found::new());
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        match line.split_once(' ') {
            Some((path, content)) => drop(current.insert(String::from_utf8(bytes(path)).unwrap(), bytes(content))),
            None => all.push(std::mem::take(&mut current)),
        }
    }
    all
}

fn by_info_zip(zip: &Path) -> Found {
    let folder = tempfile::tempdir().unwrap();
    let mut unzip = Command::new("unzip");
    let done = unzip.env("LC_ALL", "C.UTF-8").arg("-qq").arg(zip).arg("-d").arg(folder.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut found = Found::new();
    walk(folder.path(), "", &mut found);
    found
}

fn walk(folder: &Path, prefix: &str, found: &mut Found) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            let path = format!("{path}/");
            found.insert(path.clone(), Vec::new());
            walk(&entry.path(), &path, found);
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).unwrap();
            found.insert(path, target.into_os_string().into_encoded_bytes());
        } else {
            found.insert(path, std::fs::read(entry.path()).unwrap());
        }
    }
}

/// The bytes of a dist are part of locks: neither zone, language nor company may change them.
#[test]
fn the_same_bytes_on_every_machine() {
    let (repository, tags) = trees(60);
    let places: Vec<Place> = (0..4).map(|_| Place::new()).collect();
    let settings: [&[(&str, &str)]; 3] = [
        &[("TZ", "Asia/Kathmandu"), ("LC_ALL", "tr_TR.UTF-8"), ("SOURCE_DATE_EPOCH", "1")],
        &[("TZ", "America/St_Johns"), ("LC_ALL", "C"), ("HOME", "/nonexistent")],
        &[("TZ", "Pacific/Kiritimati"), ("LANG", "ja_JP.UTF-8")],
    ];
    let requests: Vec<Request> = places.iter().map(|place| place.request(&repository.url())).collect();
    let digests =
        |answer: crate::run::Answer| tags.iter().map(|tag| answer.version(tag).dist.sha256.clone()).collect::<Vec<_>>();
    let plain = digests(crate::run::answer(&requests[3]));
    // All at once, so that none has the processors to itself.
    std::thread::scope(|scope| {
        let running: Vec<_> = settings
            .iter()
            .zip(&requests)
            .map(|(variables, request)| scope.spawn(move || (variables, worker(request, variables))))
            .collect();
        for one in running {
            let (variables, answer) = one.join().unwrap();
            assert_eq!(digests(answer), plain, "{variables:?}");
        }
    });
}

/// The worker as a program in an environment.
fn worker(request: &Request, variables: &[(&str, &str)]) -> crate::run::Answer {
    let mut child = Command::new(env!("CARGO_BIN_EXE_git-worker"))
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&serde_json::to_vec(request).unwrap()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap().stdout;
    let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    collect(lines.map(|line| serde_json::from_slice::<Event>(line).unwrap()))
}
