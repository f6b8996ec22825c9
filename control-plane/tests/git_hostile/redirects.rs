//! Redirects that lead astray (G-N4, G-N5), and TLS that proves nothing (G-N7).

use std::io::Write;
use std::net::TcpStream;

use cargoman_control_plane::git::protocol::FailureCode::{Protocol, Redirect, Unreachable};
use cargoman_control_plane::git::protocol::{Credential, FailureCode};

use crate::case::{Case, Expected, judge, request, verdict};
use crate::repository::Repository;
use crate::run::Place;
use crate::script::{LISTING, RESULT, listing, packet, reply, serve};
use crate::server::Server;

const REFUSED: &[FailureCode] = &[Redirect];

fn to(stream: &mut TcpStream, status: u16, location: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status} Moved\r\nContent-Length: 0\r\nConnection: close\r\n{location}\r\n\r\n")
}

/// Each answers the first request with a redirect.
fn first(id: &'static str, name: &'static str, status: u16, location: &'static str) -> Case {
    Case::new(id, name, REFUSED, move |_, stream| to(stream, status, location))
}

pub(crate) fn cases() -> Vec<Case> {
    const OID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let later = |name: &'static str, status: u16, location: &'static str| {
        Case::new("G-N4", name, REFUSED, move |asked, stream| {
            if asked.method == "POST" {
                return to(stream, status, location);
            }
            reply(stream, LISTING, &listing(&[(OID, "HEAD"), (OID, "refs/heads/main")], "symref=HEAD:refs/heads/main"))
        })
    };
    vec![
        first("G-N4", "to another host", 302, "Location: https://git.example.com/acme/pay.git/info/refs"),
        first("G-N4", "to another port", 301, "Location: http://127.0.0.1:1/acme/pay.git/info/refs"),
        first("G-N4", "to another scheme", 307, "Location: ftp://127.0.0.1/acme/pay.git/info/refs"),
        first("G-N4", "to a file", 308, "Location: file:///etc/passwd"),
        first("G-N4", "to the cloud's metadata", 302, "Location: http://169.254.169.254/latest/meta-data/info/refs"),
        first("G-N4", "without an address", 302, "X: y"),
        first("G-N4", "to no repository", 302, "Location: /login?next=/acme/pay.git"),
        first("G-N4", "not modified", 304, "ETag: x"),
        Case::new("G-N4", "round and round", REFUSED, |asked, stream| {
            let again = format!("Location: {}", asked.target);
            to(stream, 302, &again)
        }),
        Case::new("G-N4", "further and further", REFUSED, |asked, stream| {
            let deeper = format!("Location: /x{}", asked.target);
            to(stream, 302, &deeper)
        }),
        later("in the middle, to another host", 307, "Location: https://git.example.com/git-upload-pack"),
        later("in the middle, within the host", 308, "Location: /other/git-upload-pack"),
        first("G-N5", "with a credential", 302, "Location: http://user:pass@127.0.0.1/acme/pay.git/info/refs"),
        first("G-N5", "without a scheme", 302, "Location: //169.254.169.254/acme/pay.git/info/refs"),
        first("G-N5", "with line ends", 302, "Location: /a%0d%0aSet-Cookie:x/info/refs\r\nLocation: //evil/info/refs"),
        Case::new("G-N5", "of a megabyte", &[Redirect, Unreachable], |_, stream| {
            to(stream, 302, &format!("Location: /{}/info/refs", "x".repeat(1 << 20)))
        }),
        Case::new("G-N4", "in a conversation of version 2", REFUSED, |asked, stream| {
            if asked.method == "POST" {
                return to(stream, 302, "Location: /other/git-upload-pack");
            }
            reply(stream, LISTING, &[packet("version 2\n"), packet("ls-refs\n"), b"0000".to_vec()].concat())
        }),
        Case::new("G-N4", "an answer to another question", &[Protocol], |_, stream| {
            reply(stream, RESULT, &listing(&[(OID, "HEAD")], ""))
        }),
    ]
}

#[test]
fn are_not_followed() {
    judge(cases());
}

/// CVE-2026-53586: whoever is redirected to sees neither a connection nor a credential.
#[test]
fn credentials_stay_at_home() {
    let repository = Repository::with_package("acme/pay");
    let trap = Server::start(repository.folder.path());
    let elsewhere = trap.url("work/.git/info/refs");
    let port =
        serve(std::sync::Arc::new(move |_, stream: &mut TcpStream| to(stream, 302, &format!("Location: {elsewhere}"))));
    let place = Place::new();
    let mut request = request(&place, port);
    request.credential = Some(Credential::Basic { username: "acme".into(), password: "s3cret".into() });
    verdict(&request, &Expected::Fails(REFUSED)).unwrap();
    assert!(trap.take().is_empty());
}

/// G-N7
#[test]
fn tls_without_proof() {
    let repository = Repository::with_package("acme/pay");
    let unknown = Server::start_tls(repository.folder.path());
    let plain = Server::start(repository.folder.path());
    for port in [unknown.port(), plain.port()] {
        let place = Place::new();
        let mut request = request(&place, port);
        request.repository_url = format!("https://127.0.0.1:{port}/work/.git");
        (request.network.allowed_hosts, request.network.allowed_ports) = (vec!["127.0.0.1".into()], vec![port]);
        verdict(&request, &Expected::Fails(&[Unreachable])).unwrap();
        assert!(unknown.take().is_empty());
    }
}
