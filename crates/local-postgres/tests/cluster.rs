//! Real clusters: started, killed, left over, refused. Each test has a folder of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's own helpers fail by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cargoman_local_postgres::{Durability, LocalPostgres, Settings, StartError, StopError, running, stop_running};

#[test]
fn keeps_data_over_stop_and_start() {
    let folder = Folder::new();
    let first = LocalPostgres::start(&folder.settings()).unwrap();
    assert!(first.is_running());
    assert!(first.major_version() >= 14);
    sql(first.url(), "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('ünïcode')");
    let facts = "SELECT current_user, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), current_setting('fsync'),
        current_setting('data_checksums'), current_setting('listen_addresses'), current_setting('TimeZone')
        FROM pg_database WHERE datname = current_database()";
    assert_eq!(sql(first.url(), facts), "cargoman|cargoman|UTF8|off|on||UTC");
    let mode = first.socket_directory().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let pid = first.pid();
    first.stop().unwrap();
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(running(&folder.data()), None);

    let settings = Settings { durability: Durability::Full, database: "second".to_owned(), ..folder.settings() };
    let second = LocalPostgres::start(&settings).unwrap();
    assert_eq!(sql(second.url(), "SHOW fsync"), "on");
    assert_eq!(sql(&second.url().replace("/second?", "/cargoman?"), "SELECT word FROM kept"), "ünïcode");
}

#[test]
fn recovers_when_the_server_was_killed() {
    let folder = Folder::new();
    let settings = Settings { durability: Durability::Full, ..folder.settings() };
    let first = LocalPostgres::start(&settings).unwrap();
    sql(first.url(), "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('here')");
    kill(first.pid());
    poll("the server is gone", || !first.is_running());
    let error = first.stop().unwrap_err();
    assert!(matches!(error, StopError::AlreadyEnded { .. }), "{error}");

    let second = LocalPostgres::start(&settings).unwrap();
    assert_eq!(sql(second.url(), "SELECT word FROM kept"), "here");
    let pid = second.pid();
    drop(second);
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "dropping stops it");
}

#[test]
fn a_living_owner_is_refused_and_a_dead_owners_server_replaced() {
    let folder = Folder::new();
    let mut owner = spawn_owner(&folder.data());
    poll("the other process is ready", || folder.path().join("ready").exists());
    let orphan = running(&folder.data()).expect("it runs");
    sql(&orphan.url("cargoman"), "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('here')");

    let error = LocalPostgres::start(&folder.settings()).unwrap_err();
    assert!(matches!(&error, StartError::Locked { pid, .. } if *pid == owner.id().to_string()), "{error}");
    assert!(stop_running(&folder.data()).is_err(), "an owned server is not ours to stop");

    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_eq!(running(&folder.data()), Some(orphan.clone()), "it outlives its owner");
    let adopter = LocalPostgres::start(&folder.settings()).unwrap();
    assert_ne!(adopter.pid(), orphan.pid);
    assert_eq!(sql(adopter.url(), "SELECT word FROM kept"), "here");
    let log = std::fs::read_to_string(folder.path().join("postgres.log")).unwrap();
    assert!(log.contains("received fast shutdown request"), "the orphan was stopped in order: {log}");
}

/// Not a test of its own: the process that `a_living_owner…` kills.
#[test]
#[ignore = "started by another test"]
fn owner_process() {
    let Some(data) = std::env::var_os("OWNER_DATA").map(PathBuf::from) else { return };
    let _postgres = LocalPostgres::start(&settings(&data)).unwrap();
    std::fs::write(data.with_file_name("ready"), "").unwrap();
    // Waits to be killed; should the test die instead, its end of the pipe closes.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn a_detached_server_can_be_found_and_stopped() {
    let folder = Folder::new();
    assert!(!stop_running(&folder.data()).unwrap());
    let detached = LocalPostgres::start(&folder.settings()).unwrap().detach();
    assert_eq!(running(&folder.data()), Some(detached.clone()));
    assert_eq!(sql(&detached.url("cargoman"), "SELECT 1"), "1");
    assert!(stop_running(&folder.data()).unwrap());
    assert_eq!(running(&folder.data()), None);
    assert!(!stop_running(&folder.data()).unwrap());
}

#[test]
fn a_meaningless_pid_file_and_a_half_made_cluster_do_no_harm() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("postgres.new")).unwrap();
    std::fs::write(folder.path().join("postgres.new/PG_VERSION"), "15\n").unwrap();
    LocalPostgres::start(&folder.settings()).unwrap().stop().unwrap();
    assert!(!folder.path().join("postgres.new").exists());

    // A process that lives, but is no server: this one.
    let text = format!("{}\n{}\n1\n5432\n/nowhere\n\n\nready\n", std::process::id(), folder.data().display());
    std::fs::write(folder.data().join("postmaster.pid"), text).unwrap();
    assert_eq!(running(&folder.data()), None);
    LocalPostgres::start(&folder.settings()).unwrap().stop().unwrap();
}

#[test]
fn long_paths_get_a_short_socket() {
    let folder = Folder::new();
    let data = folder.path().join("x".repeat(120)).join("postgres");
    let first = LocalPostgres::start(&settings(&data)).unwrap();
    let directory = first.socket_directory().to_owned();
    assert!(directory.as_os_str().len() < 80, "{directory:?}");
    assert_eq!(directory.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(sql(first.url(), "SELECT 1"), "1");
    first.stop().unwrap();
    std::fs::remove_dir(directory).unwrap();
}

#[test]
fn folders_that_are_no_usable_cluster() {
    let folder = Folder::new();
    std::fs::create_dir(folder.data()).unwrap();
    std::fs::write(folder.data().join("holiday.jpg"), "").unwrap();
    let error = LocalPostgres::start(&folder.settings()).unwrap_err();
    assert!(matches!(error, StartError::NotACluster { .. }), "{error}");

    std::fs::write(folder.data().join("PG_VERSION"), "9999\n").unwrap();
    let message = LocalPostgres::start(&folder.settings()).unwrap_err().to_string();
    assert!(message.contains("made by PostgreSQL 9999") && message.contains("install postgresql-9999"), "{message}");

    let settings = Settings { binaries: Some("/nowhere".into()), ..folder.settings() };
    assert!(matches!(LocalPostgres::start(&settings), Err(StartError::MissingMajor { .. })));
    std::fs::remove_dir_all(folder.data()).unwrap();
    assert!(matches!(LocalPostgres::start(&settings), Err(StartError::NoBinaries { .. })));
}

#[test]
fn a_broken_configuration_shows_the_log() {
    let folder = Folder::new();
    LocalPostgres::start(&folder.settings()).unwrap().stop().unwrap();
    let configuration = folder.data().join("postgresql.conf");
    let text = std::fs::read_to_string(&configuration).unwrap();
    std::fs::write(&configuration, format!("{text}\nno_such_setting = 1\n")).unwrap();
    let message = LocalPostgres::start(&folder.settings()).unwrap_err().to_string();
    assert!(message.contains("no_such_setting") && message.contains("postgres.log"), "{message}");
    std::fs::write(&configuration, text).unwrap();
    LocalPostgres::start(&folder.settings()).unwrap().stop().unwrap();
}

#[test]
fn as_root_a_closed_folder_on_the_way_is_named() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root drops to another account.
    }
    let folder = Folder::new();
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).unwrap();
    let message = LocalPostgres::start(&settings(&closed.join("open/postgres"))).unwrap_err().to_string();
    let closed = closed.canonicalize().unwrap();
    assert!(message.contains(&format!("may not enter {};", closed.display())), "{message}");
    assert!(message.contains("chmod o+x"), "{message}");
    assert!(!closed.join("open/postgres").exists());
}

/// A folder that other accounts may pass through: as root the server runs as one.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn data(&self) -> PathBuf {
        self.path().join("postgres")
    }

    fn settings(&self) -> Settings {
        settings(&self.data())
    }
}

fn settings(data: &Path) -> Settings {
    Settings { durability: Durability::None, max_connections: 20, ..Settings::new(data) }
}

fn spawn_owner(data: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner_process", "--ignored"])
        .env("OWNER_DATA", data)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn poll(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Answers rows as lines, fields joined by `|`.
fn sql(url: &str, sql: &str) -> String {
    let output = Command::new("psql").args(["-XwqtA", "-v", "ON_ERROR_STOP=1", "-c", sql, "-d", url]).output().unwrap();
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
