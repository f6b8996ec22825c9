//! Random trees with random `.gitattributes`, the same for the same seed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::repository::Repository;

/// What a commit holds, by path: mode and content.
pub(crate) type Tree = BTreeMap<String, (&'static str, Vec<u8>)>;

/// A small generator of our own: the same trees for the same seed, for ever.
pub(crate) struct Random(u64);

impl Random {
    /// Neighbouring seeds must not give similar beginnings.
    pub(crate) fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const NAMES: &[&str] = &[
    "a",
    "b",
    "src",
    "tests",
    "docs",
    "x.md",
    "README.md",
    "a.b",
    "a0",
    "Tests",
    "größe",
    "sp ace",
    "[x]",
    "deep",
    "y.php",
    "!neg",
    "#hash",
    "a*b",
];

fn random_path(random: &mut Random) -> String {
    let depth = 1 + random.below(4);
    (0..depth).map(|_| random.pick(NAMES)).collect::<Vec<_>>().join("/")
}

fn random_pattern(random: &mut Random, paths: &[String]) -> String {
    const FIXED: &[&str] = &[
        "*.md",
        "*",
        "**",
        "/tests",
        "tests/",
        "/docs/**",
        "**/b",
        "a/**/b",
        "src/*",
        "?",
        "[ab]",
        "[!a]*",
        "*.{md,php}",
        "\\!neg",
        "!neg",
        "#hash",
        "\\#hash",
        "\"sp ace\"",
        "sp ace",
        "\"gr\\303\\266\\303\\237e\"",
        "größe",
        "a*b",
        "a\\*b",
        "\\[x\\]",
        "[x]",
        "/",
        "./a",
        "a/",
        "/a/",
        "**/",
        "/**",
        "a/b/",
        "deep/**/x.md",
        ".gitattributes",
        "composer.json",
        "a//b",
    ];
    // Mostly patterns that have a chance: made from a path that is there, as seen from some folder above it.
    let path = &paths[random.below(paths.len())];
    let parts: Vec<&str> = path.split('/').collect();
    let from = random.below(parts.len());
    let to = from + 1 + random.below(parts.len() - from);
    let middle = parts[from..to].join("/");
    match random.below(9) {
        0 => path.clone(),
        1 => format!("/{middle}"),
        2 => format!("{middle}/"),
        3 => format!("{middle}/**"),
        4 => format!("**/{middle}"),
        5 | 6 => parts[from].to_owned(),
        7 => format!("{}*", parts[from].chars().next().unwrap_or('x')),
        _ => random.pick(FIXED).to_owned(),
    }
}

fn random_attributes(random: &mut Random, paths: &[String]) -> String {
    const STATES: &[&str] = &[
        "export-ignore",
        "export-ignore",
        "export-ignore",
        "export-ignore",
        "export-ignore",
        "-export-ignore",
        "!export-ignore",
        "export-ignore=true",
        "export-ignore=",
        "gone",
        "-gone",
        "!gone",
        "gone=x",
        "outer",
        "text",
        "binary",
        "text export-ignore",
        "export-ignore -text",
        "gone -export-ignore",
        "-export-ignore gone",
        "bad!name export-ignore",
        "builtin_x export-ignore",
        "",
        "export-subst",
    ];
    const MACROS: &[&str] = &[
        "[attr]gone export-ignore",
        "[attr]gone -export-ignore",
        "[attr]outer gone text",
        "[attr]gone !export-ignore",
        "[attr]binary export-ignore",
        "[attr]export-ignore gone",
    ];
    let mut text = String::new();
    for _ in 0..=random.below(8) {
        let end = random.pick(&["\n", "\n", "\n", "\r\n"]);
        match random.below(8) {
            0 => write!(text, "{}{end}", random.pick(MACROS)).unwrap(),
            1 => write!(text, "# {} export-ignore{end}", random.pick(NAMES)).unwrap(),
            2 => write!(text, "  {}\t{}{end}", random_pattern(random, paths), random.pick(STATES)).unwrap(),
            _ => write!(text, "{} {}{end}", random_pattern(random, paths), random.pick(STATES)).unwrap(),
        }
    }
    text
}

/// What a random commit holds, by path: mode and content. Files never stand where folders do.
pub(crate) fn random_tree(random: &mut Random) -> Tree {
    let mut tree: Tree = BTreeMap::new();
    let mut add = |path: String, mode: &'static str, content: Vec<u8>| {
        let inside =
            tree.keys().any(|other| path.starts_with(&format!("{other}/")) || other.starts_with(&format!("{path}/")));
        if !inside && !path.ends_with("/.git") {
            tree.insert(path, (mode, content));
        }
    };
    add("composer.json".into(), "100644", br#"{"name":"acme/random"}"#.to_vec());
    let paths: Vec<String> = (0..=random.below(30)).map(|_| random_path(random)).collect();
    if random.below(6) > 0 {
        add(".gitattributes".into(), "100644", random_attributes(random, &paths).into_bytes());
    }
    for path in &paths {
        let path = path.clone();
        let folder = path.rsplit_once('/').map_or("a", |(folder, _)| folder).to_owned();
        match random.below(12) {
            0 => add(path, "120000", random.pick(&["x.md", "../a", "/etc/passwd", "größe", "."]).as_bytes().to_vec()),
            1 => add(path, "160000", Vec::new()),
            2 => add(path, "100755", b"#!/bin/sh\n".to_vec()),
            3 => add(format!("{folder}/.gitattributes"), "100644", random_attributes(random, &paths).into_bytes()),
            4 => add(format!("{folder}/.gitattributes"), "120000", b"../.gitattributes".to_vec()),
            5 => add(path, "100644", Vec::new()),
            6 => add(path, "100644", b"$Format:%H$ repeated ".repeat(random.below(2000))),
            _ => add(path.clone(), "100644", format!("<?php // {path}\n").into_bytes()),
        }
    }
    tree
}

/// Tags every tree as `1.<number>.0`, through one `git fast-import`: a working copy cannot hold all that is in them.
pub(crate) fn commit_trees(repository: &Repository, trees: &[Tree]) {
    let submodule = repository.git(&["rev-parse", "HEAD"]);
    let mut stream = Vec::new();
    for (number, tree) in trees.iter().enumerate() {
        let date = 1_600_000_000 + number;
        stream.extend_from_slice(
            format!("commit refs/tags/1.{number}.0\ncommitter C <c@x> {date} +0000\ndata 1\nx\ndeleteall\n").as_bytes(),
        );
        for (path, (mode, content)) in tree {
            if *mode == "160000" {
                stream.extend_from_slice(format!("M {mode} {submodule} {path}\n").as_bytes());
            } else {
                stream.extend_from_slice(format!("M {mode} inline {path}\ndata {}\n", content.len()).as_bytes());
                stream.extend_from_slice(content);
                stream.push(b'\n');
            }
        }
    }
    repository.git_with(&["fast-import", "--quiet"], &stream);
}
