//! Dists in a folder and in a bucket of a real S3 server, through the real program: installed, verified, healed, collected, carried from
//! one to the other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cargoman_testkit::cargoman::{Registry, command};
use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::output::run;
use cargoman_testkit::s3::{Fault, KEY, S3Server};
use cargoman_tests::World;
use cargoman_tests::command_line::{LIMIT, ends};
use cargoman_tests::operator::{Customer, text};
use cargoman_tests::package_files::composer_json;
use cargoman_tests::reader::sha1;
use cargoman_tests::stored::{SECRET, StoredWorld};
use cargoman_tests::world::LOCAL;
use serde_json::{Value, json};

const NAME: &str = "acme/parcel";
const PATIENCE: Duration = Duration::from_secs(60);

fn both() -> [(&'static str, StoredWorld); 2] {
    [("folder", StoredWorld::folder()), ("bucket", StoredWorld::bucket())]
}

/// A package with the releases `v1.0.0`, `v1.0.1`, …, and who may have it.
#[track_caller]
fn publish(world: &World, releases: usize) -> Customer {
    let repository = world.repository(NAME);
    for number in 0..releases {
        repository.write("composer.json", composer_json(NAME, &json!({"description": format!("Parcel {number}")})));
        repository.commit(&format!("Release {number}")).tag(&format!("v1.0.{number}"));
    }
    world.operator().add(NAME, &world.repository_url(NAME));
    world.operator().customer_of(&[NAME])
}

/// The status of a version's dist at the edge; its bytes are right when it is there.
#[track_caller]
fn dist(world: &World, customer: &Customer, version: &str) -> u16 {
    let reader = world.reader(customer);
    let shown = reader.shown(NAME).into_iter().find(|one| one.pretty() == version).expect("it is shown");
    let answer = reader.get(&shown.dist_path());
    assert!(answer.status != 200 || sha1(&answer.body) == shown.text("/dist/shasum"), "{version}: other bytes");
    answer.status
}

fn age(file: &Path) {
    let long_ago = SystemTime::now() - Duration::from_secs(25 * 3600);
    fs::File::options().write(true).open(file).unwrap().set_modified(long_ago).unwrap();
}

#[test]
fn composer_installs_from_a_bucket() {
    let mut stored = StoredWorld::bucket();
    let customer = publish(&stored.world, 2);
    let composer = stored.world.composer(&customer.token, &json!({NAME: "^1.0"}));
    composer.run(&["install"]).expect_success();
    assert_eq!(composer.installed(), [format!("{NAME} v1.0.1")]);
    let keys = stored.server.as_ref().unwrap().keys();
    assert!(keys.len() >= 2 && keys.iter().all(|key| key.starts_with("dists/") && key.ends_with(".zip")), "{keys:?}");
    assert!(!stored.world.registry.data().join("storage").exists(), "nothing lies in a folder");
    stored.world.registry.restart();
    assert_eq!(dist(&stored.world, &customer, "v1.0.0"), 200);
    assert!(!stored.world.registry.log().contains(KEY.1), "the secret stands in the log");
}

#[test]
fn a_wrong_secret_ends_the_start() {
    let server = S3Server::start();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cargoman.toml");
    fs::write(&config, server.config()).unwrap();
    for (secret, words) in [(Some("wrong"), "storage.secret_access_key_file"), (None, SECRET)] {
        let mut up = command();
        up.arg("up")
            .arg("--data")
            .arg(folder.path().join("data"))
            .args(["--listen", "127.0.0.1:0", "--config"])
            .arg(&config);
        up.env("CARGOMAN_CONTROL_LISTEN", "127.0.0.1:0").env("ADMIN_TOKEN", "test-admin-token-0123456789");
        if let Some(secret) = secret {
            up.env(SECRET, secret);
        }
        let ended = run(&mut up, b"", LIMIT);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.combined);
        assert!(ended.combined.contains(words), "{}", ended.combined);
    }
}

#[test]
fn what_is_broken_is_named_and_healed() {
    for (kind, stored) in both() {
        let customer = publish(&stored.world, 4);
        let fine = stored.storage(&["verify"]);
        fine.expect_success();
        // Four tags and the branch, which is the same commit as the last of them.
        assert!(fine.stdout.contains("4 dists"), "{kind}: {}", fine.stdout);
        fs::remove_file(stored.file(NAME, "v1.0.0")).unwrap();
        let damaged = stored.file(NAME, "v1.0.1");
        let mut bytes = fs::read(&damaged).unwrap();
        bytes[20] ^= 1;
        fs::write(&damaged, &bytes).unwrap();
        let orphan = damaged.with_file_name(format!(
            "{}{}.zip",
            &damaged.file_name().unwrap().to_str().unwrap()[..2],
            "0".repeat(62)
        ));
        fs::write(&orphan, "x").unwrap();

        let found = stored.storage(&["verify"]);
        assert_eq!(found.status.code(), Some(1), "{kind}: {}", found.combined);
        for words in
            ["missing in default: acme/parcel v1.0.0", "damaged in default: acme/parcel v1.0.1", "--heal", "1 more"]
        {
            assert!(found.stdout.contains(words), "{kind}: {words:?} is missing in {}", found.stdout);
        }
        let json: Value = serde_json::from_str(&stored.storage(&["verify", "--json"]).stdout).unwrap();
        assert_eq!(
            (json["whole"]["dists"].as_u64(), json["wrong"].as_array().unwrap().len()),
            (Some(2), 2),
            "{json:#}"
        );
        assert_eq!(json["orphans"], 1);

        // Whoever comes for them gets neither half of one nor other bytes, and then they are there.
        for version in ["v1.0.0", "v1.0.1"] {
            assert_eq!(dist(&stored.world, &customer, version), 503, "{kind} {version}");
            poll_until(&format!("{kind}: {version} is made anew"), PATIENCE, || {
                (dist(&stored.world, &customer, version) == 200).then_some(())
            });
        }
        stored.storage(&["verify"]).expect_success();
        // Nobody came for this one: it is asked for.
        fs::remove_file(stored.file(NAME, "v1.0.2")).unwrap();
        let asked = stored.storage(&["verify", "--heal"]);
        assert!(
            asked.status.code() == Some(1) && asked.stdout.contains("acme/parcel is read again"),
            "{}",
            asked.combined
        );
        poll_until(&format!("{kind}: all is whole"), PATIENCE, || {
            stored.storage(&["verify"]).status.success().then_some(())
        });
    }
}

/// Orphans go after a day; dists go when no version needs them, and no deleted package that may come back (Z-13).
#[test]
fn what_nobody_needs_goes_row_first_and_not_before() {
    for (kind, stored) in both() {
        let customer = publish(&stored.world, 2);
        let operator = stored.world.operator();
        let file = stored.file(NAME, "v1.0.0");
        let orphan =
            file.with_file_name(format!("{}{}.zip", &file.file_name().unwrap().to_str().unwrap()[..2], "0".repeat(62)));
        fs::write(&orphan, "orphan").unwrap();
        let collect = |arguments: &[&str]| -> Value {
            let ended = stored.storage(&[&["collect", "--json"], arguments].concat());
            ended.expect_success();
            serde_json::from_str(&ended.stdout).unwrap()
        };
        assert_eq!((&collect(&[])["orphans"]["dists"], &collect(&[])["young"]), (&json!(0), &json!(1)), "{kind}");
        age(&orphan);
        assert_eq!(collect(&["--dry-run"])["orphans"], json!({"dists": 1, "bytes": 6}), "{kind}");
        assert!(orphan.exists());
        assert_eq!(collect(&[])["orphans"]["dists"], 1, "{kind}");
        assert!(!orphan.exists() && file.exists(), "{kind}");

        // Somebody says that he is about to store an old orphan.
        fs::write(&orphan, "orphan").unwrap();
        age(&orphan);
        let digest = orphan.file_stem().unwrap().to_str().unwrap();
        stored.sql(&format!("insert into dist_coming (tenant_id, sha256) select id, '{digest}' from tenant"));
        assert_eq!(collect(&[])["orphans"]["dists"], 0, "{kind}");
        assert!(orphan.exists(), "{kind}: it is about to be named");
        stored.sql("update dist_coming set announced_at = now() - interval '25 hours'");
        assert_eq!(collect(&[])["orphans"]["dists"], 1, "{kind}");

        // A stranger's bytes.
        let stranger = stored
            .server
            .as_ref()
            .map_or_else(|| stored.world.registry.data().join("storage"), |server| server.object(""));
        let stranger = stranger.join(format!("dists/{}/00", "1".repeat(32)));
        fs::create_dir_all(&stranger).unwrap();
        let stranger = stranger.join(format!("{}.zip", "0".repeat(64)));
        fs::write(&stranger, "x").unwrap();
        age(&stranger);
        assert_eq!(collect(&[])["of_strangers"], 1, "{kind}");
        assert!(stranger.exists());

        // Deleted, but it may come back.
        let old = || {
            stored.sql("update dist set unneeded_since = now() - interval '31 days' where unneeded_since is not null")
        };
        operator.ask("DELETE", &format!("/packages/{NAME}?confirm=true"), &Value::Null);
        collect(&[]);
        old();
        assert_eq!(collect(&[])["unneeded"]["dists"], 0, "{kind}");
        let deletion = text(&operator.get("/deletions")[0]["id"]);
        operator.post(&format!("/deletions/{deletion}/restore"), &json!({}));
        assert_eq!(dist(&stored.world, &customer, "v1.0.1"), 200, "{kind}");

        // Gone for good: the retention begins.
        operator.ask("DELETE", &format!("/packages/{NAME}?confirm=true"), &Value::Null);
        stored.sql("delete from deletion");
        assert_eq!(collect(&[])["unneeded"]["dists"], 0, "{kind}");
        old();
        assert_eq!(collect(&["--dry-run"])["unneeded"]["dists"], 2, "{kind}");
        assert!(file.exists());
        assert_eq!(collect(&[])["unneeded"]["dists"], 2, "{kind}");
        assert_eq!((stored.sql("select count(*) from dist").trim(), file.exists()), ("0", false), "{kind}");
        // And it may be added again.
        operator.add(NAME, &stored.world.repository_url(NAME));
        assert!(file.exists(), "{kind}");
        stored.storage(&["verify"]).expect_success();
    }
}

#[test]
fn carried_from_a_folder_to_a_bucket_and_back() {
    let stored = StoredWorld::folder();
    let customer = publish(&stored.world, 3);
    let bucket = S3Server::start();
    let secret = stored.write("secret", &format!("{}\n", KEY.1));
    let config = format!("{}secret_access_key_file = {secret:?}\n", bucket.config());
    let to = stored.write("bucket.toml", &config);
    // In the middle of it the bucket goes away for good; the next run goes on.
    bucket.fail("PUT", "dists", usize::MAX, Fault::Refuse(403, "AccessDenied"));
    let failed = stored.storage(&["migrate", "--to", &to]);
    assert!(failed.status.code() == Some(1) && failed.combined.contains("run it again"), "{}", failed.combined);
    bucket.heal();
    let copied = stored.storage(&["migrate", "--to", &to]);
    copied.expect_success();
    assert!(copied.stdout.contains("3 dists") && copied.stdout.contains("0 were there already"), "{}", copied.stdout);
    let again: Value = serde_json::from_str(&stored.storage(&["migrate", "--to", &to, "--json"]).stdout).unwrap();
    assert_eq!((&again["copied"]["dists"], &again["already"]), (&json!(0), &json!(3)));
    assert_eq!(bucket.keys().len(), 3);

    // One that is damaged is not copied; what is there already stays.
    let file = stored.file(NAME, "v1.0.0");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, "damaged").unwrap();
    let key = bucket.keys().into_iter().find(|key| key.contains(file.file_stem().unwrap().to_str().unwrap())).unwrap();
    fs::remove_file(bucket.object(&key)).unwrap();
    let failed = stored.storage(&["migrate", "--to", &to]);
    assert!(failed.status.code() == Some(1) && failed.stdout.contains("it is damaged"), "{}", failed.combined);
    fs::write(&file, bytes).unwrap();
    stored.storage(&["migrate", "--to", &to]).expect_success();

    // The other way, to an empty folder, with the bucket as the server's setting.
    let folder = tempfile::tempdir().unwrap();
    let back = stored.write("folder.toml", &format!("[storage]\nroot = {:?}\n", folder.path().join("storage")));
    let mut command = command();
    command.args(["storage", "migrate", "--config", &to, "--to", &back]);
    command.env("DATABASE_URL", stored.world.registry.database().unwrap().url());
    run(&mut command, b"", LIMIT).expect_success();
    let name = file.strip_prefix(stored.world.registry.data()).unwrap();
    assert_eq!(fs::read(folder.path().join(name)).unwrap(), fs::read(&file).unwrap());
    ends(&stored.storage(&["migrate", "--to", "/absent.toml"]), 2, "--to: /absent.toml");
    assert_eq!(dist(&stored.world, &customer, "v1.0.2"), 200);
}

/// Killed after the bytes and before the row (Z-13).
#[test]
fn killed_between_blob_and_row() {
    let mut stored = StoredWorld::bucket();
    let repository = stored.world.repository(NAME);
    repository.write("composer.json", composer_json(NAME, &json!({})));
    repository.commit("First").tag("v1.0.0");
    let server = stored.server.take().unwrap();
    // The bytes are there, and the registry never hears of it.
    server.fail("PUT", "dists", usize::MAX, Fault::BreakAfter);
    let url = stored.world.repository_url(NAME);
    stored.world.operator().post("/packages", &json!({"repository_url": url, "name": NAME}));
    poll_until("the bytes are there", PATIENCE, || (!server.keys().is_empty()).then_some(()));
    stored.world.registry.kill9();
    assert_eq!(stored.sql("select count(*) from dist").trim(), "0");
    assert_eq!(stored.sql("select count(*) from version").trim(), "0");
    server.heal();
    stored.world.registry.restart();
    let operator = stored.world.operator();
    let customer = operator.customer_of(&[NAME]);
    poll_until("the sync comes to its end by itself", PATIENCE, || (operator.versions(NAME).len() == 2).then_some(()));
    assert_eq!(dist(&stored.world, &customer, "v1.0.0"), 200);
    assert_eq!(server.keys().len(), 1, "no other bytes were written");
}

/// A registry of its own database: the commands find it in the data folder, while it runs and while it does not.
#[test]
fn beside_a_private_database() {
    let mut world = World::start_with(Registry::builder().config(LOCAL).embedded());
    publish(&world, 1);
    let data = world.registry.data();
    let verify = || {
        let ended = run(command().args(["storage", "verify", "--json", "--data"]).arg(&data), b"", LIMIT);
        ended.expect_success();
        serde_json::from_str::<Value>(&ended.stdout).unwrap()["whole"]["dists"].clone()
    };
    assert_eq!(verify(), 1);
    world.registry.stop();
    assert_eq!(verify(), 1);
    world.registry.restart();
    let nothing = tempfile::tempdir().unwrap();
    let ended = run(command().args(["storage", "verify", "--data"]).arg(nothing.path()), b"", LIMIT);
    ends(&ended, 2, "there is no folder");
}
