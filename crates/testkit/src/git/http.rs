//! Git's smart HTTP over loopback, served by the real `git http-backend`, with faults on request. One thread for
//! each connection, one request for each connection.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use base64::Engine as _;
use tempfile::TempDir;

pub use super::http_message::Request;
use super::repository::Repository;

/// What goes wrong with every request until it is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Answers this status with a short text.
    Status(u16),
    /// Answers a redirect to this URL.
    Redirect(String),
    /// Reads the request and answers nothing until the fault is changed or the server is dropped.
    Hang,
    /// Closes the connection without an answer.
    Close,
    /// Closes the connection after so many bytes of the answer's body.
    Truncate(usize),
}

/// A server of all repositories in one folder.
pub struct HttpServer {
    address: SocketAddr,
    folder: TempDir,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Answers some requests before git does; `None` leaves a request to git.
pub type Handler = Arc<dyn Fn(&Request) -> Option<Reply> + Send + Sync>;

/// What a handler answers.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

#[derive(Default)]
struct State {
    root: PathBuf,
    credentials: Option<(String, String)>,
    fault: Option<Fault>,
    handler: Option<Handler>,
    requests: Vec<Request>,
    closing: bool,
}

impl HttpServer {
    /// Starts a server without repositories on a free port of 127.0.0.1.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let state = State { root: folder.path().to_owned(), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, folder, shared, accepting: Some(accepting) }
    }

    /// Makes an empty repository that is served as `name`, such as `library.git`.
    pub fn repository(&self, name: &str) -> Repository {
        Repository::bare_at(&self.folder.path().join(name))
    }

    /// The folder whose repositories are served.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The URL of the repository `name`.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on asks for this user and password (HTTP Basic).
    pub fn require_basic(&self, user: &str, password: &str) {
        self.shared.state().credentials = Some((user.to_owned(), password.to_owned()));
    }

    /// From now on this answers first.
    pub fn handler(&self, handler: Handler) {
        self.shared.state().handler = Some(handler);
    }

    /// From now on every request fails like this; `None` ends it.
    pub fn fault(&self, fault: Option<Fault>) {
        self.shared.state().fault = fault;
        self.shared.changed.notify_all();
    }

    /// All requests so far, refused ones included.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }
}

impl std::fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpServer({})", self.address)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.shared.changed.notify_all();
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while_hanging(&self) {
        let hanging = |state: &mut State| !state.closing && state.fault == Some(Fault::Hang);
        drop(self.changed.wait_while(self.state(), hanging).unwrap_or_else(PoisonError::into_inner));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.state().closing {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A client that goes away is no failure of the test; it sees its own end of it.
            let _ = answer(&stream, &shared);
            let _ = stream.shutdown(Shutdown::Both);
        });
    }
}

fn answer(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let Some(request) = Request::read(stream)? else { return Ok(()) };
    let (root, credentials, fault, handler) = {
        let mut state = shared.state();
        state.requests.push(request.clone());
        (state.root.clone(), state.credentials.clone(), state.fault.clone(), state.handler.clone())
    };
    let mut limit = usize::MAX;
    match fault {
        Some(Fault::Status(status)) => return plain(stream, status, ""),
        Some(Fault::Redirect(location)) => return plain(stream, 302, &format!("Location: {location}\r\n")),
        Some(Fault::Hang) => {
            shared.wait_while_hanging();
            return Ok(());
        }
        Some(Fault::Close) => return Ok(()),
        Some(Fault::Truncate(bytes)) => limit = bytes,
        None => {}
    }
    if let Some(reply) = handler.and_then(|handler| handler(&request)) {
        return write_reply(stream, &reply);
    }
    if let Some((user, password)) = &credentials {
        let expected = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        if request.header("authorization") != Some(&format!("Basic {expected}")) {
            return plain(stream, 401, "WWW-Authenticate: Basic realm=\"git\"\r\n");
        }
    }
    let user = credentials.map(|(user, _)| user);
    through_backend(stream, &request, &root, user.as_deref(), limit)
}

fn write_reply(mut stream: &TcpStream, reply: &Reply) -> io::Result<()> {
    let headers: String = reply.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let (status, length) = (reply.status, reply.body.len());
    write!(stream, "HTTP/1.1 {status} Reply\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&reply.body)
}

fn plain(mut stream: &TcpStream, status: u16, headers: &str) -> io::Result<()> {
    let text = format!("status {status}\n");
    write!(
        stream,
        "HTTP/1.1 {status} Fault\r\n{headers}Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
}

/// Runs the CGI program and hands its answer on, in chunks so that the client notices when the end is missing.
fn through_backend(
    mut stream: &TcpStream,
    request: &Request,
    root: &Path,
    user: Option<&str>,
    limit: usize,
) -> io::Result<()> {
    let mut child = backend(request, root, user).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("no pipes"));
    };
    let body = request.body.clone();
    // Beside reading: the program may answer before it has read everything.
    let writing = std::thread::spawn(move || {
        let _ = input.write_all(&body);
    });
    let mut output = BufReader::new(output);
    let result = head(&mut output).and_then(|head| {
        stream.write_all(head.as_bytes())?;
        chunks(stream, &mut output, limit)
    });
    // Its output is closed first: after an early end the program would otherwise wait to be read.
    drop(output);
    let _ = writing.join();
    child.wait()?;
    result
}

/// What git answers, as a whole: for handlers that stand in front of it.
pub(crate) fn backend_reply(request: &Request, root: &Path) -> Reply {
    let failed = || Reply { status: 500, headers: Vec::new(), body: Vec::new() };
    let Ok(mut child) = backend(request, root, None).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        return failed();
    };
    let (input, body) = (child.stdin.take(), request.body.clone());
    let writing = std::thread::spawn(move || input.map(|mut input| input.write_all(&body)));
    let Ok(output) = child.wait_with_output() else { return failed() };
    let _ = writing.join();
    let end = output.stdout.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0);
    let (head, body) = output.stdout.split_at(end);
    let mut reply = Reply { status: 200, headers: Vec::new(), body: body.get(4..).unwrap_or_default().to_vec() };
    for line in String::from_utf8_lossy(head).lines() {
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("status") => {
                reply.status = value.get(..3).and_then(|code| code.parse().ok()).unwrap_or(500);
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-type") => {
                reply.headers.push(("Content-Type", value.to_owned()));
            }
            _ => {}
        }
    }
    reply
}

fn backend(request: &Request, root: &Path, user: Option<&str>) -> Command {
    let mut command = super::command(root);
    let (path, query) = request.path_and_query();
    command.arg("http-backend").stderr(Stdio::null());
    command.env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1").env("SERVER_PROTOCOL", "HTTP/1.1");
    command.env("REQUEST_METHOD", &request.method).env("PATH_INFO", path).env("QUERY_STRING", query);
    command.env("REMOTE_ADDR", "127.0.0.1").env("CONTENT_LENGTH", request.body.len().to_string());
    let passed = [
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ];
    for (header, variable) in passed {
        if let Some(value) = request.header(header) {
            command.env(variable, value);
        }
    }
    if let Some(user) = user {
        command.env("REMOTE_USER", user);
    }
    command
}

/// Turns the CGI head into an HTTP one.
fn head(output: &mut impl io::BufRead) -> io::Result<String> {
    let mut status = "200 OK".to_owned();
    let mut headers = String::new();
    for line in output.lines() {
        let line = line?;
        match line.split_once(": ") {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("status") => value.clone_into(&mut status),
            Some((name, value)) => headers.push_str(&format!("{name}: {value}\r\n")),
        }
    }
    Ok(format!("HTTP/1.1 {status}\r\n{headers}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"))
}

fn chunks(mut stream: &TcpStream, output: &mut impl io::Read, limit: usize) -> io::Result<()> {
    let mut left = limit;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = output.read(&mut buffer)?;
        let sent = length.min(left);
        if sent > 0 {
            write!(stream, "{sent:x}\r\n")?;
            stream.write_all(&buffer[..sent])?;
            stream.write_all(b"\r\n")?;
        }
        if sent < length {
            return Ok(());
        }
        if length == 0 {
            return stream.write_all(b"0\r\n\r\n");
        }
        left -= sent;
    }
}
