//! Another Composer repository: a folder of files, as packagist.org would serve them, on loopback and open to everyone.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use cargoman_testkit::git::{self, Repository};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::reader::sha1;
use crate::tiny_http::{Asked, Server};

/// A running repository.
#[derive(Debug)]
pub struct StaticRepository {
    folder: TempDir,
    server: Server,
    asked: Arc<Mutex<Vec<String>>>,
}

impl StaticRepository {
    /// Without packages; other names are looked up too, as with packagist.org.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (root, seen) = (folder.path().to_owned(), Arc::clone(&asked));
        let server = Server::start(move |request, stream| {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.target.clone());
            answer(&request, stream, &root)
        });
        let repository = Self { folder, server, asked };
        repository.put("packages.json", &json!({"packages": [], "metadata-url": "/p2/%package%.json"}));
        repository
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Paths that were asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Publishes `version` of `name`, with one file in it.
    pub fn publish(&self, name: &str, version: &str) -> &Self {
        let manifest = json!({"name": name, "description": "From the other repository."});
        let source = Repository::bare();
        source.write("composer.json", manifest.to_string()).write("OTHER", "other\n").commit("First");
        let archive = git::command(source.path()).args(["archive", "--format=zip", "main"]).output().expect("git");
        assert!(archive.status.success(), "{}", String::from_utf8_lossy(&archive.stderr));
        let path = format!("dists/{name}/{version}.zip");
        self.write(&path, &archive.stdout);
        let mut entry = manifest;
        entry["version"] = json!(version);
        entry["dist"] = json!({"type": "zip", "url": format!("{}/{path}", self.url()), "reference": source.head(), "shasum": sha1(&archive.stdout)});
        self.put(&format!("p2/{name}.json"), &json!({"packages": {name: [entry]}}));
        self.put(&format!("p2/{name}~dev.json"), &json!({"packages": {name: []}}));
        self
    }

    fn put(&self, path: &str, value: &Value) {
        self.write(path, value.to_string().as_bytes());
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("our own folder");
        std::fs::write(path, bytes).expect("our own folder");
    }
}

fn answer(request: &Asked, mut stream: &TcpStream, root: &Path) -> io::Result<()> {
    let path = root.join(request.target.trim_start_matches('/').replace("%7E", "~"));
    let (status, body) = match std::fs::read(path) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", b"{}".to_vec()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nLast-Modified: Thu, 01 Jan 2015 00:00:00 GMT\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat())
}
