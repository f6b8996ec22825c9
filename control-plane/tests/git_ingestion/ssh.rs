//! Repositories over ssh, served by the real sshd.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cargoman_control_plane::git::network::Network;
use cargoman_control_plane::git::protocol::{Credential, FailureCode, Request};
use cargoman_testkit::git::Repository;

use crate::run::{Place, answer};

/// An sshd on loopback that lets in one key, as the user who runs the tests.
struct Server {
    folder: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["host", "client", "stranger"] {
            keygen(&folder.path().join(name));
        }
        fs::copy(folder.path().join("client.pub"), folder.path().join("authorized")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = serve(folder.path(), port);
        Self { folder, port, process }
    }

    /// The server is set up anew, with another key.
    fn set_up_anew(&mut self) {
        self.stop();
        for file in ["host", "host.pub"] {
            fs::remove_file(self.folder.path().join(file)).unwrap();
        }
        keygen(&self.folder.path().join("host"));
        self.process = serve(self.folder.path(), self.port);
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn request(&self, place: &Place, path: &Path, key: &str) -> Request {
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        let url = format!("ssh://{}@127.0.0.1:{}{}", user.trim(), self.port, path.display());
        let private_key = fs::read_to_string(self.folder.path().join(key)).unwrap();
        let network = Network {
            allow_local: true,
            allowed_hosts: vec!["127.0.0.1".to_owned()],
            allowed_ports: vec![self.port],
            ..Network::default()
        };
        Request { network, credential: Some(Credential::SshKey { private_key, username: None }), ..place.request(&url) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn keygen(file: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).status().unwrap();
    assert!(made.success());
}

fn serve(folder: &Path, port: u16) -> Child {
    let file = |name: &str| folder.join(name).display().to_string();
    let config = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nLogLevel QUIET\n",
        file("host"),
        file("authorized")
    );
    fs::write(folder.join("config"), config).unwrap();
    // Where sshd runs as root it wants an empty folder there.
    let _ = fs::create_dir_all("/run/sshd");
    let mut process = Command::new("/usr/sbin/sshd");
    let process = process.args(["-D", "-e", "-f"]).arg(folder.join("config")).stderr(Stdio::null()).spawn().unwrap();
    let limit = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < limit, "sshd does not listen");
        std::thread::yield_now();
    }
    process
}

fn repository() -> (Repository, PathBuf) {
    let repository = Repository::bare_with(|repository| {
        repository.write("composer.json", r#"{"name": "acme/pay"}"#).commit("first").tag("1.0.0").tag("1.1.0");
    });
    let path = repository.path().to_owned();
    (repository, path)
}

#[test]
fn a_repository_over_ssh() {
    let server = Server::start();
    let (repository, path) = repository();
    let place = Place::new();
    let asked = server.request(&place, &path, "client");
    let first = answer(&asked);
    assert_eq!(first.pretty(), ["1.1.0", "dev-main", "1.0.0"], "{first:#?}");
    assert!(answer(&first.next(&asked)).unchanged);
    repository.write("two", "two").commit("two").tag("1.2.0");
    assert_eq!(answer(&first.next(&asked)).pretty(), ["1.2.0", "dev-main"]);

    // Of the key nothing is left on the disk, and nobody else could have read it.
    assert!(!asked.output.join("ssh-key").exists());
    let known = fs::read_to_string(place.folder.path().join("known_hosts")).unwrap();
    assert!(known.starts_with(&format!("[127.0.0.1]:{} ssh-ed25519 ", server.port)), "{known}");
}

#[test]
fn who_is_not_let_in() {
    let server = Server::start();
    let (_repository, path) = repository();
    let place = Place::new();
    for (key, path, code, word) in [
        ("stranger", path.clone(), FailureCode::Authentication, "does not accept"),
        ("client", PathBuf::from("/no/such/repository"), FailureCode::NotFound, "no such repository"),
    ] {
        let found = answer(&server.request(&place, &path, key));
        assert_eq!(found.failure().code, code, "{found:?}");
        assert!(found.failure().message.contains(word), "{found:?}");
    }
    let mut none = server.request(&place, &path, "client");
    none.credential = None;
    assert_eq!(answer(&none).failure().code, FailureCode::Authentication);
    none.credential = Some(Credential::SshKey { private_key: "no key".into(), username: None });
    let broken = answer(&none);
    assert_eq!(broken.failure().code, FailureCode::Authentication, "{broken:?}");
    assert!(!format!("{broken:?}").contains("no key"));
    // G-N1: the address is checked before anything is asked.
    let mut inside = server.request(&place, &path, "client");
    inside.network.allowed_hosts.clear();
    assert_eq!(answer(&inside).failure().code, FailureCode::ForbiddenAddress);
}

/// G-N6
#[test]
fn another_key_than_before() {
    let mut server = Server::start();
    let (_repository, path) = repository();
    let place = Place::new();
    let asked = server.request(&place, &path, "client");
    assert!(answer(&asked).finished);
    server.set_up_anew();
    let changed = answer(&asked);
    assert_eq!(changed.failure().code, FailureCode::HostKey, "{changed:?}");
    assert!(changed.failure().remedy.contains("known_hosts"), "{changed:?}");
    // What the operator says counts.
    let host = fs::read_to_string(server.folder.path().join("host.pub")).unwrap();
    let file = place.folder.path().join("operators");
    fs::write(&file, format!("[127.0.0.1]:{} {host}", server.port)).unwrap();
    let mut right = server.request(&place, &path, "client");
    right.network.known_hosts = Some(file.clone());
    assert!(answer(&right).finished);
    // One that the operator's file contradicts is not believed, not even the first time.
    let stranger = fs::read_to_string(server.folder.path().join("stranger.pub")).unwrap();
    fs::write(&file, format!("[127.0.0.1]:{} {stranger}", server.port)).unwrap();
    let elsewhere = Place::new();
    let mut wrong = server.request(&elsewhere, &path, "client");
    wrong.network.known_hosts = Some(file);
    assert_eq!(answer(&wrong).failure().code, FailureCode::HostKey);
}

/// A path is one word to the shell at the other end, whatever stands in it.
#[test]
fn odd_paths() {
    let server = Server::start();
    let place = Place::new();
    let witness = server.folder.path().join("witness");
    let path = format!("/x';touch${{IFS}}{};'", witness.display());
    let found = answer(&server.request(&place, Path::new(&path), "client"));
    assert!(found.failed.is_some() && !witness.exists(), "{found:?}");
}

/// G-S2: a server that says nothing is given up.
#[test]
fn a_silent_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = Server::start();
    server.port = listener.local_addr().unwrap().port();
    let place = Place::new();
    let mut asked = server.request(&place, Path::new("/x"), "client");
    asked.limits.network_seconds = 2;
    asked.limits.connect_seconds = 60;
    let began = Instant::now();
    let found = answer(&asked);
    assert_eq!(found.failure().code, FailureCode::Unreachable, "{found:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
}

/// The key is readable by its owner alone while it is used.
#[test]
fn the_key_is_written_for_its_owner() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = Server::start();
    server.port = listener.local_addr().unwrap().port();
    let place = Place::new();
    let mut asked = server.request(&place, Path::new("/x"), "client");
    asked.limits.network_seconds = 3;
    let file = asked.output.join("ssh-key");
    let syncing = std::thread::spawn(move || answer(&asked));
    let limit = Instant::now() + Duration::from_secs(20);
    let mode = loop {
        if let Ok(metadata) = fs::metadata(&file) {
            break metadata.permissions().mode() & 0o777;
        }
        assert!(Instant::now() < limit, "no key was written");
        std::thread::yield_now();
    };
    assert_eq!(mode, 0o600);
    assert!(syncing.join().unwrap().failed.is_some());
    assert!(!file.exists());
}
