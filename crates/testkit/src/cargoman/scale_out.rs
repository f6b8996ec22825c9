//! A registry over several processes: control planes and edges as programs of their own, and a PostgreSQL of their own that can be
//! killed, stopped and set back.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use cargoman_credential::{Kind, Secret};
use cargoman_local_postgres::{Durability, LocalPostgres, Settings};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::program::{Program, binary, isolated};
use super::{ADMIN_TOKEN, STOP_LIMIT};
use crate::deadline::poll_until;
use crate::raw_http::{self, Response};

/// How long anything may take to begin serving.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// Control planes, edges and their database.
#[derive(Debug)]
pub struct ScaleOut {
    // The order matters: programs must be gone before their database, and all before the folder.
    /// The edges.
    pub edges: Vec<Node>,
    /// The control planes.
    pub control_planes: Vec<Node>,
    /// Their database.
    pub database: Database,
    folder: TempDir,
}

/// One process of it.
#[derive(Debug)]
pub struct Node {
    name: String,
    address: String,
    binary: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    program: Option<Program>,
}

/// A PostgreSQL of one's own.
#[derive(Debug)]
pub struct Database {
    settings: Settings,
    server: Option<LocalPostgres>,
    url: String,
}

impl ScaleOut {
    /// So many of each, all serving.
    #[track_caller]
    pub fn start(control_planes: usize, edges: usize) -> Self {
        let folder = crate::temporary::folder();
        let database = Database::start(&folder.path().join("postgres"));
        let credential = Secret::generate(Kind::Edge, &ring::rand::SystemRandom::new()).expect("random bytes");
        let ports: Vec<_> = (0..control_planes).map(|_| (free(), free())).collect();
        let mut world = Self { edges: Vec::new(), control_planes: Vec::new(), database, folder };
        let edge_ports: Vec<_> = (0..edges).map(|_| free()).collect();
        for (number, (public, edge_api)) in ports.iter().enumerate() {
            world.add_control_plane(number, *public, *edge_api, edge_ports.first().copied().unwrap_or(1), &credential);
        }
        for (number, port) in edge_ports.iter().enumerate() {
            world.add_edge(number, *port, &ports, &credential);
        }
        world
    }

    fn add_control_plane(&mut self, number: usize, public: u16, edge_api: u16, edge: u16, credential: &Secret) {
        let root = self.folder.path();
        let toml = format!(
            "[server]\nlisten = \"127.0.0.1:{public}\"\nedge_listen = \"127.0.0.1:{edge_api}\"\n\
             public_url = \"http://127.0.0.1:{edge}\"\n[storage]\nroot = {:?}\n[git]\nroot = {:?}\nallow_local = true\n",
            root.join("storage"),
            root.join(format!("git-{number}")),
        );
        let config = self.write(&format!("control-plane-{number}.toml"), &toml);
        let mut node = self.node(format!("control-plane-{number}"), public, binary());
        node.arguments = vec!["control-plane".to_owned(), "--config".to_owned(), config];
        node.environment = vec![
            ("DATABASE_URL".to_owned(), self.database.url.clone()),
            ("ADMIN_TOKEN".to_owned(), ADMIN_TOKEN.to_owned()),
            ("CARGOMAN_EDGE_CREDENTIAL".to_owned(), credential.expose().to_owned()),
        ];
        node.start();
        self.control_planes.push(node);
    }

    fn add_edge(&mut self, number: usize, port: u16, control_planes: &[(u16, u16)], credential: &Secret) {
        let root = self.folder.path();
        // Each prefers another one.
        let urls = |of: fn(&(u16, u16)) -> u16| {
            let count = control_planes.len();
            let rotated = control_planes.iter().cycle().skip(number % count).take(count);
            rotated.map(|ports| format!("\"http://127.0.0.1:{}\"", of(ports))).collect::<Vec<_>>().join(", ")
        };
        let toml = format!(
            "[edge]\nname = \"edge-{number}\"\nlisten = [\"127.0.0.1:{port}\"]\nthreads = 2\ndrain_seconds = 2\n\
             state_directory = {:?}\n[control_plane]\nedge_urls = [{}]\npublic_urls = [{}]\n[cache]\ndirectory = {:?}\n",
            root.join(format!("edge-state-{number}")),
            urls(|ports| ports.1),
            urls(|ports| ports.0),
            root.join(format!("edge-cache-{number}")),
        );
        let config = self.write(&format!("edge-{number}.toml"), &toml);
        let mut node = self.node(format!("edge-{number}"), port, binary().with_file_name("cargoman-edge"));
        node.arguments = vec!["--config".to_owned(), config];
        node.environment = vec![("CARGOMAN_CONTROL_PLANE__CREDENTIAL".to_owned(), credential.expose().to_owned())];
        node.start();
        self.edges.push(node);
    }

    fn write(&self, name: &str, toml: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, toml).expect("our own folder");
        path.to_string_lossy().into_owned()
    }

    fn node(&self, name: String, port: u16, binary: PathBuf) -> Node {
        Node {
            log: self.folder.path().join(format!("{name}.log")),
            name,
            address: format!("127.0.0.1:{port}"),
            binary,
            arguments: Vec::new(),
            environment: Vec::new(),
            program: None,
        }
    }

    /// Calls the REST API of a control plane as root; gives the status and the JSON.
    #[track_caller]
    pub fn api(&self, control_plane: usize, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let response = self.control_planes[control_plane].api(method, path, body);
        let value = if response.body.is_empty() { Value::Null } else { response.json() };
        (response.status, value)
    }
}

impl Drop for ScaleOut {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for node in self.control_planes.iter().chain(&self.edges) {
                let log = node.log();
                let lines: Vec<_> = log.lines().filter(|line| !line.contains("cargoman::access")).collect();
                let last = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default();
                eprintln!("the end of {}'s log:\n{}", node.name, last.join("\n"));
            }
        }
    }
}

impl Node {
    /// Host and port; the same over restarts.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Starts it and waits until it serves.
    #[track_caller]
    pub fn start(&mut self) {
        self.spawn();
        poll_until(&format!("{} serves; see its log:\n{}", self.name, self.log()), READY_LIMIT, || {
            (self.status("/readyz") == Some(200)).then_some(())
        });
    }

    /// Starts it.
    pub fn spawn(&mut self) {
        let mut command: Command = isolated(&self.binary);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.program = Some(Program::start(command, &self.log));
    }

    /// Ends it as a power cut of its process would.
    pub fn kill9(&mut self) {
        self.program.take().expect("it runs").kill();
    }

    /// SIGTERM, and waits for the end.
    #[track_caller]
    pub fn stop(&mut self) {
        let ended = self.program.take().expect("it runs").terminate(STOP_LIMIT);
        assert!(ended.is_some(), "{} did not stop:\n{}", self.name, self.log());
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.program.as_ref().expect("it runs").pid();
        kill_process(Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid"), signal).expect("it lives");
    }

    /// What it logged over all starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn status(&self, path: &str) -> Option<u16> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        let mut connection = std::net::TcpStream::connect(&self.address).ok()?;
        connection.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        std::io::Write::write_all(&mut connection, request.as_bytes()).ok()?;
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut connection, &mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    /// Calls its REST API as root.
    #[track_caller]
    pub fn api(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        let authorization = format!("Bearer {ADMIN_TOKEN}");
        let mut headers = vec![("Authorization", authorization.as_str())];
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        raw_http::request(method, &format!("http://{}{path}", self.address), &headers, body.as_bytes())
    }
}

impl Database {
    fn start(data: &Path) -> Self {
        let settings = Settings {
            durability: Durability::Full,
            binaries: std::env::var_os("PG_BIN").map(PathBuf::from),
            start_timeout: Duration::from_secs(60),
            ..Settings::new(data)
        };
        let server = LocalPostgres::start(&settings).unwrap_or_else(|error| panic!("no PostgreSQL: {error}"));
        Self { url: server.url().to_owned(), server: Some(server), settings }
    }

    /// Where it is reached; the same over restarts.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends all its processes at once, without a word.
    pub fn kill9(&mut self) {
        let processes = self.processes();
        for process in processes {
            kill_process(process, Signal::KILL).ok();
        }
        // What it left is cleared away by the next start.
        drop(self.server.take());
    }

    /// Stops it in order.
    #[track_caller]
    pub fn stop(&mut self) {
        self.server.take().expect("it runs").stop().unwrap_or_else(|error| panic!("it does not stop: {error}"));
    }

    /// Starts it again on the same data.
    #[track_caller]
    pub fn restart(&mut self) {
        let server = LocalPostgres::start(&self.settings).unwrap_or_else(|error| panic!("no PostgreSQL: {error}"));
        assert_eq!(server.url(), self.url, "the same address");
        self.server = Some(server);
    }

    /// Holds all its processes.
    pub fn pause(&self) {
        self.processes().into_iter().for_each(|process| kill_process(process, Signal::STOP).unwrap_or_default());
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.processes().into_iter().for_each(|process| kill_process(process, Signal::CONT).unwrap_or_default());
    }

    /// Copies its data; it must not run.
    #[track_caller]
    pub fn back_up(&self, to: &Path) {
        copy(&self.settings.data, to);
    }

    /// Puts a copy in the place of its data; it must not run.
    #[track_caller]
    pub fn set_back(&self, from: &Path) {
        std::fs::remove_dir_all(&self.settings.data).expect("our own folder");
        copy(from, &self.settings.data);
    }

    /// The first one and its children.
    fn processes(&self) -> Vec<Pid> {
        let first = self.server.as_ref().expect("it runs").pid();
        let mut found = vec![first];
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse::<u32>().ok());
            if parent == Some(first) {
                found.push(pid);
            }
        }
        found.into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).collect()
    }
}

/// With owners and modes.
#[track_caller]
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).stdin(Stdio::null()).status();
    assert!(copied.is_ok_and(|status| status.success()), "cannot copy {}", from.display());
}

/// A port that was free a moment ago.
fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}
