//! A client of HTTP/1.1 that writes what it is told and believes nothing: raw bytes over one connection.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn warning(&self) -> String {
        assert_eq!(self.field("content-type"), Some("application/json"), "{self:?}");
        self.json()["warning"].as_str().unwrap_or_else(|| panic!("no warning: {}", self.text())).to_owned()
    }

    /// Everything that another client could tell answers apart by.
    pub(crate) fn without_date(mut self) -> Self {
        self.fields.retain(|(name, _)| name != "date");
        self
    }
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// As [`Self::send`], where the other side may be gone.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads one answer; `head` when the request was HEAD.
    pub(crate) fn receive(&mut self, head: bool) -> Response {
        self.try_receive(head).expect("an answer")
    }

    /// Reads the head of an answer alone.
    pub(crate) fn begin(&mut self) -> Option<Response> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let status: u16 = line.split(' ').nth(1)?.parse().ok()?;
        let mut fields = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Some(Response { status, fields, body: Vec::new() })
    }

    /// So many bytes of a body, or all until the connection ends.
    pub(crate) fn read(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A connection that breaks off has ended too.
        (&mut self.stream).take(most as u64).read_to_end(&mut bytes).ok();
        bytes
    }

    pub(crate) fn try_receive(&mut self, head: bool) -> Option<Response> {
        let mut response = self.begin()?;
        let status = response.status;
        if head || status == 304 || status == 204 {
            return Some(response);
        }
        if let Some(length) = response.field("content-length") {
            response.body = vec![0; length.parse().ok()?];
            self.stream.read_exact(&mut response.body).ok()?;
        } else if response.field("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk() {
                response.body.extend(chunk);
            }
        } else {
            self.stream.read_to_end(&mut response.body).ok()?;
        }
        Some(response)
    }

    /// Reads an answer's first line alone; its status.
    pub(crate) fn head(&mut self) -> u16 {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no answer: {line:?}"))
    }

    fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        let mut chunk = vec![0; usize::from_str_radix(line.trim(), 16).ok()? + 2];
        self.stream.read_exact(&mut chunk).ok()?;
        chunk.truncate(chunk.len() - 2);
        (!chunk.is_empty()).then_some(chunk)
    }

    /// Whether the other side has ended the connection; waits for it as long as for an answer.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    pub(crate) fn request(&mut self, method: &str, target: &str, fields: &[(&str, &str)]) -> Response {
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        self.send(text.as_bytes());
        self.receive(method == "HEAD")
    }
}
