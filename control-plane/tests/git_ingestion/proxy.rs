//! The way through a proxy: what goes through it and what does not, and who is believed at its other end.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use cargoman_control_plane::git::network::ProxyUrl;
use cargoman_control_plane::git::protocol::{Credential, FailureCode, Request};

use crate::repository::Repository;
use crate::run::{Place, answer};
use crate::server::Server;

/// A proxy that opens a tunnel to one port, whatever the host that is asked for, for whoever says `acme:s3cret`.
struct Proxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                std::thread::spawn(move || drop(tunnel(stream, to, &log)));
            }
        });
        Self { port, heads }
    }

    fn url(&self, user: &str) -> Option<ProxyUrl> {
        Some(ProxyUrl::try_from(format!("http://{user}127.0.0.1:{}", self.port)).unwrap())
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.heads.lock().unwrap())
    }
}

fn tunnel(mut stream: TcpStream, to: u16, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head)? > 0 {}
    log.lock().unwrap().push(head.clone());
    // acme:s3cret
    if !head.contains("YWNtZTpzM2NyZXQ=") {
        return stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    }
    let mut server = TcpStream::connect(("127.0.0.1", to))?;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut back, mut out) = (server.try_clone()?, stream.try_clone()?);
    let answers = std::thread::spawn(move || io::copy(&mut back, &mut out).map(drop));
    io::copy(&mut reader, &mut server)?;
    server.shutdown(std::net::Shutdown::Write)?;
    answers.join().unwrap()
}

/// A repository at `https://git.example.com`, to which only the proxy leads, and its authority.
fn forge() -> (Repository, Server, String) {
    let repository = Repository::with_package("acme/pay");
    repository.tag("1.0.0");
    let made = rcgen::generate_simple_self_signed(["git.example.com".to_owned()]).unwrap();
    let certificate = made.cert.pem();
    let server = Server::start_tls_as(repository.folder.path(), &(made.signing_key.serialize_pem() + &certificate));
    (repository, server, certificate)
}

fn request(place: &Place, authority: &str) -> Request {
    let mut request = place.request("https://git.example.com/work/.git");
    request.network.allow_local = false;
    request.network.root_certificates = Some(authority.to_owned());
    request.credential = Some(Credential::Basic { username: "git".into(), password: "hunter2".into() });
    request
}

#[test]
fn through_a_proxy() {
    let (_repository, server, authority) = forge();
    let (proxy, place) = (Proxy::start(server.port()), Place::new());
    let mut request = request(&place, &authority);
    request.network.proxy = proxy.url("acme:s3cret@");
    let first = answer(&request);
    assert_eq!(first.pretty(), ["1.0.0", "dev-main"], "{first:#?}");
    assert!(answer(&first.next(&request)).unchanged);
    let heads = proxy.take();
    assert!(!heads.is_empty());
    for head in &heads {
        // The credential of the forge is for the forge, inside the tunnel.
        assert!(head.starts_with("CONNECT git.example.com:443 ") && !head.contains("Z2l0Omh1bnRlcjI="), "{head}");
    }
    let inside = server.take();
    assert!(inside.iter().all(|asked| asked.headers.contains_key("authorization")), "{inside:?}");
    assert!(inside.iter().all(|asked| !asked.headers.contains_key("proxy-authorization")), "{inside:?}");

    request.network.root_certificates = None;
    let unknown = answer(&request);
    assert!(unknown.failure().message.contains("certificate"), "a proxy proves nothing: {unknown:?}");
}

#[test]
fn a_proxy_that_will_not() {
    let (_repository, server, authority) = forge();
    let (proxy, place) = (Proxy::start(server.port()), Place::new());
    let mut request = request(&place, &authority);
    for url in [proxy.url(""), proxy.url("acme:wrong@"), ProxyUrl::try_from("http://127.0.0.1:1".to_owned()).ok()] {
        request.network.proxy = url;
        let refused = answer(&request);
        assert_eq!(refused.failure().code, FailureCode::Unreachable, "{refused:?}");
        assert!(refused.failure().message.contains("through the proxy"), "{refused:?}");
        assert!(!format!("{refused:?}{request:?}").contains("wrong"), "{refused:?}");
    }
    assert!(server.take().is_empty());
}

/// What is inside is reached directly; what must not be reached, is not reached through a proxy either.
#[test]
fn around_a_proxy() {
    let (repository, server, authority) = forge();
    let (proxy, place) = (Proxy::start(server.port()), Place::new());
    let plain = Server::start(repository.folder.path());
    let mut local = place.request(&plain.url("work/.git"));
    local.network.proxy = proxy.url("acme:s3cret@");
    assert!(answer(&local).finished);

    let mut request = request(&place, &authority);
    request.network.proxy = proxy.url("acme:s3cret@");
    for (host, allowed) in [("127.0.0.1", "127.0.0.0/8"), ("localhost", "localhost")] {
        request.repository_url = format!("https://{host}:{}/work/.git", server.port());
        request.network.allowed_ports = vec![server.port()];
        request.network.allowed_hosts.clear();
        let refused = answer(&request);
        assert_eq!(refused.failure().code, FailureCode::RepositoryUrl, "{refused:?}");
        request.network.allowed_hosts = vec![allowed.to_owned()];
        let direct = answer(&request);
        // The certificate is for another name: it was asked, and not believed.
        assert!(direct.failure().message.contains("certificate"), "{direct:?}");
        assert!(!direct.failure().message.contains("proxy"), "{direct:?}");
    }
    assert!(proxy.take().is_empty());
}
