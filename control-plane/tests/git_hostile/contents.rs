//! Repositories whose contents mean harm (G-J*, G-R5, G-R6, Z-*), from an honest server: what cannot be accepted costs its own version.

use std::fmt::Write;

use cargoman_control_plane::git::protocol::SkipCode::{
    self, Archive, BadManifest, NoManifest, NotACommit, VersionMismatch,
};

use crate::case::{Expected, request, verdict};
use crate::repository::Repository;
use crate::run::Place;
use crate::server::Server;

/// Puts something at `refs/tags/2.0.0`.
type Prepare = Box<dyn Fn(&mut Repository)>;

pub(crate) struct Hostile {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) prepare: Prepare,
    pub(crate) expected: Expected,
}

const TAG: &str = "refs/tags/2.0.0";

/// A composer.json.
fn manifest(id: &'static str, name: &'static str, code: SkipCode, content: impl Into<Vec<u8>>) -> Hostile {
    let content = content.into();
    skipped(id, name, code, move |repository| {
        repository.write("composer.json", &content);
        repository.commit("hostile");
        repository.tag("2.0.0");
        repository.write("composer.json", r#"{"name":"acme/pay"}"#);
        repository.commit("honest again");
    })
}

fn skipped(
    id: &'static str,
    name: &'static str,
    code: SkipCode,
    prepare: impl Fn(&mut Repository) + 'static,
) -> Hostile {
    Hostile { id, name, prepare: Box::new(prepare), expected: Expected::Skips(TAG, code) }
}

/// A tree that holds an entry of this mode and name, beside an honest composer.json.
fn tree(id: &'static str, name: &'static str, code: SkipCode, mode: &'static str, path: &'static [u8]) -> Hostile {
    skipped(id, name, code, move |repository| {
        let composer = repository.git_with(&["hash-object", "-w", "--stdin"], br#"{"name":"acme/pay"}"#);
        let entry = |mode: &str, path: &[u8]| [mode.as_bytes(), b" ", path, b"\0", &hex(&composer)].concat();
        let mut entries = [(path, entry(mode, path)), (b"composer.json", entry("100644", b"composer.json"))];
        entries.sort_by_key(|(path, _)| *path);
        let raw = entries.map(|(_, entry)| entry).concat();
        let tree = repository.git_with(&["hash-object", "-t", "tree", "-w", "--stdin", "--literally"], &raw);
        tag_tree(repository, &tree);
    })
}

fn hex(id: &str) -> Vec<u8> {
    (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()).collect()
}

fn tag_tree(repository: &Repository, tree: &str) {
    let commit = repository.git(&["commit-tree", tree, "-m", "hostile"]);
    repository.git(&["update-ref", TAG, &commit]);
}

pub(crate) fn cases() -> Vec<Hostile> {
    let mut cases = json();
    cases.extend(keys());
    cases.extend(kinds());
    cases.extend(trees());
    cases
}

fn json() -> Vec<Hostile> {
    let named = |rest: &str| format!(r#"{{"name":"acme/pay",{rest}}}"#).into_bytes();
    let many = (0..60_000).fold(String::new(), |mut keys, number| {
        write!(keys, r#""a/b{number}":"*","#).unwrap();
        keys
    });
    vec![
        manifest(
            "G-J2",
            "larger than may be",
            BadManifest,
            named(&format!(r#""description":"{}""#, "x".repeat(2 << 20))),
        ),
        manifest(
            "G-J2",
            "ten thousand deep",
            BadManifest,
            named(&format!(r#""extra":{}{}"#, "[".repeat(10_000), "]".repeat(10_000))),
        ),
        manifest(
            "G-J2",
            "a hundred deep",
            BadManifest,
            named(&format!(r#""extra":{}{}"#, "[".repeat(100), "]".repeat(100))),
        ),
        manifest(
            "G-J2",
            "sixty thousand requirements",
            BadManifest,
            named(&format!(r#""require":{{{many}"a/z":"*"}}"#)),
        ),
        manifest("G-J2", "a number beyond numbers", BadManifest, named(r#""extra":{"a":1e400}"#)),
        manifest("G-J2", "no number", BadManifest, named(r#""extra":{"a":NaN}"#)),
        manifest(
            "G-J3",
            "a byte order mark",
            BadManifest,
            [b"\xef\xbb\xbf".as_slice(), &named(r#""type":"library""#)].concat(),
        ),
        manifest(
            "G-J3",
            "UTF-16",
            BadManifest,
            r#"{"name":"acme/pay"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
        ),
        manifest(
            "G-J3",
            "Latin-1",
            BadManifest,
            [b"{\"name\":\"acme/pay\",\"description\":\"caf\xe9\"}".as_slice()].concat(),
        ),
        manifest("G-J3", "half a character", BadManifest, named(r#""description":"\ud800""#)),
        manifest("G-J3", "a zero in a key", BadManifest, named(r#""extra":{"\u0000a":1}"#)),
        manifest(
            "G-J3",
            "something behind the end",
            BadManifest,
            [named(r#""type":"library""#), b"{}".to_vec()].concat(),
        ),
        manifest("G-J3", "nothing", BadManifest, ""),
        manifest("G-J4", "two names", BadManifest, named(r#""name":"evil/pay""#)),
        manifest("G-J4", "two requirements of one package", BadManifest, named(r#""require":{"a/b":"1.0","a/b":"*"}"#)),
        manifest("G-J4", "the same key, spelt otherwise", BadManifest, named(r#""\u006eame":"evil/pay""#)),
    ]
}

fn keys() -> Vec<Hostile> {
    let named = |rest: &str| format!(r#"{{"name":"acme/pay",{rest}}}"#).into_bytes();
    let bad = |name: &'static str, rest: &str| manifest("G-J6", name, BadManifest, named(rest));
    vec![
        bad("requirements that are none", r#""require":"x""#),
        bad("a requirement that is a list", r#""require":{"a/b":["*"]}"#),
        bad("a program outside", r#""bin":"../../etc/shadow""#),
        bad("a type that is a number", r#""type":5"#),
        bad("a constraint that is none", r#""require":{"a/b":"1.0;rm -rf"}"#),
        manifest("G-J7", "another version than its tag", VersionMismatch, named(r#""version":"3.0.0""#)),
        manifest("G-J9", "a requirement of no package", BadManifest, named(r#""require":{"../x":"*"}"#)),
    ]
}

fn kinds() -> Vec<Hostile> {
    vec![
        skipped("G-J1", "no composer.json", NoManifest, |repository| {
            std::fs::remove_file(repository.path().join("composer.json")).unwrap();
            repository.write("README.md", "x");
            repository.commit("x");
            repository.tag("2.0.0");
            repository.git(&["revert", "--no-edit", "HEAD"]);
        }),
        at_composer("G-J1", "a composer.json that is a link", "120000"),
        at_composer("G-J1", "a composer.json that is another repository", "160000"),
        at_composer("G-J1", "a composer.json that is a folder", "40000"),
        skipped("G-J1", "a composer.json that is elsewhere", BadManifest, |repository| {
            repository.write("composer.json", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n");
            repository.commit("x");
            repository.tag("2.0.0");
            repository.write("composer.json", r#"{"name":"acme/pay"}"#);
            repository.commit("y");
        }),
        skipped("G-R5", "a tag of a file", NotACommit, |repository| {
            let blob = repository.git(&["rev-parse", "HEAD:composer.json"]);
            repository.git(&["tag", "2.0.0", &blob]);
        }),
        skipped("G-R5", "a tag of a tree", NotACommit, |repository| {
            repository.git(&["tag", "2.0.0", "HEAD^{tree}"]);
        }),
        skipped("G-R5", "a thousand tags of tags", NotACommit, |repository| {
            let (mut id, mut kind) = (repository.git(&["rev-parse", "HEAD"]), "commit");
            for _ in 0..1000 {
                let tag = format!("object {id}\ntype {kind}\ntag 2.0.0\ntagger A <a@example.com> 1 +0000\n\nx\n");
                (id, kind) =
                    (repository.git_with(&["hash-object", "-t", "tag", "-w", "--stdin"], tag.as_bytes()), "tag");
            }
            repository.git(&["update-ref", TAG, &id]);
        }),
        ended("G-R6", "commits from the end of time", |repository| {
            let tree = repository.git(&["rev-parse", "HEAD^{tree}"]);
            for (number, date) in
                ["99999999999999999999 +9999", "-1 -0000", "253402300800 +0000", "0 +0000"].iter().enumerate()
            {
                let commit =
                    format!("tree {tree}\nauthor A <a@example.com> {date}\ncommitter A <a@example.com> {date}\n\nx\n");
                let commit = repository
                    .git_with(&["hash-object", "-t", "commit", "-w", "--stdin", "--literally"], commit.as_bytes());
                repository.write(&format!(".git/refs/tags/3.{number}.0"), format!("{commit}\n"));
            }
        }),
        ended("G-J8", "names of other languages' secrets", |repository| {
            repository.write(
                "composer.json",
                r#"{"name":"acme/pay","description":"<script>alert(1)</script>","extra":{"__proto__":{"a":1},"constructor":2},"authors":[{"name":"x","email":"a@example.com\r\nBcc: b"}]}"#,
            );
            repository.commit("x");
        }),
        // As Composer reads repositories: all versions have the name of the default branch, so a tag takes nobody's.
        ended("G-J5", "another vendor's name in a tag", |repository| {
            repository.write("composer.json", r#"{"name":"evil/pay"}"#);
            repository.commit("x");
            repository.tag("2.0.0");
            repository.write("composer.json", r#"{"name":"acme/pay"}"#);
            repository.commit("y");
        }),
        ended("G-S8", "a commit that replaces another", |repository| {
            let first = repository.git(&["rev-parse", "HEAD"]);
            let second = repository.commit("second");
            repository.git(&["replace", &first, &second]);
        }),
    ]
}

fn ended(id: &'static str, name: &'static str, prepare: impl Fn(&mut Repository) + 'static) -> Hostile {
    Hostile { id, name, prepare: Box::new(prepare), expected: Expected::Ends }
}

/// Something else where composer.json should be.
fn at_composer(id: &'static str, name: &'static str, mode: &'static str) -> Hostile {
    skipped(id, name, BadManifest, move |repository| {
        let object = match mode {
            "120000" => repository.git_with(&["hash-object", "-w", "--stdin"], b"../../../../etc/passwd"),
            "160000" => "c".repeat(40),
            _ => repository.git(&["rev-parse", "HEAD^{tree}"]),
        };
        let kind = match mode {
            "120000" => "blob",
            "160000" => "commit",
            _ => "tree",
        };
        let line = format!("{mode} {kind} {object}\tcomposer.json\n");
        let tree = repository.git_with(&["mktree", "--missing"], line.as_bytes());
        tag_tree(repository, &tree);
    })
}

fn trees() -> Vec<Hostile> {
    let mut cases = vec![
        skipped("Z-8", "a tree of ten to the tenth files", Archive, |repository| {
            let mut below = repository.git(&["rev-parse", "HEAD^{tree}"]);
            let composer = repository.git(&["rev-parse", "HEAD:composer.json"]);
            for _ in 0..10 {
                let mut lines: String = (0..10).fold(String::new(), |mut lines, number| {
                    writeln!(lines, "040000 tree {below}\t{number}").unwrap();
                    lines
                });
                writeln!(lines, "100644 blob {composer}\tcomposer.json").unwrap();
                below = repository.git_with(&["mktree"], lines.as_bytes());
            }
            tag_tree(repository, &below);
        }),
        skipped("Z-8", "a tree two thousand deep", Archive, |repository| {
            let mut below = repository.git(&["rev-parse", "HEAD^{tree}"]);
            let composer = repository.git(&["rev-parse", "HEAD:composer.json"]);
            for _ in 0..2000 {
                // Written straight away: a process each would take long.
                let raw = [b"100644 composer.json\0".as_slice(), &hex(&composer), b"40000 d\0", &hex(&below)].concat();
                below = git2_tree(repository, &raw);
            }
            tag_tree(repository, &below);
        }),
        skipped("Z-8", "a hundred megabytes of nothing", Archive, |repository| {
            repository.write("zeros", vec![0; 100 << 20]);
            repository.commit("x");
            repository.tag("2.0.0");
            std::fs::remove_file(repository.path().join("zeros")).unwrap();
            repository.commit("y");
        }),
    ];
    for (name, mode, path) in [
        ("a file that is the folder above", "100644", b"..".as_slice()),
        ("a file that is the folder itself", "100644", b"."),
        ("a file that is git's own folder", "100644", b".git"),
        ("the same, shouted", "100644", b".GIT"),
        ("the same, shortened", "100644", b"git~1"),
        ("the same, with what nobody sees", "100644", "\u{200c}.git".as_bytes()),
        ("a file at the root", "100644", b"/etc/passwd"),
        ("a file in a folder that is none", "100644", b"a/b"),
        ("a file on another drive", "100644", b"C:x"),
        ("a file for another system", "100644", b"a\\..\\b"),
        ("a file whose name is no text", "100644", b"\xff\xfe"),
        ("a file that paints the terminal", "100644", b"\x1b[31m"),
        ("a file of two lines", "100644", b"a\nb"),
        ("a device", "020000", b"null"),
        ("a link out", "120000", b"a-link"),
    ] {
        // The composer.json's content is no path that leads out: such a link is one file more.
        let case = tree("Z-1", name, Archive, mode, path);
        cases.push(if path == b"a-link" { Hostile { expected: Expected::Ends, ..case } } else { case });
    }
    cases
}

/// A tree object, as it is.
fn git2_tree(repository: &Repository, raw: &[u8]) -> String {
    let repository = git2::Repository::open(repository.path()).unwrap();
    repository.odb().unwrap().write(git2::ObjectType::Tree, raw).unwrap().to_string()
}

pub(crate) fn judge(cases: Vec<Hostile>) {
    let wrong: Vec<String> = cases
        .into_iter()
        .filter_map(|case| {
            let mut repository = Repository::with_package("acme/pay");
            repository.tag("1.0.0");
            (case.prepare)(&mut repository);
            let server = Server::start(repository.folder.path());
            let place = Place::new();
            let mut request = request(&place, server.port());
            request.repository_url = server.url("work/.git");
            match verdict(&request, &case.expected) {
                Ok(words) => {
                    println!("{} {}: {words}", case.id, case.name);
                    None
                }
                Err(words) => Some(format!("{} {}: {words}", case.id, case.name)),
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn cost_their_own_version() {
    judge(cases());
}
