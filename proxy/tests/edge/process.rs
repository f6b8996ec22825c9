//! `cargoman-edge` as a process: it says everything that is wrong at once, and ends in order.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cargoman_credential::{Kind, Secret};

use super::client::Connection;
use super::world::secret;

fn edge() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargoman-edge"));
    command.env_clear().stdin(Stdio::null());
    command
}

#[test]
fn a_wrong_configuration() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "[edge]\nlisten = [\"nowhere\"]\nthreds = 1\n[control_plane]\n[[plugins]]\nname = \"x\"\n",
    )
    .unwrap();
    let output = edge().arg("--config").arg(file.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for expected in [
        "edge.listen `nowhere`",
        "edge.threds",
        "control_plane.edge_url",
        "control_plane.public_url",
        "credential_file",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(edge().arg("--config").arg("/does/not/exist").output().unwrap().status.code(), Some(2));
}

/// A running edge whose control plane is away.
struct Running {
    child: Child,
    address: SocketAddr,
    credential: Secret,
    lines: Box<dyn Iterator<Item = String>>,
    said: String,
    _directory: tempfile::TempDir,
}

impl Running {
    fn start() -> Self {
        Self::start_as(edge())
    }

    fn start_as(mut command: Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("edge.toml");
        let text = format!(
            "[edge]\nlisten = [\"127.0.0.1:0\"]\n[control_plane]\nedge_url = \"http://127.0.0.1:9\"\npublic_url = \"http://127.0.0.1:9\"\n\
             [cache]\ndirectory = {:?}\n",
            directory.path().join("cache")
        );
        std::fs::write(&file, text).unwrap();
        let credential = secret(Kind::Edge);
        let mut child = command
            .arg("--config")
            .arg(&file)
            .env("CARGOMAN_CONTROL_PLANE__CREDENTIAL", credential.expose())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = String::new();
        let address = lines.by_ref().find_map(|line| {
            said.push_str(&line);
            let value: serde_json::Value = serde_json::from_str(&line).ok()?;
            value["address"].as_str()?.parse().ok()
        });
        let address = address.unwrap_or_else(|| panic!("no address: {said}"));
        Self { child, address, credential, lines: Box::new(lines), said, _directory: directory }
    }

    fn terminate(&self) {
        assert!(Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap().success());
    }

    /// Waits for its end in order; everything it logged.
    fn ended(&mut self) -> String {
        assert!(self.child.wait().unwrap().success());
        self.lines.by_ref().chain([std::mem::take(&mut self.said)]).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn sigterm_ends_it() {
    let mut running = Running::start();
    let mut connection = Connection::open(running.address);
    assert_eq!(connection.request("GET", "/healthz", &[("Host", "any")]).status, 200);
    assert_eq!(connection.request("GET", "/readyz", &[("Host", "any")]).status, 503);
    running.terminate();
    let credential = running.credential.expose().to_owned();
    let said = running.ended();
    assert!(connection.is_closed());
    assert!(!said.contains(&credential));
}

/// A request may be on its way on a connection that looks idle: it is answered, and told that it was the last.
#[test]
fn draining_answers_what_is_on_its_way() {
    let mut running = Running::start();
    let asked = |connection: &mut Connection| connection.request("GET", "/healthz", &[("Host", "any")]);
    let (mut used, mut fresh) = (Connection::open(running.address), Connection::open(running.address));
    assert_eq!(asked(&mut used).field("connection"), Some("keep-alive"));
    // Whoever came after it was taken after it, so this one was taken too.
    assert_eq!(asked(&mut Connection::open(running.address)).status, 200);
    let stopped = Instant::now();
    running.terminate();
    while TcpStream::connect(running.address).is_ok() {
        assert!(stopped.elapsed() < Duration::from_secs(4), "it goes on listening");
        std::thread::sleep(Duration::from_millis(5));
    }
    for connection in [&mut used, &mut fresh] {
        let last = asked(connection);
        assert_eq!((last.status, last.field("connection")), (200, Some("close")));
        assert!(connection.is_closed());
    }
    running.ended();
    assert!(stopped.elapsed() < Duration::from_secs(4), "nobody was left, so that there was nothing to wait for");
}

/// E-R20: a process that may open no more files goes on with what it has, does not burn the processor over it, and takes connections
/// again as soon as it can.
#[test]
fn out_of_files() {
    let mut limited = Command::new("/bin/sh");
    let program = concat!("ulimit -n 256; exec ", env!("CARGO_BIN_EXE_cargoman-edge"), " \"$@\"");
    limited.env_clear().stdin(Stdio::null()).args(["-c", program, "edge"]);
    let running = Running::start_as(limited);
    let health = |connection: &mut Connection| connection.request("GET", "/healthz", &[("Host", "any")]).status;
    let mut there = Connection::open(running.address);
    assert_eq!(health(&mut there), 200);
    let crowd: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(running.address).unwrap()).collect();
    // The last of the crowd is taken by the system alone.
    let before = processor_time(running.child.id());
    let began = Instant::now();
    let mut asked = 0;
    while began.elapsed() < Duration::from_secs(1) {
        assert_eq!(health(&mut there), 200);
        asked += 1;
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let used = processor_time(running.child.id()) - before;
    assert!(used < Duration::from_millis(500), "{used:?} of processor time for {asked} requests");
    drop(crowd);
    let freed = Instant::now();
    assert_eq!(health(&mut Connection::open(running.address)), 200);
    assert!(freed.elapsed() < Duration::from_secs(3), "{:?}", freed.elapsed());
}

/// What a process has used, of its own and in the system.
fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
