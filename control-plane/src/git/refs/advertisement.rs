//! Decides what a git server's ref advertisement says (smart HTTP, protocol version 0), and writes the narrowed one that
//! libgit2 gets to see: only wanted refs, only capabilities we use. Bounds are kept while reading: nothing grows without end.

use git2::Oid;

use super::super::failure::Result;
use super::super::protocol::{Failed, Limits};
use super::super::text::printable;
use super::{Head, Listing, RemoteRef, parse_oid, sha256_repository, shallow_repository};

/// What libgit2 may use. `include-tag` is not among them: it would send what was not asked for.
pub(super) const CAPABILITIES: &[&str] =
    &["multi_ack_detailed", "multi_ack", "side-band-64k", "ofs-delta", "thin-pack"];

/// What stands in front of an advertisement over HTTP, and only there.
pub(in crate::git) const SERVICE: &[u8] = b"001e# service=git-upload-pack\n0000";

/// A parsed advertisement.
#[derive(Debug)]
pub(in crate::git) struct Advertisement {
    pub(in crate::git) listing: Listing,
    pub(super) capabilities: Vec<&'static str>,
}

impl Advertisement {
    /// Reads the body of `GET info/refs?service=git-upload-pack`.
    ///
    /// # Errors
    /// When it is not in git's format, breaks a limit, or belongs to a repository of an unsupported kind.
    pub(in crate::git) fn parse(body: &[u8], limits: &Limits) -> Result<Self> {
        let mut lines = Lines { rest: body };
        if !matches!(lines.next()?, Some(line) if trim(line) == b"# service=git-upload-pack") || lines.next()?.is_some()
        {
            return Err(Failed::protocol("its answer does not begin with `# service=git-upload-pack`"));
        }
        let mut builder = Builder {
            limits,
            head: Head::Absent,
            head_oid: None,
            refs: Vec::new(),
            capabilities: Vec::new(),
            first: true,
        };
        while let Some(line) = lines.next()? {
            builder.line(trim(line))?;
        }
        Ok(builder.finish())
    }

    /// The advertisement that libgit2 reads instead: `wanted` only. Names were checked before, so they need no more care.
    pub(in crate::git) fn narrowed<'a>(&self, wanted: impl Iterator<Item = &'a RemoteRef>) -> Vec<u8> {
        let mut out = SERVICE.to_vec();
        let mut capabilities = Some(self.capabilities.join(" "));
        for entry in wanted {
            let mut line = format!("{} ", entry.oid).into_bytes();
            line.extend_from_slice(&entry.name);
            if let Some(capabilities) = capabilities.take() {
                line.push(0);
                line.extend_from_slice(capabilities.as_bytes());
            }
            line.push(b'\n');
            packet(&mut out, &line);
        }
        out.extend_from_slice(b"0000");
        out
    }
}

pub(super) fn packet(out: &mut Vec<u8>, line: &[u8]) {
    out.extend_from_slice(format!("{:04x}", line.len() + 4).as_bytes());
    out.extend_from_slice(line);
}

pub(super) fn trim(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// git's pkt-line framing.
pub(super) struct Lines<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// The next line, `None` for a flush packet.
    pub(super) fn next(&mut self) -> Result<Option<&'a [u8]>> {
        let broken = || Failed::protocol("its list of refs is cut off or broken");
        let (length, rest) = self.rest.split_at_checked(4).ok_or_else(broken)?;
        let length = std::str::from_utf8(length).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let length = length.and_then(|text| usize::from_str_radix(text, 16).ok()).ok_or_else(broken)?;
        if length == 0 {
            self.rest = rest;
            return Ok(None);
        }
        let (line, rest) = length.checked_sub(4).and_then(|length| rest.split_at_checked(length)).ok_or_else(broken)?;
        self.rest = rest;
        Ok(Some(line))
    }
}

struct Builder<'a> {
    limits: &'a Limits,
    head: Head,
    head_oid: Option<Oid>,
    refs: Vec<RemoteRef>,
    capabilities: Vec<&'static str>,
    first: bool,
}

impl Builder<'_> {
    fn line(&mut self, line: &[u8]) -> Result<()> {
        if let Some(message) = line.strip_prefix(b"ERR ") {
            return Err(Failed::protocol(format_args!("it says `{}`", printable(message))));
        }
        if line.starts_with(b"shallow ") {
            return Err(shallow_repository());
        }
        let mut line = line;
        if std::mem::take(&mut self.first)
            && let Some(at) = line.iter().position(|byte| *byte == 0)
        {
            self.capabilities(&line[at + 1..])?;
            line = &line[..at];
        }
        let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        if space == 64 {
            return Err(sha256_repository());
        }
        let (Some(oid), Some(name)) = (parse_oid(&line[..space]), line.get(space + 1..)) else {
            return Err(Failed::protocol("a line of its list of refs cannot be read"));
        };
        if name == b"HEAD" {
            self.head_oid = Some(oid);
        } else if super::kind(name).is_some() && !name.ends_with(b"^{}") {
            if self.refs.len() >= self.limits.refs {
                return Err(Failed::limit(format!(
                    "the repository has more than {} branches and tags",
                    self.limits.refs
                )));
            }
            self.refs.push(RemoteRef { name: name.to_vec(), oid });
        }
        Ok(())
    }

    fn capabilities(&mut self, text: &[u8]) -> Result<()> {
        for word in text.split(|byte| *byte == b' ') {
            if let Some(target) = word.strip_prefix(b"symref=HEAD:") {
                self.head = Head::Symbolic(target.to_vec());
            } else if word.strip_prefix(b"object-format=").is_some_and(|format| format != b"sha1") {
                return Err(sha256_repository());
            } else if let Some(known) = CAPABILITIES.iter().find(|known| known.as_bytes() == word) {
                self.capabilities.push(known);
            }
        }
        Ok(())
    }

    fn finish(self) -> Advertisement {
        let head = match (self.head, self.head_oid) {
            (Head::Absent, Some(oid)) => Head::Detached(oid),
            (head, _) => head,
        };
        Advertisement { listing: Listing::new(head, self.refs), capabilities: self.capabilities }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::protocol::FailureCode;
    use super::*;

    fn body(lines: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        packet(&mut out, b"# service=git-upload-pack\n");
        out.extend_from_slice(b"0000");
        for line in lines {
            packet(&mut out, line);
        }
        out.extend_from_slice(b"0000");
        out
    }

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn line(name: &[u8], capabilities: &str) -> Vec<u8> {
        let mut line = format!("{A} ").into_bytes();
        line.extend_from_slice(name);
        if !capabilities.is_empty() {
            line.push(0);
            line.extend_from_slice(capabilities.as_bytes());
        }
        line.push(b'\n');
        line
    }

    #[test]
    fn reads_and_narrows() {
        let head = line(
            b"HEAD",
            "multi_ack thin-pack side-band-64k include-tag shallow symref=HEAD:refs/heads/main object-format=sha1 agent=git/2",
        );
        let names: [&[u8]; 5] =
            [b"refs/heads/main", b"refs/pull/1/head", b"refs/tags/\xff", b"refs/tags/v1", b"refs/tags/v1^{}"];
        let lines: Vec<Vec<u8>> = std::iter::once(head).chain(names.iter().map(|name| line(name, ""))).collect();
        let parsed =
            Advertisement::parse(&body(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>()), &Limits::default())
                .unwrap();
        assert_eq!(parsed.listing.head, Head::Symbolic(b"refs/heads/main".to_vec()));
        let seen: Vec<&[u8]> = parsed.listing.refs.iter().map(|entry| entry.name.as_slice()).collect();
        assert_eq!(seen, [&b"refs/heads/main"[..], b"refs/tags/v1", b"refs/tags/\xff"]);

        let narrowed =
            parsed.narrowed(parsed.listing.refs.iter().filter(|entry| super::super::name::check(&entry.name).is_ok()));
        let again = Advertisement::parse(&narrowed, &Limits::default()).unwrap();
        assert_eq!(again.listing.refs.len(), 2);
        assert_eq!(again.capabilities, ["multi_ack", "thin-pack", "side-band-64k"]);
        assert_eq!(again.listing.head, Head::Absent);
    }

    #[test]
    fn refusals() {
        let limits = Limits { refs: 2, ..Limits::default() };
        let sha256 = format!("{} refs/heads/main\n", "a".repeat(64));
        for (lines, code) in [
            (vec![b"ERR no such thing\n".to_vec()], FailureCode::Protocol),
            (vec![b"nonsense".to_vec()], FailureCode::Protocol),
            (vec![sha256.into_bytes()], FailureCode::Unsupported),
            (vec![line(b"capabilities^{}", "object-format=sha256")], FailureCode::Unsupported),
            (vec![line(b"HEAD", "x"), format!("shallow {A}").into_bytes()], FailureCode::Unsupported),
            ((0..3).map(|index| line(format!("refs/tags/{index}").as_bytes(), "")).collect(), FailureCode::Limit),
        ] {
            let found =
                Advertisement::parse(&body(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>()), &limits).unwrap_err();
            assert_eq!(found.code, code, "{lines:?}");
        }
        let good = body(&[&line(b"HEAD", "x")]);
        for cut in 0..good.len() {
            assert!(Advertisement::parse(&good[..cut], &limits).is_err(), "cut at {cut}");
        }
        assert!(Advertisement::parse(b"<html>", &limits).is_err());
        assert!(Advertisement::parse(b"0003", &limits).is_err());
    }

    proptest::proptest! {
        /// Whatever a server sends: an answer or a refusal, and nothing that libgit2 would choke on.
        #[test]
        fn any_bytes(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), tail in ".{0,200}") {
            let mut framed = Vec::new();
            packet(&mut framed, b"# service=git-upload-pack\n");
            framed.extend_from_slice(b"0000");
            packet(&mut framed, &[format!("{A} ").as_bytes(), &body].concat());
            packet(&mut framed, format!("{A} refs/tags/{tail}").as_bytes());
            framed.extend_from_slice(b"0000");
            let _ = Advertisement::parse(&body, &Limits::default());
            if let Ok(parsed) = Advertisement::parse(&framed, &Limits::default()) {
                let good = parsed.listing.refs.iter().filter(|entry| super::super::name::check(&entry.name).is_ok());
                let narrowed = parsed.narrowed(good);
                proptest::prop_assert!(Advertisement::parse(&narrowed, &Limits::default()).is_ok());
            }
        }
    }
}
