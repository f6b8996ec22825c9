//! A git server on a loopback port: `git http-backend` behind the smallest HTTP that serves, or whatever a test wants to answer.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use crate::repository::isolated;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// Answers from memory: status, headers, body.
pub(crate) struct Reply(pub(crate) &'static str, pub(crate) Vec<(&'static str, String)>, pub(crate) Vec<u8>);

/// What a test answers instead of git; `None` lets git answer.
pub(crate) type Answering = dyn Fn(&Asked) -> Option<Reply> + Send + Sync;

/// Serves until the test's process ends.
pub(crate) struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Serves the repositories below `root`.
    pub(crate) fn start(root: &Path) -> Self {
        Self::answering(root, |_| None)
    }

    /// The same over TLS, with a certificate that nobody knows.
    pub(crate) fn start_tls(root: &Path) -> Self {
        Self::start_tls_as(root, LOCALHOST)
    }

    /// The same with this key and certificate.
    pub(crate) fn start_tls_as(root: &Path, pem: &str) -> Self {
        Self::listen(root, Arc::new(|_: &Asked| None), Some(tls(pem)))
    }

    pub(crate) fn answering(root: &Path, answering: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::listen(root, Arc::new(answering), None)
    }

    fn listen(root: &Path, answering: Arc<Answering>, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, root) = (Arc::clone(&asked), root.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, root, answering, tls) = (Arc::clone(&log), root.clone(), Arc::clone(&answering), tls.clone());
                // A client that goes away in the middle is part of what is tested.
                std::thread::spawn(move || match tls {
                    None => drop(serve(stream, &root, &log, &*answering)),
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(config).unwrap();
                        drop(serve(rustls::StreamOwned::new(connection, stream), &root, &log, &*answering));
                    }
                });
            }
        });
        Self { port, asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// All requests since the last call.
    pub(crate) fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// Key and certificate for `localhost` and 127.0.0.1.
pub(crate) const LOCALHOST: &str = include_str!("localhost.pem");

fn tls(pem: &str) -> Arc<rustls::ServerConfig> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}

fn serve(
    stream: impl Read + Write,
    root: &Path,
    log: &Mutex<Vec<Asked>>,
    answering: &Answering,
) -> std::io::Result<()> {
    let mut stream = stream;
    let mut reader = BufReader::new(&mut stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or("").to_owned(), words.next().unwrap_or("").to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body)?;
    let asked = Asked { method, target, headers, body };
    log.lock().unwrap().push(asked.clone());
    let Reply(status, headers, body) = answering(&asked).unwrap_or_else(|| backend(root, &asked));
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len())?;
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(&body)?;
    stream.flush()
}

/// git's own CGI program.
fn backend(root: &Path, asked: &Asked) -> Reply {
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let mut child = isolated("git", root, 0)
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", &asked.method)
        .env("CONTENT_TYPE", asked.headers.get("content-type").map_or("", String::as_str))
        .env("CONTENT_LENGTH", asked.body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let body = asked.body.clone();
    // It may answer, and close its ear, before it has heard everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&body)));
    let output = child.wait_with_output().unwrap().stdout;
    writer.join().unwrap();
    let split = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&output[..split]).into_owned();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let status = match header("Status: ").as_deref().and_then(|status| status.get(..3)) {
        None => "200 OK",
        Some("404") => "404 Not Found",
        Some(_) => "500 Internal Server Error",
    };
    Reply(status, vec![("Content-Type", header("Content-Type: ").unwrap_or_default())], output[split + 4..].to_vec())
}
