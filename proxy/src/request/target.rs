//! Part of step 1: the one form of a request target.
//!
//! Composer routes take no percent-escapes but `%7E` (for `~`) and no characters beyond those of names, versions and references.
//! What is passed through may hold escapes and a query, but nothing that a second reader could take for another path.

use super::admit::Fault;

const MOST_PATH: usize = 2_048;
/// Most bytes of path and query.
pub(crate) const MOST_TARGET: usize = 8_192;

/// The first segments of Composer routes; everything under them is the edge's own.
const COMPOSER: [&str; 8] =
    ["packages.json", "p2", "dist", "list.json", "search.json", "providers", "downloads", "changes.json"];

/// Whether a target in origin form lies in the space that the edge answers by itself, if it is well-formed at all.
pub(crate) fn is_of_composer(raw: &[u8]) -> bool {
    let path = raw.split(|byte| *byte == b'?').next().unwrap_or_default();
    let mut segments = path.split(|byte| *byte == b'/');
    let rooted = segments.next().is_some_and(<[u8]>::is_empty);
    rooted && segments.next().is_some_and(|first| COMPOSER.iter().any(|known| known.as_bytes() == first))
}

/// Path and query of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    path: String,
    query: Option<String>,
    space: Space,
}

/// Whose a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// Answered at the edge.
    Composer,
    /// Such a path that names nothing on either side: `//x`, `/./p2/a`.
    Nowhere,
    /// The control plane's.
    Other,
}

impl Target {
    /// Reads a target in origin form.
    pub(crate) fn parse(raw: &[u8]) -> Result<Self, Fault> {
        if raw.first() != Some(&b'/') || !raw.iter().all(|byte| is_target_byte(*byte)) {
            return Err(if raw.len() > MOST_TARGET { Fault::TargetTooLong } else { Fault::Target });
        }
        let text = std::str::from_utf8(raw).map_err(|_| Fault::Target)?;
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (text, None),
        };
        if path.len() > MOST_PATH || raw.len() > MOST_TARGET {
            return Err(Fault::TargetTooLong);
        }
        let first = path.split('/').nth(1).unwrap_or_default();
        if COMPOSER.contains(&first) {
            return Ok(Self { path: composer_path(path)?, query, space: Space::Composer });
        }
        let space = other_space(path)?;
        if let Some(query) = &query {
            unescape(query)?;
        }
        Ok(Self { path: path.to_owned(), query, space })
    }

    /// The canonical path.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// What stands after the question mark, as sent. Never part of a key.
    pub(crate) fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Whose it is.
    pub(crate) const fn space(&self) -> Space {
        self.space
    }
}

/// Visible ASCII without the characters that RFC 3986 has no place for; a fragment does not belong on the wire either.
const fn is_target_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#')
}

fn composer_path(path: &str) -> Result<String, Fault> {
    let path = match path.contains('%') {
        true => path.replace("%7E", "~").replace("%7e", "~"),
        false => path.to_owned(),
    };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~+@-".contains(&byte);
    if path.bytes().all(known) { Ok(path) } else { Err(Fault::Target) }
}

fn other_space(path: &str) -> Result<Space, Fault> {
    let decoded = unescape(path)?;
    // Only what is a dot segment after decoding but was not one before is refused as ambiguous; plain ones name nothing.
    let dots =
        |text: &str| text.split(['/', '\\']).any(|segment| matches!(segment.split(';').next(), Some("." | "..")));
    if decoded.contains('\\') || (dots(&decoded) && !dots(path)) {
        return Err(Fault::Target);
    }
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Ok(Space::Nowhere);
        }
    }
    Ok(if dots(path) { Space::Nowhere } else { Space::Other })
}

/// Decodes percent-escapes once.
fn unescape(text: &str) -> Result<String, Fault> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16)).ok_or(Fault::Target);
        let value = u8::try_from(digit()? * 16 + digit()?).map_err(|_| Fault::Target)?;
        if value < 0x20 || value == 0x7f {
            return Err(Fault::Target);
        }
        out.push(value);
    }
    String::from_utf8(out).map_err(|_| Fault::Target)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(raw: &str) -> Result<(String, Space), Fault> {
        Target::parse(raw.as_bytes()).map(|target| (target.path().to_owned(), target.space()))
    }

    #[test]
    fn composer_routes() {
        for (raw, path) in [
            ("/packages.json", "/packages.json"),
            ("/p2/acme/pay.json", "/p2/acme/pay.json"),
            ("/p2/acme/pay%7Edev.json", "/p2/acme/pay~dev.json"),
            ("/p2/acme/pay%7edev.json?x=1", "/p2/acme/pay~dev.json"),
            ("/dist/acme/pay/1.0.0.0/0a.zip?token=x", "/dist/acme/pay/1.0.0.0/0a.zip"),
        ] {
            assert_eq!(parse(raw), Ok((path.to_owned(), Space::Composer)), "{raw}");
        }
    }

    /// E-P2, E-P3, E-P4, E-P5, E-P6, E-P10: on Composer routes and elsewhere.
    #[test]
    fn refused() {
        for raw in [
            "a",
            "?x",
            "host:80",
            "*",
            "",
            "/a#frag",
            "/a b",
            "/a\"b",
            "/é",
            "/\u{1}",
            "/a\\b",
            "/%00",
            "/%0d%0a",
            "/%c0%ae",
            "/%ff",
            "/%zz",
            "/%2",
            "/p2/%2e%2e/x",
            "/p2/%2E/x",
            "/p2/..%2fx",
            "/p2/a%2fb.json",
            "/p2/a%5cb.json",
            "/p2/..;/x",
            "/p2/a/b;x=.zip",
            "/p2/%252e/x",
            "/p2/a/b%20.json",
            "/%2e%2e/x",
            "/api/%2e%2e/x",
            "/api/..%2fx",
            "/api/a%5cb",
            "/api/%2e%2e;/x",
            "/%2F%2F%2F..%2F..%2Fetc%2Fpasswd",
            "/api?%zz",
            "/api?%00",
        ] {
            assert_eq!(parse(raw), Err(Fault::Target), "{raw}");
        }
    }

    /// E-P1: never merged silently; no path of either side.
    #[test]
    fn nowhere() {
        for raw in
            ["//x/p2/a/b.json", "/./p2/a/b.json", "/../p2/a/b.json", "/api//v1", "/api/../p2", "/api/..;/p2", "//"]
        {
            assert_eq!(parse(raw).map(|(_, space)| space), Ok(Space::Nowhere), "{raw}");
        }
        for raw in ["/p2//a/b.json", "/p2/../x", "/p2/a/b.json/"] {
            assert_eq!(parse(raw).map(|(_, space)| space), Ok(Space::Composer), "{raw}");
        }
    }

    #[test]
    fn the_rest_takes_escapes_and_queries() {
        for raw in [
            "/",
            "/api/v1/packages/acme/pay/yank/dev-feature%2Fx?wait=true",
            "/graphql",
            "/portal/%C3%A9",
            "/api/v1/customers/",
        ] {
            assert_eq!(parse(raw).map(|(_, space)| space), Ok(Space::Other), "{raw}");
        }
    }

    /// E-P9.
    #[test]
    fn lengths() {
        assert_eq!(parse(&format!("/p2/{}", "a".repeat(2_044))).map(|_| ()), Ok(()));
        assert_eq!(parse(&format!("/p2/{}", "a".repeat(2_045))), Err(Fault::TargetTooLong));
        assert_eq!(parse(&format!("/api?{}", "a".repeat(8_000))).map(|_| ()), Ok(()));
        assert_eq!(parse(&format!("/api?{}", "a".repeat(9_000))), Err(Fault::TargetTooLong));
    }

    proptest! {
        /// E-P12, in small: what is accepted re-reads as itself.
        #[test]
        fn idempotent(raw in "/(p2|dist|api|packages\\.json|\\.\\.|)?[/a-z0-9.~%7Ee2fF;?@ -]{0,40}") {
            if let Ok(target) = Target::parse(raw.as_bytes()) {
                let again = Target::parse(target.path().as_bytes()).map(|target| (target.path, target.space));
                prop_assert_eq!(again, Ok((target.path, target.space)));
            }
        }

        #[test]
        fn no_bytes_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Target::parse(&raw);
        }
    }
}
