//! Git credentials through the real programs: a private repository is read with one, the master key is replaced while the registry runs,
//! and no secret is found anywhere it should not be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cargoman_testkit::cargoman::{Registry, command};
use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::git::Fault;
use cargoman_testkit::output::{Output, run};
use cargoman_tests::World;
use cargoman_tests::command_line::{LIMIT, admin, ask, ask_json, ends};
use cargoman_tests::operator::text;
use cargoman_tests::world::LOCAL;
use serde_json::{Value, json};

const PASSWORD: &str = "canary-1f7Q-password";
const OTHER_PASSWORD: &str = "canary-9kW2-password";

/// Every form in which a planted secret might turn up.
fn planted(private_key: &str, master_keys: &str) -> Vec<String> {
    let mut plain = vec![PASSWORD.to_owned(), OTHER_PASSWORD.to_owned()];
    plain.extend(private_key.lines().skip(2).take(2).map(str::to_owned));
    plain.extend(master_keys.lines().map(str::to_owned));
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut all: Vec<String> = plain.iter().map(|text| hex(text)).collect();
    all.extend([PASSWORD, OTHER_PASSWORD].map(|password| STANDARD.encode(format!("acme:{password}"))));
    all.extend(plain);
    all
}

#[track_caller]
fn holds_none(what: &str, bytes: &[u8], canaries: &[String]) {
    for canary in canaries {
        let found = bytes.windows(canary.len()).any(|part| part == canary.as_bytes());
        assert!(!found, "a planted secret ({}…) in {what}", &canary[..8]);
    }
}

/// Command lines and environments of all processes.
fn processes() -> Vec<(String, Vec<u8>)> {
    let folders = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let files = folders.flat_map(|folder| ["cmdline", "environ"].map(|name| folder.join(name)));
    // Those of others and of processes that end meanwhile cannot be read.
    files.filter_map(|file| Some((file.display().to_string(), fs::read(&file).ok()?))).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        match (kind.is_dir(), kind.is_file()) {
            (true, _) => all.extend(files(&entry.path())),
            (_, true) => all.push(entry.path()),
            _ => {}
        }
    }
    all
}

fn secrets(registry: &Registry, arguments: &[&str]) -> Output {
    let mut secrets = command();
    if let Some(database) = registry.database() {
        secrets.env("DATABASE_URL", database.url());
    }
    run(secrets.arg("secrets").args(arguments).arg("--data").arg(registry.data()), b"", LIMIT)
}

fn secrets_json(registry: &Registry, arguments: &[&str]) -> Value {
    let output = secrets(registry, &[arguments, &["--json"]].concat());
    serde_json::from_str(&output.expect_success().stdout).unwrap()
}

/// Makes a git credential with the secret on standard input; its id.
fn create(registry: &Registry, arguments: &[&str], secret: &str) -> String {
    let arguments = [&["git-credential", "create"], arguments, &["--json"]].concat();
    let output = run(admin(registry, &mut command(), &arguments), secret.as_bytes(), LIMIT);
    text(&serde_json::from_str::<Value>(&output.expect_success().stdout).unwrap()["id"])
}

fn made_by_openssh() -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status();
    assert!(made.unwrap().success());
    fs::read_to_string(path).unwrap()
}

/// As if a minute had passed since the last rotation.
fn settle(key_file: &Path) {
    let before = SystemTime::now() - Duration::from_secs(61);
    fs::File::open(key_file).unwrap().set_modified(before).unwrap();
}

/// C-S3, C-S4, C-S7: twenty places are searched after everything has been done with the secrets that can be done.
#[test]
fn no_secret_is_found_anywhere() {
    let world = World::start_with(Registry::builder().config(LOCAL).env("RUST_LOG", "trace"));
    let registry = &world.registry;
    let repository = world.repository("acme/pay");
    repository.write("composer.json", r#"{"name": "acme/pay"}"#).commit("First").tag("v1.0.0");
    world.git.require_basic("acme", PASSWORD);
    let url = world.repository_url("acme/pay");
    let key_file = registry.data().join("master-key");
    let first_key = fs::read_to_string(&key_file).unwrap();
    let private_key = made_by_openssh();
    let mut said = Vec::new();

    let refused = run(admin(registry, &mut command(), &["package", "add", &url]), b"", LIMIT);
    ends(&refused, 2, "asks for a credential");
    let forge =
        create(registry, &["forge", "--kind", "https", "--host", &url, "--username", "acme"], &format!("{PASSWORD}\n"));
    let key = ["key", "--kind", "ssh", "--host", "git.example.com", "--private-key-file", "-"];
    create(registry, &key, &private_key);
    let made_here =
        ask(registry, &["git-credential", "create", "own", "--kind", "ssh", "--host", "git@git.example.com:x"]);
    assert!(
        made_here.contains("its server needs this key (SHA256:") && made_here.contains("\nssh-ed25519 "),
        "{made_here}"
    );
    said.push(made_here);

    // While a worker is at it.
    world.git.fault(Some(Fault::Hang));
    let asked = world.git.requests().len();
    let operator = world.operator();
    let package = operator.post("/packages", &json!({"repository_url": url, "name": "acme/pay", "credential": forge}));
    poll_until("the worker to ask", LIMIT, || (world.git.requests().len() > asked).then_some(()));
    let running = processes();
    assert!(running.iter().any(|(_, bytes)| bytes.windows(10).any(|part| part == b"git-worker")), "a worker runs");
    world.git.fault(None);
    let first = operator.finished(package["task"].as_str().unwrap());
    said.push(first.to_string());

    // Rotation while it runs; the old key goes when nothing needs it.
    assert_eq!(ask_json(registry, &["package", "sync", "acme/pay"])["state"], "succeeded");
    let rotated = secrets_json(registry, &["rotate"]);
    assert_eq!((&rotated["resealed"], rotated["keys"].as_array().unwrap().len()), (&json!(3), 2), "{rotated}");
    ends(&secrets(registry, &["rotate", "--retire"]), 1, "seconds ago");
    settle(&key_file);
    let retired = secrets_json(registry, &["rotate", "--retire"]);
    assert_eq!(retired["retired"].as_array().unwrap().len(), 1, "{retired}");
    let checked = secrets_json(registry, &["check"]);
    assert_eq!((&checked["broken"], checked["sealed_with"].as_object().unwrap().len()), (&json!(0), 1), "{checked}");
    assert_eq!(ask_json(registry, &["package", "sync", "acme/pay"])["state"], "succeeded", "with the new key");
    said.extend([rotated.to_string(), retired.to_string(), checked.to_string()]);

    // A password that is no good, and its replacement.
    world.git.require_basic("acme", OTHER_PASSWORD);
    let failed = run(admin(registry, &mut command(), &["package", "sync", "acme/pay"]), b"", LIMIT);
    ends(&failed, 1, "does not accept the repository's credential");
    let rotate = ["git-credential", "rotate", &forge];
    let replaced = run(admin(registry, &mut command(), &rotate), OTHER_PASSWORD.as_bytes(), LIMIT);
    replaced.expect_success();
    assert!(ask(registry, &["package", "sync", "acme/pay"]).starts_with("acme/pay: 0 added"));
    said.extend([failed.combined.clone(), replaced.combined.clone()]);
    for path in ["/git-credentials", "/packages", "/tasks", "/audit", "/credentials", "/settings", "/me"] {
        said.push(operator.get(path).to_string());
    }
    said.push(ask(registry, &["git-credential", "list"]));
    said.push(ask(registry, &["git-credential", "show", &forge]));

    let second_key = fs::read_to_string(&key_file).unwrap();
    assert_ne!(first_key, second_key);
    let canaries = planted(&private_key, &format!("{first_key}{second_key}"));
    let dump = Command::new("pg_dump").arg("--inserts").arg(registry.database().unwrap().url()).output().unwrap();
    let dumped = String::from_utf8_lossy(&dump.stdout);
    assert!(dump.status.success() && dumped.contains("http://127.0.0.1:") && dumped.contains("acme/pay"), "{dumped}");
    for planted in &canaries {
        let found = std::panic::catch_unwind(|| holds_none("itself", format!("x{planted}y").as_bytes(), &canaries));
        assert!(found.is_err(), "the search finds what is there");
    }
    holds_none("pg_dump", &dump.stdout, &canaries);
    holds_none("the log", registry.log().as_bytes(), &canaries);
    assert!(registry.log().contains("TRACE") && registry.log().contains("package synced"), "the log is whole");
    for (what, bytes) in running.iter().chain(&processes()) {
        holds_none(what, bytes, &canaries);
    }
    for text in &said {
        holds_none(text, text.as_bytes(), &canaries);
    }
    let kept: Vec<PathBuf> = files(&registry.data()).into_iter().filter(|file| *file != key_file).collect();
    assert!(kept.len() > 5, "{kept:?}");
    for file in kept {
        holds_none(&file.display().to_string(), &fs::read(&file).unwrap_or_default(), &canaries);
    }
}

/// A registry with its own database: its key file is made with it, and its secrets are checked while it runs and while it does not.
/// Without the right key a clear word, and with it everything is back.
#[test]
fn the_key_of_a_data_folder() {
    let mut registry = Registry::builder().config(LOCAL).embedded().start();
    let url = "git.example.com";
    for number in 0..3 {
        let name = format!("c{number}");
        create(&registry, &[name.as_str(), "--kind", "https", "--host", url], PASSWORD);
    }
    assert_eq!(secrets_json(&registry, &["check"])["broken"], 0);
    registry.stop();
    let rotated = secrets_json(&registry, &["rotate"]);
    assert_eq!((&rotated["resealed"], rotated["added"].is_string()), (&json!(3), true), "{rotated}");
    let words = secrets(&registry, &["check"]);
    assert!(words.expect_success().stdout.contains("3 secret(s), seals what is new"), "{}", words.stdout);

    // Keys of a variable are its owner's to change; he is told how.
    let by_variable = |arguments: &[&str], key: &str| {
        let mut secrets = command();
        secrets.env("CARGOMAN_MASTER_KEY", key).arg("secrets").args(arguments).arg("--data").arg(registry.data());
        run(&mut secrets, b"", LIMIT)
    };
    let (new, old) =
        (by_variable(&["new-key"], "").stdout, fs::read_to_string(registry.data().join("master-key")).unwrap());
    let (new, old) = (new.trim(), old.lines().next().unwrap());
    assert!(new.len() == 64 && new.bytes().all(|byte| byte.is_ascii_hexdigit()), "{new}");
    ends(&by_variable(&["rotate"], old), 2, "start every registry with that");
    by_variable(&["rotate", "--reseal-only"], &format!("{new},{old}")).expect_success();
    assert_eq!(by_variable(&["check"], old).status.code(), Some(1), "sealed with the other one");
    by_variable(&["rotate", "--reseal-only"], &format!("{old},{new}")).expect_success();
    ends(&by_variable(&["check"], "nonsense"), 2, "CARGOMAN_MASTER_KEY: key 1: ");

    // The backup without its key.
    let key_file = registry.data().join("master-key");
    let aside = registry.data().join("aside");
    fs::rename(&key_file, &aside).unwrap();
    registry.restart();
    let check = secrets(&registry, &["check"]);
    assert_eq!(check.status.code(), Some(1), "{}", check.combined);
    assert!(
        check.stdout.contains("sealed with the missing key") && check.stderr.contains("3 of 3 secrets"),
        "{}",
        check.combined
    );
    fs::rename(&aside, &key_file).unwrap();
    assert_eq!(secrets_json(&registry, &["check"])["broken"], 0, "and it is back");
    // A file that others may read is refused at the start.
    registry.stop();
    fs::set_permissions(&key_file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let mut up = command();
    up.arg("up")
        .arg("--data")
        .arg(registry.data())
        .args(["--listen", "127.0.0.1:0"])
        .env("ADMIN_TOKEN", "0123456789abcdef");
    ends(&run(&mut up, b"", LIMIT), 2, "chmod 600");
}
