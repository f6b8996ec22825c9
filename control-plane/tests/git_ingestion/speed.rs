//! How long a package with a long history takes. Not a benchmark: a bound that catches work done once per tag instead of once.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::repository::Repository;
use crate::run::{Place, answer};

const TAGS: usize = 600;
const FILES: usize = 300;

/// 600 releases of 300 files, five of which change from one to the next.
fn long_history(repository: &Repository) {
    let mut stream = String::new();
    for tag in 0..TAGS {
        let date = 1_600_000_000 + tag * 60;
        writeln!(stream, "commit refs/heads/main\nmark :{}\ncommitter C <c@x> {date} +0000\ndata 1\nx", tag + 1)
            .unwrap();
        if tag > 0 {
            writeln!(stream, "from :{tag}").unwrap();
        }
        for file in 0..FILES {
            if tag > 0 && file % (FILES / 5) != tag % (FILES / 5) {
                continue;
            }
            let content = format!(
                "<?php\n// file {file} of release {tag}\n{}",
                "return strtoupper($value) . trim($other);\n".repeat(20 + file % 50)
            );
            writeln!(stream, "M 100644 inline src/d{}/f{file}.php\ndata {}\n{content}", file % 12, content.len())
                .unwrap();
        }
        let manifest = format!(r#"{{"name":"acme/long","description":"release {tag}"}}"#);
        writeln!(stream, "M 100644 inline composer.json\ndata {}\n{manifest}", manifest.len()).unwrap();
        writeln!(stream, "M 100644 inline .gitattributes\ndata 21\n/tests export-ignore\n").unwrap();
        writeln!(stream, "reset refs/tags/v{}.{}.0\nfrom :{}\n", tag / 50, tag % 50, tag + 1).unwrap();
    }
    repository.git_with(&["fast-import", "--quiet"], stream.as_bytes());
}

#[test]
fn six_hundred_tags() {
    let repository = Repository::new();
    long_history(&repository);
    let place = Place::new();
    let request = place.request(&repository.url());
    let start = Instant::now();
    let first = answer(&request);
    let taken = start.elapsed();
    assert_eq!(first.versions.len(), TAGS + 1, "{:?}", first.skipped);
    assert_eq!(first.versions[0].pretty, "v11.49.0");
    println!("first sync of {TAGS} tags, {FILES} files: {taken:?}");

    let start = Instant::now();
    assert!(answer(&first.next(&request)).unchanged);
    let unchanged = start.elapsed();
    println!("unchanged: {unchanged:?}");

    repository.git(&["tag", "v99.0.0", "main"]);
    let start = Instant::now();
    assert_eq!(answer(&first.next(&request)).pretty(), ["v99.0.0"]);
    let one_more = start.elapsed();
    println!("one more tag: {one_more:?}");

    // Generous, for machines that do other work: per-tag work done anew would be far beyond.
    assert!(taken < Duration::from_secs(60) && unchanged < Duration::from_secs(1) && one_more < Duration::from_secs(5));
}
