//! Odd zips, built byte by byte: each is refused with a reason that names what is wrong, and nothing of it is kept (Z-9, Z-10).

use std::time::Instant;

use crate::fixture::Registry;
use crate::zip::{Entry, Zip};

fn good() -> Zip {
    Zip::package("acme/pay")
}

/// The good zip with one entry more.
fn and(entry: Entry) -> Zip {
    good().and(entry)
}

fn named(name: &str) -> Zip {
    and(Entry::stored(name, "x"))
}

fn first(change: impl FnOnce(&mut Entry)) -> Zip {
    good().with(|zip| change(&mut zip.entries[0]))
}

/// An extra field of that kind with four bytes.
fn extra(kind: u16) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend([4, 0, 1, 2, 3, 4]);
    bytes
}

/// Each with a part of the reason.
fn structures() -> Vec<(&'static str, Zip, &'static str)> {
    let end = |zip: &Zip| zip.bytes()[zip.bytes().len() - 22..].to_vec();
    vec![
        ("trailing byte", good().with(|zip| zip.after = vec![0]), "must end with its end record"),
        ("comment", good().with(|zip| zip.comment = b"hello".to_vec()), "must end with its end record"),
        ("two end records", good().with(|zip| zip.after = end(&good())), "not where its end record says"),
        ("prefix", good().with(|zip| zip.before = b"#!/bin/sh\n".to_vec()), "does not follow"),
        (
            "prefix that the offsets leave out",
            {
                let bytes = good().bytes();
                let start = u32::try_from(bytes.len()).unwrap();
                good().with(|zip| {
                    zip.before = bytes;
                    zip.directory_start = Some(start);
                })
            },
            "not where its end record says",
        ),
        ("gap between entries", good().with(|zip| zip.entries[1].gap = b"hidden".to_vec()), "does not follow"),
        ("gap before the directory", good().with(|zip| zip.before_directory = vec![0; 4]), "bytes between"),
        ("gap before the end", good().with(|zip| zip.before_end = vec![0; 4]), "not where its end record says"),
        ("fewer entries said", good().with(|zip| zip.count = Some(1)), "end record says 1"),
        ("more entries said", good().with(|zip| zip.count = Some(3)), "end record says 3"),
        ("zip64 in the end record", good().with(|zip| zip.count = Some(u16::MAX)), "zip64"),
        ("zip64 in an entry", first(|entry| entry.extra = extra(1)), "zip64"),
        ("zip64 before a content", first(|entry| entry.local_extra = extra(1)), "zip64"),
        (
            "two entries in one place",
            and(Entry::stored("b", "").with(|entry| entry.same_place_as = Some(0))),
            "does not follow",
        ),
        ("bytes behind a content", first(|entry| entry.behind = vec![0; 3]), "does not follow"),
        (
            "another name before the content",
            first(|entry| entry.local_name = Some(b"composer.jsoN".to_vec())),
            "one thing",
        ),
        ("another checksum before the content", first(|entry| entry.local_crc = Some(1)), "one thing"),
        ("a second name", first(|entry| entry.extra = extra(0x7075)), "second name"),
        ("an extra field cut off", first(|entry| entry.extra = vec![1, 0, 9]), "cut off"),
        ("an extra field too long", first(|entry| entry.extra = vec![0x55, 0x54, 9, 0, 1]), "cut off"),
        ("a comment on an entry", first(|entry| entry.comment = b"x".to_vec()), "comment"),
        ("a data descriptor", first(|entry| entry.flags = 8), "data descriptor"),
        ("encrypted", first(|entry| entry.flags = 1), "encrypted"),
        ("strongly encrypted", first(|entry| entry.flags = 0x40), "encrypted"),
        ("AES", first(|entry| entry.extra = extra(0x9901)), "encrypted"),
        ("a patch", first(|entry| entry.flags = 0x20), "flags"),
        ("bzip2", first(|entry| entry.method = 12), "another method"),
        ("no zip at all", Zip::default().with(|zip| zip.after = vec![0; 100]), "must end with its end record"),
    ]
}

fn names() -> Vec<(&'static str, Zip, &'static str)> {
    vec![
        ("up", named("../evil"), "leads out"),
        ("up inside", named("src/../../evil"), "leads out"),
        ("here", named("./a"), "leads out"),
        ("absolute", named("/etc/passwd"), "absolute"),
        ("empty part", named("a//b"), "leads out"),
        ("empty", named(""), "leads out"),
        ("backslash", named("a\\..\\b"), "backslash"),
        ("NUL", named("a\0b"), "control"),
        ("escape", named("a\u{1b}[2J"), "control"),
        ("drive", named("C:/a"), "drive"),
        (".git", named(".git/config"), ".git"),
        (".GIT", named("x/.GIT/hooks/a"), ".git"),
        ("too long a part", named(&"x".repeat(256)), "255"),
        ("too long a path", named(&"x/".repeat(1100)), "2048"),
        ("no UTF-8", and(Entry::stored([b'a', 0xff], "x")), "not UTF-8"),
        ("not said to be UTF-8", named("größe.php"), "not marked as UTF-8"),
        ("twice", named("src/A.php"), "twice"),
        ("a file where a folder is", named("src"), "at once"),
        ("a folder where a file is", and(Entry::stored("composer.json/a", "x")), "at once"),
        ("a folder of a file's name", and(Entry::stored("composer.json/", "")), "at once"),
        ("a folder with a content", and(Entry::stored("b/", "x")), "content"),
        ("a link", and(Entry::stored("b", "composer.json").with(|entry| entry.mode = 0o120_777)), "symbolic link"),
        ("a device", and(Entry::stored("b", "").with(|entry| entry.mode = 0o060_644)), "neither"),
        ("a folder's mode on a file", and(Entry::stored("b", "").with(|entry| entry.mode = 0o040_755)), "neither"),
        ("a file's mode on a folder", and(Entry::stored("b/", "").with(|entry| entry.mode = 0o100_644)), "neither"),
        ("setuid", and(Entry::stored("b", "x").with(|entry| entry.mode = 0o104_755)), "setuid"),
    ]
}

fn contents() -> Vec<(&'static str, Zip, &'static str)> {
    let deflated = || Entry::deflated("b", "hello hello hello");
    let zeros = || Entry::deflated("zeros", vec![0; 60 << 20]);
    vec![
        ("wrong checksum, stored", and(Entry::stored("b", "x").with(|entry| entry.crc ^= 1)), "checksum"),
        ("wrong checksum, deflated", and(deflated().with(|entry| entry.crc ^= 1)), "checksum"),
        ("two sizes, stored", and(Entry::stored("b", "x").with(|entry| entry.size = 2)), "two sizes"),
        ("more than said", and(deflated().with(|entry| entry.size = 3)), "more than it says"),
        ("less than said", and(deflated().with(|entry| entry.size = 300)), "less than it says"),
        ("garbage", and(deflated().with(|entry| entry.content = vec![0xff; 20])), "damaged"),
        ("cut off", and(deflated().with(|entry| entry.content.truncate(entry.content.len() - 1))), "damaged"),
        ("nothing at all", and(deflated().with(|entry| entry.content.clear())), "damaged"),
        ("more behind", and(deflated().with(|entry| entry.content.extend(b"more"))), "bytes behind"),
        ("a bomb", and(zeros()), "100 times"),
        ("a bomb that lies", and(zeros().with(|entry| entry.size = 1 << 10)), "more than it says"),
        (
            "42.zip",
            good().with(|zip| {
                zip.entries.extend((0..300).map(|n| {
                    Entry::stored(format!("{n}"), "").with(|entry| {
                        entry.method = 8;
                        entry.size = u32::MAX - 1;
                    })
                }));
            }),
            "larger than 1024 MiB",
        ),
        ("too many entries", Zip::new((0..50_001).map(|n| Entry::stored(format!("{n}"), "")).collect()), "50000"),
        ("a composer.json of 2 MiB", Zip::of(&[("composer.json", &" ".repeat(2 << 20))]), "1 MiB"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_refused_with_its_reason() {
    let registry = Registry::new().await;
    registry.post("/packages", serde_json::json!({"type": "artifact", "name": "acme/pay"})).await.status(201);
    let before = (registry.count("audit"), registry.count("outbox"));
    let begun = Instant::now();
    for (what, zip, reason) in structures().into_iter().chain(names()).chain(contents()) {
        let refused = registry.call("PUT", "/packages/acme/pay/versions/1.0.0").zip(&zip).send().await;
        assert_eq!(refused.status, 422, "{what}: {}", refused.body);
        assert_eq!(refused.fields(), ["zip"], "{what}: {}", refused.body);
        let message = refused.body["error"]["details"][0]["message"].as_str().unwrap();
        assert!(message.contains(reason), "{what}: {message}");
        assert!(!message.chars().any(char::is_control), "{what}: {message:?}");
    }
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    assert_eq!((registry.count("version"), registry.count("dist")), (0, 0));
    assert_eq!((registry.count("audit"), registry.count("outbox")), before);
    let left = std::fs::read_dir(registry.folder.path().join("uploads")).unwrap().count();
    assert_eq!(left, 0, "temporary files stay");
    registry.call("PUT", "/packages/acme/pay/versions/1.0.0").zip(&good()).send().await.status(201);
}

/// Cut anywhere, or with any byte changed, a zip is either refused or was harmlessly changed; never a failure of ours.
#[tokio::test(flavor = "multi_thread")]
async fn no_damage_makes_it_stumble() {
    let registry = Registry::new().await;
    registry.post("/packages", serde_json::json!({"type": "artifact", "name": "acme/pay"})).await.status(201);
    let bytes = good().bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        for (what, body) in [("cut", bytes[..at].to_vec()), ("changed", changed)] {
            let call = registry.call("PUT", &format!("/packages/acme/pay/versions/1.0.{at}"));
            let answer = call.header("content-type", "application/zip").body(body).send().await;
            let fine = answer.status == 422 || (what == "changed" && answer.status == 201);
            assert!(fine, "{what} at {at}: {} {}", answer.status, answer.body);
        }
    }
}

/// What tools write beside the plain form.
#[tokio::test(flavor = "multi_thread")]
async fn common_forms_are_taken() {
    let registry = Registry::new().await;
    registry.post("/packages", serde_json::json!({"type": "artifact", "name": "acme/pay"})).await.status(201);
    let manifest = r#"{"name": "acme/pay"}"#;
    let forms = [
        ("stored", Zip::new(vec![Entry::stored("composer.json", manifest)])),
        (
            "in one folder",
            Zip::new(vec![Entry::stored("pay-1/", ""), Entry::deflated("pay-1/composer.json", manifest)]),
        ),
        ("in one folder without an entry", Zip::of(&[("pay-1/composer.json", manifest), ("pay-1/a/b.php", "x")])),
        (
            "times of Info-ZIP",
            good().with(|zip| {
                for entry in &mut zip.entries {
                    entry.extra = extra(0x5455);
                    entry.local_extra = [extra(0x5455), extra(0x7875)].concat();
                }
            }),
        ),
        ("UTF-8", and(Entry::deflated("größe.php", "x").with(|entry| entry.flags = 0x800))),
        ("no modes", good().with(|zip| zip.entries.iter_mut().for_each(|entry| entry.mode = 0))),
        ("empty file", and(Entry::deflated("empty", ""))),
        ("executable", and(Entry::stored("bin/x", "x").with(|entry| entry.mode = 0o100_755))),
        ("a zip inside", and(Entry::stored("inner.zip", good().bytes()))),
        ("names that differ in case", and(Entry::stored("src/a.php", "x"))),
        (
            "large, in pieces",
            and(Entry::deflated("large", vec![7; 3 << 20])).and(Entry::stored("large2", vec![7; 300_000])),
        ),
    ];
    for (number, (what, zip)) in forms.iter().enumerate() {
        let path = format!("/packages/acme/pay/versions/1.{number}.0");
        let taken = registry.call("PUT", &path).zip(zip).send().await;
        assert_eq!(taken.status, 201, "{what}: {}", taken.body);
    }
}
