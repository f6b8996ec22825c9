//! Dists against `git archive` on random trees, and the format itself against other programs that read zips.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use cargoman_control_plane::git::protocol::{SkipCode, Version};

use crate::repository::Repository;
use crate::run::{Place, answer};

/// A small generator of our own: the same trees for the same seed, for ever.
struct Random(u64);

impl Random {
    /// Neighbouring seeds must not give similar beginnings.
    fn new(seed: u64) -> Self {
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
fn random_tree(random: &mut Random) -> BTreeMap<String, (&'static str, Vec<u8>)> {
    let mut tree: BTreeMap<String, (&'static str, Vec<u8>)> = BTreeMap::new();
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
fn commit_trees(repository: &Repository, trees: &[BTreeMap<String, (&'static str, Vec<u8>)>]) {
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

/// Entries of a zip as Python's zipfile sees them: path → (mode, content), once per path, after checking every checksum.
fn listing(zips: &[&Path]) -> Vec<BTreeMap<String, (u32, Vec<u8>)>> {
    const SCRIPT: &str = r"
import sys, zipfile
for path in sys.argv[1:]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = [info.filename for info in archive.infolist()]
        assert len(names) == len(set(names)), names
        assert names == sorted(names, key=lambda name: name.encode()), names
        for info in archive.infolist():
            assert not info.extra and not info.comment and not info.flag_bits & 8
            print(info.filename.encode().hex() or '-', info.external_attr >> 16, archive.read(info).hex() or '-')
    print('end')
";
    let output = Command::new("python3").arg("-c").arg(SCRIPT).args(zips).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let unhex = |text: &str| {
        (0..text.trim_matches('-').len() / 2)
            .map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap())
            .collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    let mut current = BTreeMap::new();
    for line in text.lines() {
        if line == "end" {
            all.push(std::mem::take(&mut current));
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        current.insert(String::from_utf8(unhex(words[0])).unwrap(), (words[1].parse().unwrap(), unhex(words[2])));
    }
    all
}

/// What `git archive` shows of a commit: path → content, modes as tar has them. Submodules and folders end in a slash.
fn git_archive(repository: &Repository, tag: &str) -> BTreeMap<String, (u32, Vec<u8>)> {
    let tar =
        repository.git_bytes(&["-c", "tar.umask=0022", "archive", "--format=tar", &format!("{tag}^{{tree}}")], b"");
    const SCRIPT: &str = r"
import sys, tarfile, io
for info in tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read())):
    kind = 0o040000 if info.isdir() else 0o120000 if info.issym() else 0o100000
    content = info.linkname.encode() if info.issym() else b'' if info.isdir() else None
    if content is None: content = tar_read(info)
    print((info.name + ('/' if info.isdir() else '')).encode().hex(), kind | info.mode, content.hex() or '-')
";
    let script = SCRIPT.replace(
        "for info in tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read())):",
        "archive = tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()))\ntar_read = lambda info: archive.extractfile(info).read()\nfor info in archive:",
    );
    let mut child = Command::new("python3")
        .args(["-c", &script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &tar).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let unhex = |text: &str| {
        (0..text.trim_matches('-').len() / 2)
            .map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap())
            .collect::<Vec<_>>()
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let entries = text.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        (String::from_utf8(unhex(words[0])).unwrap(), (words[1].parse().unwrap(), unhex(words[2])))
    });
    entries.collect()
}

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
    let zips: Vec<&Version> = (0..trees).map(|seed| answer.version(&format!("1.{seed}.0"))).collect();
    let ours = listing(&zips.iter().map(|version| version.dist.path.as_path()).collect::<Vec<_>>());
    let mut ignored = 0;
    for (seed, mut ours) in ours.into_iter().enumerate() {
        let tag = format!("1.{seed}.0");
        let mut theirs = git_archive(&repository, &tag);
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
        let shown = |entries: &BTreeMap<String, (u32, Vec<u8>)>| {
            entries.iter().map(|(path, (mode, _))| format!("{mode:o} {path}")).collect::<Vec<_>>()
        };
        assert_eq!(shown(&ours), shown(&theirs), "seed {seed}\n{}", attributes(&contents[seed]));
        assert!(ours == theirs, "seed {seed}: contents differ");
    }
    assert!(ignored > trees as usize, "the trees test the attribute at all: {ignored} left out");
    println!("{trees} trees, {ignored} entries left out by attributes");
}

fn attributes(tree: &BTreeMap<String, (&'static str, Vec<u8>)>) -> String {
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
    let id: Vec<u8> = (0..20).map(|at| u8::from_str_radix(&composer[at * 2..at * 2 + 2], 16).unwrap()).collect();
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
    let modes: Vec<u32> = listing(&[&answer.versions[0].dist.path])[0].values().map(|(mode, _)| *mode).collect();
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
