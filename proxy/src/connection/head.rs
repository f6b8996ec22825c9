//! The head of an HTTP/1 request as it came over the wire: whether it is well-formed, and what it says.
//!
//! What Pingora's parser repairs in silence (bare line feeds, a length beside a transfer coding, two codings, spaces and fragments in
//! the target) is refused here, before Pingora sees it: what two readers could read in two ways reaches neither. Decides nothing
//! about what the request asks for. No I/O.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Version, header};
use pingora::http::RequestHeader;

use crate::request::admit::{Fault, MOST_BYTES, MOST_FIELDS};
use crate::request::target;

/// Most bytes of a head: the fields and the request line.
pub(super) const MOST_HEAD: usize = MOST_BYTES + target::MOST_TARGET;

/// A well-formed head.
pub(crate) struct Head {
    pub(crate) request: RequestHeader,
    /// Its bytes and the empty line, for whoever reads it again.
    pub(super) raw: Bytes,
    /// Whether it is a question that the edge answers by itself, without a body or a change of protocol: anything else is Pingora's.
    pub(super) plain: bool,
    /// Whether the client wants the connection to end with the answer.
    pub(super) close: bool,
}

/// Takes the next head from the front of what was read; none as long as it is not whole.
pub(crate) fn take(read: &mut BytesMut) -> Result<Option<Head>, Fault> {
    // Robust clients of old end a body with an empty line of their own (RFC 9112, 2.2).
    while read.starts_with(b"\r\n") {
        let _ = read.split_to(2);
    }
    let Some(length) = end(read)? else {
        return if read.len() > MOST_HEAD { Err(too_long(read)) } else { Ok(None) };
    };
    if length > MOST_HEAD {
        return Err(too_long(read));
    }
    let raw = read.split_to(length).freeze();
    parse(raw).map(Some)
}

/// Where the head ends, the empty line included. Every line ends with both characters, and neither stands anywhere else.
fn end(read: &[u8]) -> Result<Option<usize>, Fault> {
    let mut line = 0;
    for at in memchr::memchr_iter(b'\n', read) {
        let text = read.get(line..at).and_then(|text| text.strip_suffix(b"\r")).ok_or(Fault::Head)?;
        if memchr::memchr2(b'\r', 0, text).is_some() {
            return Err(Fault::Head);
        }
        if text.is_empty() {
            return Ok(Some(at + 1));
        }
        line = at + 1;
    }
    Ok(None)
}

/// Which part of it is too long.
fn too_long(read: &[u8]) -> Fault {
    match memchr::memchr(b'\n', read) {
        Some(line) if line <= target::MOST_TARGET => Fault::HeadersTooLarge,
        _ => Fault::TargetTooLong,
    }
}

fn parse(raw: Bytes) -> Result<Head, Fault> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(&raw) {
        Ok(httparse::Status::Complete(length)) if length == raw.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Fault::HeadersTooLarge),
        _ => return Err(if has_odd_target(&raw) { Fault::Target } else { Fault::Head }),
    }
    let (method, target, version) = (parsed.method.unwrap_or(""), parsed.path.unwrap_or(""), parsed.version);
    // Pingora's header would drop a fragment without a word (E-P5).
    if target.contains('#') {
        return Err(Fault::Target);
    }
    // httparse takes a space only between the parts, and what else does not belong in a target is `Target`'s to know.
    let mut request = RequestHeader::build_no_case(method, target.as_bytes(), Some(parsed.headers.len()))
        .map_err(|_| Fault::Target)?;
    request.set_version(if version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 });
    let mut what = What { plain: version == Some(1), close: false, codings: 0, length: false };
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Fault::Head)?;
        let value = HeaderValue::from_maybe_shared(raw.slice_ref(field.value)).map_err(|_| Fault::Head)?;
        what.note(&name, &value)?;
        request.append_header(name, value).map_err(|_| Fault::HeadersTooLarge)?;
    }
    // Which of the two counts is what smuggling lives on (RFC 9112, 6.3).
    if what.codings > 0 && what.length {
        return Err(Fault::Body);
    }
    let own = matches!(request.method, Method::GET | Method::HEAD) && target::is_of_composer(request.raw_path());
    Ok(Head { plain: what.plain && own, close: what.close, request, raw })
}

/// Whether the request line has more or fewer than three parts, which is how a space in a target looks.
fn has_odd_target(raw: &[u8]) -> bool {
    let line = raw.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let version = line.strip_suffix(b" HTTP/1.1").or_else(|| line.strip_suffix(b" HTTP/1.0"));
    version.is_some_and(|line| line.first().is_some_and(u8::is_ascii_uppercase) && !line.contains(&b'\t'))
}

/// What fields say about the request as a whole.
struct What {
    plain: bool,
    close: bool,
    codings: usize,
    length: bool,
}

impl What {
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), Fault> {
        match *name {
            header::TRANSFER_ENCODING => {
                self.codings += 1;
                self.plain = false;
                // Pingora would make one `chunked` of two codings, or of a list of them.
                if self.codings > 1 || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                    return Err(Fault::Body);
                }
            }
            header::CONTENT_LENGTH => (self.length, self.plain) = (true, false),
            header::UPGRADE | header::EXPECT | header::TRAILER => self.plain = false,
            header::CONNECTION => match value.as_bytes() {
                value if value.eq_ignore_ascii_case(b"close") => self.close = true,
                value if value.eq_ignore_ascii_case(b"keep-alive") => {}
                _ => self.plain = false,
            },
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(raw: &[u8]) -> Result<Option<(String, bool, bool)>, Fault> {
        let head = take(&mut BytesMut::from(raw))?;
        Ok(head.map(|head| (String::from_utf8_lossy(head.request.raw_path()).into_owned(), head.plain, head.close)))
    }

    fn of(line: &str, fields: &str) -> Result<Option<(String, bool, bool)>, Fault> {
        read(format!("{line}\r\nHost: t1.example\r\n{fields}\r\n").as_bytes())
    }

    const P2: &str = "GET /p2/a/b.json HTTP/1.1";

    #[test]
    fn whose_it_is() {
        for (line, fields, plain, close) in [
            (P2, "", true, false),
            ("HEAD /p2/a/b.json HTTP/1.1", "", true, false),
            (P2, "Connection: close\r\n", true, true),
            (P2, "Connection: Keep-Alive\r\n", true, false),
            (P2, "Connection: Authorization\r\n", false, false),
            (P2, "Content-Length: 0\r\n", false, false),
            (P2, "Expect: 100-continue\r\n", false, false),
            ("POST /downloads HTTP/1.1", "Content-Length: 2\r\n", false, false),
            ("GET /p2/a/b.json HTTP/1.0", "", false, false),
            ("GET /api/v1/packages HTTP/1.1", "", false, false),
            ("GET http://t1.example/p2/a/b.json HTTP/1.1", "", false, false),
            // E-S7
            (P2, "Upgrade: h2c\r\n", false, false),
        ] {
            let (_, is_plain, closes) = of(line, fields).unwrap().unwrap();
            assert_eq!((is_plain, closes), (plain, close), "{line} {fields}");
        }
    }

    /// E-S1, E-S3, E-S4, E-S5.
    #[test]
    fn lengths_and_codings() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity, chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
        ] {
            assert_eq!(of("POST /downloads HTTP/1.1", fields), Err(Fault::Body), "{fields}");
        }
    }

    /// E-P3, E-P4, E-P5, E-P6: what Pingora's parser would make good.
    #[test]
    fn targets() {
        for line in ["GET /a#b HTTP/1.1", "GET /a b HTTP/1.1", "GET  /a HTTP/1.1", "GET /p2/a/b.json  HTTP/1.1"] {
            assert_eq!(of(line, ""), Err(Fault::Target), "{line}");
        }
        assert_eq!(of("GET /a\0b HTTP/1.1", ""), Err(Fault::Head));
    }

    /// E-P11, E-S10.
    #[test]
    fn lines() {
        for raw in [
            "GET /a HTTP/1.1\nHost: t1.example\n\n",
            "GET /a HTTP/1.1\r\nHost: t1.example\n\r\n",
            "GET /a HTTP/1.1\r\nHost: t1\r.example\r\n\r\n",
            "GET\t/a\tHTTP/1.1\r\nHost: t1.example\r\n\r\n",
            "GET /a\r\n\r\n",
            "GET /a HTTP/0.9\r\nHost: t1.example\r\n\r\n",
            "GET /a HTTP/1.2\r\nHost: t1.example\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: t1.example\r\nA: b\r\n c\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost : t1.example\r\n\r\n",
            "GET /a HTTP/1.1\r\n: t1.example\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: t1.example\r\nA: b\x7f\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: t1.example\r\nA: b\x01\r\n\r\n",
        ] {
            assert!(read(raw.as_bytes()).is_err(), "{raw:?}");
        }
        assert_eq!(read(b"\r\n\r\nGET /p2/a/b.json HTTP/1.1\r\n\r\n"), Ok(Some(("/p2/a/b.json".into(), true, false))));
    }

    /// E-R4, E-R5, E-P9.
    #[test]
    fn budgets() {
        assert_eq!(of(P2, &"a: b\r\n".repeat(63)).unwrap().unwrap().0, "/p2/a/b.json");
        assert_eq!(of(P2, &"a: b\r\n".repeat(64)), Err(Fault::HeadersTooLarge));
        let half = format!("{P2}\r\nA: {}", "x".repeat(MOST_HEAD));
        assert_eq!(read(half.as_bytes()), Err(Fault::HeadersTooLarge));
        assert_eq!(read(format!("GET /{}", "x".repeat(MOST_HEAD)).as_bytes()), Err(Fault::TargetTooLong));
    }

    /// E-S9: the second request of two stays where it is.
    #[test]
    fn one_at_a_time() {
        let mut two =
            BytesMut::from("GET /p2/a/b.json HTTP/1.1\r\nA: 1\r\n\r\nGET /p2/c/d.json HTTP/1.1\r\nA: 2\r\n\r\nGET");
        let targets: Vec<_> = std::iter::from_fn(|| take(&mut two).unwrap()).map(|head| head.raw).collect();
        assert_eq!(targets.len(), 2);
        assert!(targets[1].starts_with(b"GET /p2/c") && targets[1].ends_with(b"2\r\n\r\n"));
        assert_eq!(&two[..], b"GET");
    }

    proptest! {
        /// However it arrives in pieces, the same is read; and nothing panics.
        #[test]
        fn pieces(raw in "(GET|POST) /[a-z0-9/ %#]{0,20} HTTP/1\\.[01](\r\n|\n)([A-Za-z-]{0,6}:? ?[ -~]{0,9}(\r\n|\n)){0,4}\r\n", cut in 0_usize..80) {
            let whole = read(raw.as_bytes());
            let mut buffer = BytesMut::from(raw.as_bytes().get(..cut.min(raw.len())).unwrap());
            let first = take(&mut buffer);
            if let Ok(None) = first {
                buffer.extend_from_slice(raw.as_bytes().get(cut.min(raw.len())..).unwrap());
                let second = take(&mut buffer).map(|head| head.map(|head| (String::from_utf8_lossy(head.request.raw_path()).into_owned(), head.plain, head.close)));
                prop_assert_eq!(second, whole);
            } else {
                prop_assert_eq!(first.is_err(), whole.is_err());
            }
        }

        #[test]
        fn no_bytes_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = take(&mut BytesMut::from(&raw[..]));
        }
    }
}
