//! An HTTP proxy that takes every host name to one address: so a client on this machine reaches names that no resolver knows.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

use crate::tiny_http::{Asked, Server};

/// A running proxy.
#[derive(Debug)]
pub struct ForwardProxy {
    server: Server,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ForwardProxy {
    /// Takes everything to `address` (host and port).
    pub fn to(address: &str) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, address) = (Arc::clone(&asked), address.to_owned());
        let server = Server::start(move |request, stream| {
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{} {}", request.method, request.target));
            pass_on(&request, stream, &address)
        });
        Self { server, asked }
    }

    /// For `http_proxy`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Methods and whole URLs that were asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn pass_on(request: &Asked, mut client: &TcpStream, address: &str) -> io::Result<()> {
    // A proxy is asked for the whole URL; the server behind it for the path alone.
    let url = Url::parse(&request.target).map_err(io::Error::other)?;
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut head = format!("{} {target} HTTP/1.1\r\nConnection: close\r\n", request.method);
    for (name, value) in &request.headers {
        let hop = ["connection", "proxy-connection", "keep-alive"].iter().any(|hop| name.eq_ignore_ascii_case(hop));
        if !hop {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    let mut server = TcpStream::connect(address)?;
    server.write_all(&[head.as_bytes(), b"\r\n", &request.body].concat())?;
    io::copy(&mut server, &mut client)?;
    Ok(())
}
