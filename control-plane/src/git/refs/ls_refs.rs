//! Decides how the refs are asked for where a server speaks protocol version 2: by prefix, so that a repository with tens of thousands
//! of pull requests costs what its branches and tags cost. Bounds are kept while reading: nothing grows without end.
//!
//! Only the listing is done in version 2. libgit2, which fetches, speaks none: it gets an advertisement of version 0 that is made from
//! the listing.

use super::super::failure::Result;
use super::super::protocol::{Failed, Limits};
use super::super::text::printable;
use super::advertisement::{Advertisement, CAPABILITIES, Lines, packet, trim};
use super::{Head, Listing, RemoteRef, kind, parse_oid, sha256_repository};

/// What a server says of itself in version 2.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::git) struct Server {
    /// It tells where HEAD leads though nothing is there.
    unborn: bool,
}

impl Server {
    /// Reads the answer to `GET info/refs`; none when it is not one of version 2, and must be read as the older one.
    ///
    /// # Errors
    /// When it says version 2 and cannot be read, or the repository is of an unsupported kind.
    pub(in crate::git) fn parse(body: &[u8]) -> Result<Option<Self>> {
        let mut lines = Lines { rest: body };
        let Ok(Some(first)) = lines.next() else { return Ok(None) };
        let mut first = trim(first);
        // Some put the older version's first line in front.
        if first == b"# service=git-upload-pack" {
            let (Ok(None), Ok(Some(next))) = (lines.next(), lines.next()) else { return Ok(None) };
            first = trim(next);
        }
        if first != b"version 2" {
            return Ok(None);
        }
        let (mut lists, mut unborn) = (false, false);
        while let Some(line) = lines.next()? {
            let line = trim(line);
            if line == b"object-format=sha256" {
                return Err(sha256_repository());
            }
            let (name, value) = match line.iter().position(|byte| *byte == b'=') {
                Some(at) => (&line[..at], &line[at + 1..]),
                None => (line, &b""[..]),
            };
            if name == b"ls-refs" {
                lists = true;
                unborn = value.split(|byte| *byte == b' ').any(|word| word == b"unborn");
            }
        }
        if !lists {
            return Err(Failed::protocol("it speaks version 2 but does not list refs"));
        }
        Ok(Some(Self { unborn }))
    }

    /// The body of the POST that asks for branches, tags and HEAD.
    pub(in crate::git) fn question(&self) -> Vec<u8> {
        let mut out = Vec::new();
        packet(&mut out, b"command=ls-refs\n");
        packet(&mut out, b"object-format=sha1\n");
        out.extend_from_slice(b"0001");
        packet(&mut out, b"symrefs\n");
        if self.unborn {
            packet(&mut out, b"unborn\n");
        }
        for prefix in ["HEAD", "refs/heads/", "refs/tags/"] {
            packet(&mut out, format!("ref-prefix {prefix}\n").as_bytes());
        }
        out.extend_from_slice(b"0000");
        out
    }
}

/// Reads the answer to [`Server::question`].
///
/// # Errors
/// When it is not in git's format, breaks a limit, or belongs to a repository of an unsupported kind.
pub(in crate::git) fn parse(body: &[u8], limits: &Limits) -> Result<Advertisement> {
    let mut lines = Lines { rest: body };
    let (mut head, mut refs) = (Head::Absent, Vec::new());
    while let Some(line) = lines.next()? {
        let line = trim(line);
        if let Some(message) = line.strip_prefix(b"ERR ") {
            return Err(Failed::protocol(format_args!("it says `{}`", printable(message))));
        }
        let mut words = line.split(|byte| *byte == b' ');
        let (oid, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if oid.len() == 64 {
            return Err(sha256_repository());
        }
        if name == b"HEAD" {
            head = match (words.find_map(|word| word.strip_prefix(b"symref-target:")), parse_oid(oid)) {
                (Some(target), _) => Head::Symbolic(target.to_vec()),
                (None, Some(oid)) => Head::Detached(oid),
                (None, None) => return Err(unreadable()),
            };
            continue;
        }
        // Servers need not heed prefixes.
        if kind(name).is_none() {
            continue;
        }
        if refs.len() >= limits.refs {
            return Err(Failed::limit(format!("the repository has more than {} branches and tags", limits.refs)));
        }
        refs.push(RemoteRef { name: name.to_vec(), oid: parse_oid(oid).ok_or_else(unreadable)? });
    }
    // What every server of version 0 has that also speaks version 2.
    Ok(Advertisement { listing: Listing::new(head, refs), capabilities: CAPABILITIES.to_vec() })
}

fn unreadable() -> Failed {
    Failed::protocol("a line of its list of refs cannot be read")
}

#[cfg(test)]
mod tests {
    use super::super::super::protocol::FailureCode;
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn body(lines: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        lines.iter().for_each(|line| packet(&mut out, format!("{line}\n").as_bytes()));
        out.extend_from_slice(b"0000");
        out
    }

    #[test]
    fn which_version() {
        let plain = body(&[
            "version 2",
            "agent=git/2.39",
            "ls-refs=unborn",
            "fetch=shallow wait-for-done",
            "object-format=sha1",
        ]);
        let mut announced = body(&["# service=git-upload-pack"]);
        announced.extend_from_slice(&plain);
        for good in [&plain, &announced] {
            assert_eq!(Server::parse(good), Ok(Some(Server { unborn: true })));
        }
        assert_eq!(Server::parse(&body(&["version 2", "ls-refs"])), Ok(Some(Server { unborn: false })));
        for older in
            [body(&["# service=git-upload-pack"]), body(&["version 1"]), body(&[]), b"<html>".to_vec(), Vec::new()]
        {
            assert_eq!(Server::parse(&older), Ok(None));
        }
        for (bad, code) in [
            (body(&["version 2", "fetch"]), FailureCode::Protocol),
            (body(&["version 2", "ls-refs", "object-format=sha256"]), FailureCode::Unsupported),
            (plain[..plain.len() - 6].to_vec(), FailureCode::Protocol),
        ] {
            assert_eq!(Server::parse(&bad).unwrap_err().code, code);
        }
    }

    #[test]
    fn the_listing() {
        let limits = Limits::default();
        let head = format!("{A} HEAD symref-target:refs/heads/main");
        let lines = [
            head.as_str(),
            &format!("{A} refs/heads/main"),
            &format!("{A} refs/pull/1/head"),
            &format!("{A} refs/tags/v1 peeled:{A}"),
        ];
        let parsed = parse(&body(&lines), &limits).unwrap();
        assert_eq!(parsed.listing.head, Head::Symbolic(b"refs/heads/main".to_vec()));
        let names: Vec<&[u8]> = parsed.listing.refs.iter().map(|one| one.name.as_slice()).collect();
        assert_eq!(names, [&b"refs/heads/main"[..], b"refs/tags/v1"]);
        // What libgit2 sees is an advertisement of version 0.
        let narrowed = Advertisement::parse(&parsed.narrowed(parsed.listing.refs.iter()), &limits).unwrap();
        assert_eq!((narrowed.listing.refs.len(), narrowed.capabilities), (2, CAPABILITIES.to_vec()));

        let unborn = parse(&body(&["unborn HEAD symref-target:refs/heads/main"]), &limits).unwrap();
        assert_eq!(unborn.listing.head, Head::Symbolic(b"refs/heads/main".to_vec()));
        let detached = parse(&body(&[&format!("{A} HEAD")]), &limits).unwrap();
        assert!(matches!(detached.listing.head, Head::Detached(_)));
    }

    /// G-S1, G-S8
    #[test]
    fn refusals() {
        let limits = Limits { refs: 2, ..Limits::default() };
        let many: Vec<String> = (0..3).map(|number| format!("{A} refs/tags/{number}")).collect();
        for (lines, code) in [
            (vec!["ERR no"], FailureCode::Protocol),
            (vec!["zz refs/tags/1"], FailureCode::Protocol),
            (vec!["unborn HEAD"], FailureCode::Protocol),
            (many.iter().map(String::as_str).collect(), FailureCode::Limit),
        ] {
            assert_eq!(parse(&body(&lines), &limits).unwrap_err().code, code, "{lines:?}");
        }
        let sha256 = format!("{} refs/heads/main", "a".repeat(64));
        assert_eq!(parse(&body(&[&sha256]), &limits).unwrap_err().code, FailureCode::Unsupported);
        let good = body(&[&format!("{A} refs/tags/1")]);
        for cut in 0..good.len() {
            assert!(parse(&good[..cut], &limits).is_err(), "cut at {cut}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), tail in ".{0,200}") {
            let mut framed = Vec::new();
            packet(&mut framed, b"version 2\n");
            packet(&mut framed, &body);
            framed.extend_from_slice(b"0000");
            let _ = Server::parse(&framed);
            let _ = parse(&body, &Limits::default());
            let mut listed = Vec::new();
            packet(&mut listed, format!("{A} refs/tags/{tail}").as_bytes());
            listed.extend_from_slice(b"0000");
            if let Ok(parsed) = parse(&listed, &Limits::default()) {
                let good = parsed.listing.refs.iter().filter(|one| super::super::name::check(&one.name).is_ok());
                let narrowed = parsed.narrowed(good);
                proptest::prop_assert!(Advertisement::parse(&narrowed, &Limits::default()).is_ok());
            }
        }
    }
}
