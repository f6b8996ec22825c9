//! Bytes in, bytes out over one TCP connection: for requests that no proper client would send, and for looking at
//! answers as they come. It repairs nothing and follows nothing.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use url::Url;

/// How long one read may take before the test fails.
const LIMIT: Duration = Duration::from_secs(30);

/// One connection, for any number of requests.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// One answer. Header names are as sent; look them up with [`Response::header`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The first line.
    pub status_line: String,
    /// Names and values in the order sent.
    pub headers: Vec<(String, String)>,
    /// Without transfer coding; a content coding is left as it came.
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects to `address`: `127.0.0.1:8080`, or a URL, whose path is ignored.
    #[track_caller]
    pub fn open(address: &str) -> Self {
        Self::try_open(address).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// Like [`Self::open`], where a server may be away.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn try_open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(authority(address))?;
        stream.set_read_timeout(Some(LIMIT)).expect("a time limit");
        stream.set_write_timeout(Some(LIMIT)).expect("a time limit");
        stream.set_nodelay(true).expect("no delay");
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends these bytes; the server may have closed already, which the next read shows.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    /// Closes the sending direction.
    pub fn finish(&mut self) -> &mut Self {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        self
    }

    /// Reads one answer to a request other than HEAD. Panics when none comes.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads one answer to a request with this method: it decides whether a body follows.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Response {
        self.try_response(method).unwrap_or_else(|error| {
            panic!("no answer: {error}; so far: {:?}", String::from_utf8_lossy(&self.buffer));
        })
    }

    /// Reads one answer, or says why there is none: `UnexpectedEof` when the server closed, `WouldBlock` or
    /// `TimedOut` when it was silent for 30 seconds.
    pub fn try_response(&mut self, method: &str) -> io::Result<Response> {
        loop {
            let mut response = self.head()?;
            // Interim answers precede the real one.
            if (100..200).contains(&response.status) && response.status != 101 {
                continue;
            }
            let bodyless = method == "HEAD" || matches!(response.status, 101 | 204 | 304);
            if !bodyless {
                response.body = self.body(&response)?;
            }
            return Ok(response);
        }
    }

    /// Everything until the server closes.
    pub fn rest(&mut self) -> Vec<u8> {
        while matches!(self.fill(), Ok(true)) {}
        std::mem::take(&mut self.buffer)
    }

    /// Whether the server closes the connection within `limit` without sending anything more.
    pub fn closes_within(&mut self, limit: Duration) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        self.stream.set_read_timeout(Some(limit)).expect("a time limit");
        let closed = match self.stream.read(&mut [0; 1]) {
            Ok(length) => length == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        };
        self.stream.set_read_timeout(Some(LIMIT)).expect("a time limit");
        closed
    }

    fn head(&mut self) -> io::Result<Response> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            self.fill_or_fail()?;
        };
        let head = String::from_utf8_lossy(&self.take(end + 4)).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap_or_default().to_owned();
        let status = status_line.split(' ').nth(1).and_then(|text| text.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status in {status_line:?}")))?;
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_owned(), value.trim().to_owned())
        });
        Ok(Response { status, headers: headers.collect(), status_line, body: Vec::new() })
    }

    fn body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        if response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return self.chunks();
        }
        if let Some(length) = response.header("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            return self.exactly(length);
        }
        while self.fill()? {}
        Ok(std::mem::take(&mut self.buffer))
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line()?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.exactly(size)?);
            self.line()?;
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                return Ok(String::from_utf8_lossy(&self.take(end + 2)).trim_end().to_owned());
            }
            self.fill_or_fail()?;
        }
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill_or_fail()?;
        }
        Ok(self.take(length))
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    fn fill_or_fail(&mut self) -> io::Result<()> {
        if self.fill()? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Reads some more; whether there was any.
    fn fill(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 16 << 10];
        let length = self.stream.read(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..length]);
        Ok(length > 0)
    }
}

impl Response {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text; panics if it is none.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of UTF-8")
    }

    /// The body as JSON; panics with the body if it is none.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON: {error}: {:?}", String::from_utf8_lossy(&self.body)))
    }
}

/// Sends these bytes to `address` (host and port, or a URL) and gives everything that comes back until the server
/// closes or is silent for 30 seconds.
#[track_caller]
pub fn exchange(address: &str, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    Connection::open(address).send(bytes).rest()
}

/// One well-formed request on a connection of its own. `headers` may replace `Host`.
#[track_caller]
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let parsed = Url::parse(url).unwrap_or_else(|error| panic!("{url:?}: {error}"));
    let target = &parsed[url::Position::BeforePath..url::Position::AfterQuery];
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {}\r\n", authority(url)));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("Connection: close\r\n\r\n");
    Connection::open(url).send([head.as_bytes(), body].concat()).response_to(method)
}

/// `GET` on a connection of its own.
#[track_caller]
pub fn get(url: &str, headers: &[(&str, &str)]) -> Response {
    request("GET", url, headers, b"")
}

/// Host and port of a URL, or of what is no URL.
fn authority(address: &str) -> String {
    match address.split_once("://") {
        None => address.to_owned(),
        Some((_, rest)) => {
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") }
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server that reads some bytes, answers these, and closes.
    fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn bodies_of_all_kinds() {
        for (answer, method, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "GET", 200, "hi"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n",
                "GET",
                200,
                "hi!",
            ),
            ("HTTP/1.1 200 OK\r\n\r\nuntil the end", "GET", 200, "until the end"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HEAD", 200, ""),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "GET", 304, ""),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", "POST", 201, ""),
        ] {
            let response = request(method, &format!("http://{}/a?b", server(answer)), &[], b"");
            assert_eq!((response.status, response.text()), (status, body), "{answer}");
        }
    }

    #[test]
    fn answers_in_a_row_and_the_end() {
        let address = server(
            "HTTP/1.1 404 No\r\nX-A: 1\r\ncontent-length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        );
        let mut connection = Connection::open(&address);
        connection.send("GET / HTTP/1.1\r\n\r\n");
        let first = connection.response();
        assert_eq!((first.status, first.header("x-a"), first.text()), (404, Some("1"), "a"));
        assert_eq!(connection.response().status, 200);
        assert!(connection.closes_within(Duration::from_secs(10)));
        assert_eq!(connection.try_response("GET").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_missing_end_is_an_error() {
        for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "HTTP/1.1 200", "", "nonsense\r\n\r\n"] {
            let mut connection = Connection::open(&server(answer));
            assert!(connection.send("GET / HTTP/1.1\r\n\r\n").try_response("GET").is_err(), "{answer}");
        }
    }
}
