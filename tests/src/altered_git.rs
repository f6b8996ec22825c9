//! A git server that lists refs which no real git server would: it stands before one and adds lines to its list.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};

use cargoman_testkit::raw_http::request;

use crate::tiny_http::{Asked, Server};

/// A running server.
#[derive(Debug)]
pub struct AlteredGit {
    server: Server,
}

impl AlteredGit {
    /// Stands before the server at `address` and adds refs, given as object id and name in any bytes.
    pub fn adding(address: SocketAddr, refs: &[(&str, &[u8])]) -> Self {
        let mut lines = Vec::new();
        for (id, name) in refs {
            let line = [id.as_bytes(), b" ", name, b"\n"].concat();
            lines.extend_from_slice(format!("{:04x}", line.len() + 4).as_bytes());
            lines.extend_from_slice(&line);
        }
        Self { server: Server::start(move |asked, stream| pass_on(&asked, stream, address, &lines)) }
    }

    /// The URL of the repository `name` as seen through it.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.server.address)
    }
}

fn pass_on(asked: &Asked, mut stream: &TcpStream, address: SocketAddr, lines: &[u8]) -> io::Result<()> {
    // Without `Git-Protocol` the server lists its refs at once, as in the first version of the protocol.
    let passed = ["content-type", "content-encoding", "accept"];
    let headers: Vec<(&str, &str)> = asked
        .headers
        .iter()
        .filter(|(name, _)| passed.iter().any(|passed| name.eq_ignore_ascii_case(passed)))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let mut answer = request(&asked.method, &format!("http://{address}{}", asked.target), &headers, &asked.body);
    if asked.target.contains("/info/refs") && answer.body.ends_with(b"0000") {
        let end = answer.body.len() - 4;
        answer.body.splice(end..end, lines.iter().copied());
    }
    let mut head = format!("{}\r\nContent-Length: {}\r\nConnection: close\r\n", answer.status_line, answer.body.len());
    if let Some(kind) = answer.header("content-type") {
        head.push_str(&format!("Content-Type: {kind}\r\n"));
    }
    stream.write_all(&[head.as_bytes(), b"\r\n", &answer.body].concat())
}
