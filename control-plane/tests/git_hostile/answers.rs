//! HTTP that means harm: heads and bodies without end, lengths that lie, silence (G-S1, G-S2).

use std::io::Write;
use std::time::Duration;

use cargoman_control_plane::git::protocol::FailureCode::{
    self, Authentication, Limit, NotFound, Protocol, Unreachable,
};

use crate::case::{Case, judge};
use crate::script::{LISTING, drip, endless, head, packet};

const BROKEN: &[FailureCode] = &[Unreachable, Protocol];
const SLOW: &[FailureCode] = &[Unreachable, Limit];

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("G-S2", "silence", SLOW, |_, _| {
            std::thread::sleep(Duration::from_secs(20));
            Ok(())
        }),
        Case::new("G-S2", "a head that drips", SLOW, |_, stream| drip(stream, b"HTTP/1.1 200 OK\r\nX: y")),
        Case::new("G-S2", "a body that drips", SLOW, |_, stream| {
            head(stream, LISTING)?;
            drip(stream, b"0")
        }),
        Case::new("G-S2", "headers that drip", SLOW, |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            drip(stream, b"A: b\r\n")
        }),
        Case::new("G-S1", "headers without end", BROKEN, |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            endless(stream, b"X-More: of the same\r\n")
        }),
        Case::new("G-S1", "one header without end", BROKEN, |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX-More: ")?;
            endless(stream, b"more")
        }),
        Case::new("G-S1", "a status line without end", BROKEN, |_, stream| endless(stream, b"HTTP/1.1 200 OK ")),
        Case::new("G-S1", "patience without end", &[Unreachable, Limit, Protocol], |_, stream| {
            endless(stream, b"HTTP/1.1 100 Continue\r\n\r\n")
        }),
        Case::new("G-S1", "a body without end", &[Limit, Protocol], |_, stream| {
            head(stream, LISTING)?;
            endless(stream, &packet("# service=git-upload-pack\n"))
        }),
        Case::new("G-S1", "chunks without end", &[Limit, Protocol], |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: ")?;
            write!(stream, "{LISTING}\r\n\r\n")?;
            endless(stream, b"a\r\n0123456789\r\n")
        }),
        Case::new("G-S1", "a chunk of 16 EiB", BROKEN, |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: ")?;
            write!(stream, "{LISTING}\r\n\r\nffffffffffffffff\r\n0000")
        }),
        Case::new("G-S1", "extensions of a chunk without end", &[Unreachable, Protocol, Limit], |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: ")?;
            write!(stream, "{LISTING}\r\n\r\n1;")?;
            endless(stream, b"x=y;")
        }),
        Case::new("G-S1", "a length of 16 EiB", BROKEN, |_, stream| {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: {LISTING}\r\nContent-Length: 18446744073709551615\r\n\r\n0000"
            )
        }),
        Case::new("G-S1", "a length below nothing", BROKEN, |_, stream| {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {LISTING}\r\nContent-Length: -1\r\n\r\n0000")
        }),
        Case::new("G-S1", "two lengths", BROKEN, |_, stream| {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: {LISTING}\r\nContent-Length: 4\r\nContent-Length: 8\r\n\r\n00000000"
            )
        }),
        Case::new("G-S1", "less than promised", BROKEN, |_, stream| {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: {LISTING}\r\nContent-Length: 100\r\n\r\n001e# service=git-upload-pack\n"
            )
        }),
        Case::new("G-S4", "a compressed body nobody asked for", BROKEN, |_, stream| {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: {LISTING}\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
            )?;
            stream.write_all(&[
                0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 0x4c, 0x4a, 6, 0, 0xc2, 0x41, 0x24, 0x35, 3, 0, 0, 0,
            ])
        }),
        Case::new("G-S5", "no HTTP but a song and dance", BROKEN, |_, stream| {
            stream.write_all(b"\x1b[31mhello\x07\x1b]0;x\x07\r\n\r\n")
        }),
        Case::new("G-S5", "a type that paints the terminal", &[Protocol, Unreachable], |_, stream| {
            head(stream, "text/\u{9b}31m; x")
        }),
        Case::new("G-S5", "a version of HTTP that does not exist", BROKEN, |_, stream| {
            stream.write_all(b"HTTP/9.9 200 OK\r\n\r\n")
        }),
        Case::new("G-S5", "a switch to another protocol", BROKEN, |_, stream| {
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n")
        }),
        Case::new("G-L5", "an error", &[Unreachable], |_, stream| {
            stream.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        }),
        Case::new("G-L5", "gone", &[NotFound], |_, stream| {
            stream.write_all(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
        }),
        Case::new("G-L5", "a page to log in", &[Authentication, Unreachable], |_, stream| {
            stream.write_all(
                b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"\x1b[31m\"\r\nContent-Length: 0\r\n\r\n",
            )
        }),
        Case::new("G-L5", "hanging up", &[Unreachable], |_, _| Ok(())),
    ]
}

#[test]
fn end_within_their_limits() {
    judge(cases());
}
