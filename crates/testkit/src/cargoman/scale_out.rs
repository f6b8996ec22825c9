//! A registry over several processes: control planes and edges as programs of their own, and a PostgreSQL of their own that can be
//! killed, stopped and set back.

mod database;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use cargoman_credential::{Kind, Secret};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub use database::Database;

use super::program::{Program, binary, isolated};
use super::{ADMIN_TOKEN, STOP_LIMIT};
use crate::deadline::poll_until;
use crate::link_proxy::LinkProxy;
use crate::port;
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
    /// Between each edge and each control plane's edge API, if there are proxies: `links[edge][control plane]`.
    pub links: Vec<Vec<LinkProxy>>,
    /// Their database.
    pub database: Database,
    /// What edges show to control planes.
    pub credential: Secret,
    /// Host and port of each control plane's edge API.
    pub edge_apis: Vec<String>,
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

impl ScaleOut {
    /// So many of each, all serving.
    #[track_caller]
    pub fn start(control_planes: usize, edges: usize) -> Self {
        Self::begin(control_planes, edges, (false, ""))
    }

    /// The same, with more in the configuration of each edge: keys of its section `[edge]`, and sections of their own.
    #[track_caller]
    pub fn start_with_edge_config(control_planes: usize, edges: usize, toml: &str) -> Self {
        Self::begin(control_planes, edges, (false, toml))
    }

    /// The same with a [`LinkProxy`] between every edge and every control plane.
    #[track_caller]
    pub fn start_with_proxies(control_planes: usize, edges: usize) -> Self {
        Self::begin(control_planes, edges, (true, ""))
    }

    #[track_caller]
    fn begin(control_planes: usize, edges: usize, (proxies, edge_config): (bool, &str)) -> Self {
        let folder = crate::temporary::folder();
        let database = Database::start(&folder.path().join("postgres"));
        let credential = Secret::generate(Kind::Edge, &ring::rand::SystemRandom::new()).expect("random bytes");
        let ports: Vec<_> = (0..control_planes).map(|_| (port::free(), port::free())).collect();
        let mut world = Self {
            edges: Vec::new(),
            control_planes: Vec::new(),
            links: Vec::new(),
            database,
            credential,
            edge_apis: ports.iter().map(|(_, edge_api)| format!("127.0.0.1:{edge_api}")).collect(),
            folder,
        };
        let edge_ports: Vec<_> = (0..edges).map(|_| port::free()).collect();
        for (number, (public, edge_api)) in ports.iter().enumerate() {
            world.add_control_plane(number, *public, *edge_api, edge_ports.first().copied().unwrap_or(1));
        }
        for (number, port) in edge_ports.iter().enumerate() {
            let links = ports.iter().map(|(_, edge_api)| LinkProxy::start(&format!("127.0.0.1:{edge_api}")));
            let links: Vec<_> = if proxies { links.collect() } else { Vec::new() };
            let reached = |(at, (public, edge_api)): (usize, &(u16, u16))| {
                (*public, links.get(at).map_or(*edge_api, LinkProxy::port))
            };
            let reached: Vec<_> = ports.iter().enumerate().map(reached).collect();
            world.links.push(links);
            world.add_edge(number, *port, &reached, edge_config);
        }
        world
    }

    fn add_control_plane(&mut self, number: usize, public: u16, edge_api: u16, edge: u16) {
        let root = self.folder.path();
        let toml = format!(
            "[server]\nlisten = \"127.0.0.1:{public}\"\nedge_listen = \"127.0.0.1:{edge_api}\"\n\
             public_url = \"http://127.0.0.1:{edge}\"\n[storage]\nroot = {:?}\n[git]\nroot = {:?}\nallow_local = true\n",
            self.storage(),
            root.join(format!("git-{number}")),
        );
        let config = self.write(&format!("control-plane-{number}.toml"), &toml);
        let mut node = self.node(format!("control-plane-{number}"), public, binary());
        node.arguments = vec!["control-plane".to_owned(), "--config".to_owned(), config];
        node.environment = vec![
            ("DATABASE_URL".to_owned(), self.database.url().to_owned()),
            ("ADMIN_TOKEN".to_owned(), ADMIN_TOKEN.to_owned()),
            ("CARGOMAN_EDGE_CREDENTIAL".to_owned(), self.credential.expose().to_owned()),
        ];
        node.start();
        self.control_planes.push(node);
    }

    fn add_edge(&mut self, number: usize, port: u16, control_planes: &[(u16, u16)], more: &str) {
        let root = self.folder.path();
        // Each prefers another one.
        let urls = |of: fn(&(u16, u16)) -> u16| {
            let count = control_planes.len();
            let rotated = control_planes.iter().cycle().skip(number % count).take(count);
            rotated.map(|ports| format!("\"http://127.0.0.1:{}\"", of(ports))).collect::<Vec<_>>().join(", ")
        };
        let toml = format!(
            "[edge]\nname = \"edge-{number}\"\nlisten = [\"127.0.0.1:{port}\"]\nthreads = 2\ndrain_seconds = 2\n\
             state_directory = {:?}\n{more}[control_plane]\nedge_urls = [{}]\npublic_urls = [{}]\n[cache]\ndirectory = {:?}\n",
            root.join(format!("edge-state-{number}")),
            urls(|ports| ports.1),
            urls(|ports| ports.0),
            root.join(format!("edge-cache-{number}")),
        );
        let config = self.write(&format!("edge-{number}.toml"), &toml);
        let mut node = self.node(format!("edge-{number}"), port, binary().with_file_name("cargoman-edge"));
        node.arguments = vec!["--config".to_owned(), config];
        node.environment = vec![("CARGOMAN_CONTROL_PLANE__CREDENTIAL".to_owned(), self.credential.expose().to_owned())];
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

    /// An edge's state folder.
    pub fn edge_state(&self, edge: usize) -> PathBuf {
        self.folder.path().join(format!("edge-state-{edge}"))
    }

    /// Where the control planes keep dists.
    pub fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
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

    /// The process id of the running program.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.program.as_ref().expect("it runs").pid()
    }

    /// Where its log is written.
    pub fn log_path(&self) -> &std::path::Path {
        &self.log
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
