//! Step 1: one strict canonical form of host, target and headers. Everything later takes only [`Admitted`].
//!
//! It decides grammar alone and never guesses: what can be read in two ways is refused. Pingora's hooks see a request that
//! was already parsed; faults that the parser hides are caught on the raw head, in `connection/head.rs`.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use pingora::http::RequestHeader;

use super::host::HostName;
use super::reply::encoding::{self, Coding};
use super::target::Target;

/// Most header fields of a request.
pub(crate) const MOST_FIELDS: usize = 64;
/// Most bytes of all its header fields together.
pub(crate) const MOST_BYTES: usize = 16 << 10;
/// Most bytes of an `Authorization` field.
const MOST_AUTHORIZATION: usize = 4 << 10;

/// A request in canonical form.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    /// The method as sent.
    pub(crate) method: Method,
    /// Whose registry is asked.
    pub(crate) host: HostName,
    /// What is asked for.
    pub(crate) target: Target,
    /// The one `Authorization` field, if any.
    pub(crate) authorization: Option<HeaderValue>,
    /// The fields that answers depend on.
    pub(crate) conditions: Conditions,
}

/// Header fields that shape an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    pub(crate) if_none_match: Option<HeaderValue>,
    pub(crate) if_modified_since: Option<HeaderValue>,
    pub(crate) if_range: Option<HeaderValue>,
    pub(crate) range: Option<HeaderValue>,
    pub(crate) coding: Coding,
}

/// Why a request is not read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A head that is no HTTP, or HTTP that two readers could read in two ways.
    Head,
    /// No host, or none that can be read in one way only.
    Host,
    /// A target outside the grammar.
    Target,
    /// A path of more than 2,048 bytes or a target of more than 8,192.
    TargetTooLong,
    /// Too many or too large header fields.
    HeadersTooLarge,
    /// A field twice that may stand once.
    Twice(&'static str),
    /// A body where none belongs, or one whose length is in doubt.
    Body,
}

/// Reads a request.
pub(crate) fn admit(head: &RequestHeader) -> Result<Admitted, Fault> {
    budget(&head.headers)?;
    for (name, text) in
        [(header::HOST, "Host"), (header::AUTHORIZATION, "Authorization"), (header::CONTENT_LENGTH, "Content-Length")]
    {
        if head.headers.get_all(name).iter().nth(1).is_some() {
            return Err(Fault::Twice(text));
        }
    }
    let (authority, origin_form) = authority_and_target(head)?;
    let host = HostName::parse(authority).ok_or(Fault::Host)?;
    let target = Target::parse(origin_form)?;
    check_body(head)?;
    let authorization = head.headers.get(header::AUTHORIZATION).cloned();
    if authorization.as_ref().is_some_and(|value| value.len() > MOST_AUTHORIZATION) {
        return Err(Fault::HeadersTooLarge);
    }
    Ok(Admitted { method: head.method.clone(), host, target, authorization, conditions: conditions(&head.headers) })
}

/// The target alone, for questions that are answered on any host.
pub(crate) fn target(head: &RequestHeader) -> Option<Target> {
    Target::parse(head.raw_path()).ok()
}

fn budget(headers: &HeaderMap) -> Result<(), Fault> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    match headers.len() <= MOST_FIELDS && bytes <= MOST_BYTES {
        true => Ok(()),
        false => Err(Fault::HeadersTooLarge),
    }
}

/// The authority that was asked and the target in origin form.
fn authority_and_target(head: &RequestHeader) -> Result<(&[u8], &[u8]), Fault> {
    let raw = head.raw_path();
    let host = head.headers.get(header::HOST).map(HeaderValue::as_bytes);
    if head.version == Version::HTTP_2 {
        let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
        return match (authority, host) {
            (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => Err(Fault::Host),
            (authority, host) => Ok((authority.or(host).ok_or(Fault::Host)?, raw)),
        };
    }
    let host = host.ok_or(Fault::Host)?;
    if raw.first() == Some(&b'/') {
        return Ok((host, raw));
    }
    // Absolute form: good only when it names the very host of the field, so that there is one answer and one cache key.
    let rest = raw.strip_prefix(b"http://").or_else(|| raw.strip_prefix(b"https://")).ok_or(Fault::Target)?;
    let slash = rest.iter().position(|byte| *byte == b'/').ok_or(Fault::Target)?;
    let (authority, origin_form) = rest.split_at(slash);
    match authority.eq_ignore_ascii_case(host) {
        true => Ok((host, origin_form)),
        false => Err(Fault::Host),
    }
}

fn check_body(head: &RequestHeader) -> Result<(), Fault> {
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked = match (codings.next(), codings.next()) {
        (None, _) => false,
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => true,
        _ => return Err(Fault::Body),
    };
    let length = match head.headers.get(header::CONTENT_LENGTH) {
        None => 0,
        Some(value) => {
            let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|digits| digits.parse::<u64>().ok()).ok_or(Fault::Body)?
        }
    };
    let has_body = chunked || length > 0;
    match has_body && (head.method == Method::GET || head.method == Method::HEAD) {
        true => Err(Fault::Body),
        false => Ok(()),
    }
}

fn conditions(headers: &HeaderMap) -> Conditions {
    // A field that stands twice is no condition: the whole answer is always right.
    let single = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none()).cloned()
    };
    Conditions {
        if_none_match: single(header::IF_NONE_MATCH),
        if_modified_since: single(header::IF_MODIFIED_SINCE),
        if_range: single(header::IF_RANGE),
        range: single(header::RANGE),
        coding: encoding::coding(headers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, target: &[u8], fields: &[(&str, &[u8])]) -> RequestHeader {
        let mut head = RequestHeader::build(method, target, None).unwrap();
        for (name, value) in fields {
            head.append_header((*name).to_owned(), HeaderValue::from_bytes(value).unwrap()).unwrap();
        }
        head
    }

    fn fault(method: &str, target: &str, fields: &[(&str, &str)]) -> Option<Fault> {
        let fields: Vec<(&str, &[u8])> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        admit(&head(method, target.as_bytes(), &fields)).err()
    }

    const HOST: (&str, &str) = ("host", "t1.example");

    /// E-A1, E-H2, E-H3, E-S3, E-S5 and the body rules.
    #[test]
    fn fields() {
        for (name, method, fields, expected) in [
            ("plain", "GET", vec![HOST], None),
            ("no host", "GET", vec![], Some(Fault::Host)),
            ("empty host", "GET", vec![("host", "")], Some(Fault::Host)),
            ("two hosts", "GET", vec![HOST, HOST], Some(Fault::Twice("Host"))),
            (
                "two tokens",
                "GET",
                vec![HOST, ("authorization", "a"), ("authorization", "a")],
                Some(Fault::Twice("Authorization")),
            ),
            (
                "two lengths",
                "POST",
                vec![HOST, ("content-length", "1"), ("content-length", "1")],
                Some(Fault::Twice("Content-Length")),
            ),
            ("length list", "POST", vec![HOST, ("content-length", "0, 0")], Some(Fault::Body)),
            ("signed length", "POST", vec![HOST, ("content-length", "+5")], Some(Fault::Body)),
            ("body on GET", "GET", vec![HOST, ("content-length", "1")], Some(Fault::Body)),
            ("chunked GET", "GET", vec![HOST, ("transfer-encoding", "chunked")], Some(Fault::Body)),
            ("empty GET", "GET", vec![HOST, ("content-length", "0")], None),
            ("body on POST", "POST", vec![HOST, ("content-length", "5")], None),
            ("coding list", "POST", vec![HOST, ("transfer-encoding", "gzip, chunked")], Some(Fault::Body)),
            (
                "coding twice",
                "POST",
                vec![HOST, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
                Some(Fault::Body),
            ),
        ] {
            assert_eq!(fault(method, "/packages.json", &fields), expected, "{name}");
        }
    }

    /// E-A3, E-R5.
    #[test]
    fn budgets() {
        let long = "x".repeat(5_000);
        assert_eq!(fault("GET", "/", &[HOST, ("authorization", &long)]), Some(Fault::HeadersTooLarge));
        assert_eq!(fault("GET", "/", &[HOST, ("a", &"x".repeat(17_000))]), Some(Fault::HeadersTooLarge));
        let many: Vec<String> = (0..64).map(|number| format!("x-{number}")).collect();
        let mut fields = vec![HOST];
        fields.extend(many.iter().map(|name| (name.as_str(), "1")));
        assert_eq!(fault("GET", "/", &fields), Some(Fault::HeadersTooLarge));
    }

    /// E-H6, E-H7, E-H8.
    #[test]
    fn absolute_form() {
        let admitted = admit(&head("GET", b"http://T1.example/p2/a/b.json", &[("host", b"t1.EXAMPLE")])).unwrap();
        assert_eq!((admitted.host.as_str(), admitted.target.path()), ("t1.example", "/p2/a/b.json"));
        assert_eq!(fault("GET", "http://t2.example/", &[HOST]), Some(Fault::Host));
        assert_eq!(fault("GET", "http://u@t1.example/", &[HOST]), Some(Fault::Host));
        assert_eq!(fault("GET", "http://t1.example/", &[]), Some(Fault::Host));
        assert_eq!(fault("GET", "ftp://t1.example/", &[HOST]), Some(Fault::Target));
        assert_eq!(fault("GET", "http://t1.example", &[HOST]), Some(Fault::Target));
    }
}
