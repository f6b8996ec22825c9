//! Lists of refs that mean harm (G-S1, G-S6, G-S8), in both versions of the protocol.

use cargoman_control_plane::git::protocol::FailureCode::{
    self, Empty, Limit, NoDefaultBranch, Protocol, UnreadableObject, Unsupported,
};

use crate::case::{Case, judge};
use crate::script::{LISTING, RESULT, endless, head, listing, packet, reply};

const OID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const SERVICE: &[u8] = b"001e# service=git-upload-pack\n0000";

/// The body of the first answer, and nothing after it.
fn body(id: &'static str, name: &'static str, codes: &'static [FailureCode], body: Vec<u8>) -> Case {
    Case::new(id, name, codes, move |asked, stream| match asked.method.as_str() {
        "GET" => reply(stream, LISTING, &body),
        _ => reply(stream, RESULT, b""),
    })
}

/// In version 2, the answer to `ls-refs`.
fn listed(id: &'static str, name: &'static str, codes: &'static [FailureCode], lines: Vec<u8>) -> Case {
    Case::new(id, name, codes, move |asked, stream| match asked.method.as_str() {
        "GET" => reply(stream, LISTING, &version_2()),
        _ => reply(stream, RESULT, &lines),
    })
}

fn version_2() -> Vec<u8> {
    [packet("version 2\n"), packet("ls-refs=unborn\n"), packet("fetch=shallow\n"), b"0000".to_vec()].concat()
}

fn many() -> Vec<u8> {
    let mut out = [SERVICE, &packet(format!("{OID} HEAD\0agent=x\n"))].concat();
    (0..50_001).for_each(|number| out.extend_from_slice(&packet(format!("{OID} refs/tags/{number}\n"))));
    [out, b"0000".to_vec()].concat()
}

pub(crate) fn cases() -> Vec<Case> {
    const BROKEN: &[FailureCode] = &[Protocol];
    let raw = |lines: &[u8]| [SERVICE, lines].concat();
    let main = |capabilities: &str| listing(&[(OID, "HEAD"), (OID, "refs/heads/main")], capabilities);
    vec![
        Case::new("G-S1", "refs without end", &[Limit], |_, stream| {
            head(stream, LISTING)?;
            std::io::Write::write_all(stream, &[SERVICE, &packet(format!("{OID} HEAD\0agent=x\n"))].concat())?;
            endless(stream, &packet(format!("{OID} refs/tags/1.0.0\n")))
        }),
        Case::new("G-S1", "pull requests without end", &[Limit], |_, stream| {
            head(stream, LISTING)?;
            std::io::Write::write_all(stream, &[SERVICE, &packet(format!("{OID} HEAD\0agent=x\n"))].concat())?;
            endless(stream, &packet(format!("{OID} refs/pull/1/head\n")))
        }),
        Case::new("G-S1", "refs without end in version 2", &[Limit], |asked, stream| {
            if asked.method == "GET" {
                return reply(stream, LISTING, &version_2());
            }
            head(stream, RESULT)?;
            endless(stream, &packet(format!("{OID} refs/tags/1.0.0\n")))
        }),
        body("G-S1", "one ref too many", &[Limit], many()),
        body("G-S1", "capabilities of 60 KB", &[Protocol, UnreadableObject, Limit], main(&"x".repeat(60_000))),
        body("G-S1", "a packet of no length", BROKEN, raw(b"zzzz")),
        body("G-S1", "a packet shorter than its length", BROKEN, raw(b"00ffshort")),
        body("G-S1", "a packet below the least", BROKEN, raw(b"0003")),
        body("G-S1", "a delimiter where none belongs", BROKEN, raw(b"00010000")),
        body("G-S1", "no end", BROKEN, raw(&packet(format!("{OID} HEAD\0x\n")))),
        body("G-S1", "nothing at all", BROKEN, Vec::new()),
        body("G-S1", "a length with a sign", BROKEN, raw(b"+00a12345600000")),
        body("G-S1", "an empty list", &[Empty, Protocol], raw(b"0000")),
        body(
            "G-S6",
            "an id of 39 digits",
            BROKEN,
            raw(&[packet(format!("{} HEAD\0x\n", &OID[1..])), b"0000".to_vec()].concat()),
        ),
        body(
            "G-S6",
            "an id of no digits",
            BROKEN,
            raw(&[packet(format!("{} HEAD\0x\n", "z".repeat(40))), b"0000".to_vec()].concat()),
        ),
        body("G-S6", "an id of zeros", &[Protocol, UnreadableObject, NoDefaultBranch, Empty], {
            let zeros = "0".repeat(40);
            listing(&[(&zeros, "HEAD"), (&zeros, "refs/heads/main")], "symref=HEAD:refs/heads/main")
        }),
        body("G-S6", "HEAD that leads to itself", &[NoDefaultBranch], main("symref=HEAD:HEAD")),
        body("G-S6", "HEAD that leads out", &[NoDefaultBranch], main("symref=HEAD:refs/heads/../../../etc/passwd")),
        body("G-S6", "HEAD that leads nowhere", &[NoDefaultBranch], main("symref=HEAD:")),
        body("G-S6", "HEAD that is not UTF-8", &[NoDefaultBranch, Protocol], {
            let mut body = main("symref=HEAD:refs/heads/XX");
            let at = body.windows(2).position(|two| two == b"XX").unwrap();
            body[at..at + 2].copy_from_slice(b"\xff\xfe");
            body
        }),
        body(
            "G-S5",
            "an error that paints the terminal",
            BROKEN,
            raw(&[packet("ERR \x1b[31m\x07\u{202e}no\n"), b"0000".to_vec()].concat()),
        ),
        body(
            "G-S5",
            "an error of 60 KB",
            BROKEN,
            raw(&[packet(format!("ERR {}\n", "no ".repeat(20_000))), b"0000".to_vec()].concat()),
        ),
        body("G-S8", "SHA-256", &[Unsupported], listing(&[(&"a".repeat(64), "HEAD")], "object-format=sha256")),
        body("G-S8", "SHA-256 by its name alone", &[Unsupported], main("object-format=sha256")),
        body("G-S8", "shallow", &[Unsupported], {
            let mut body = main("agent=x");
            body.truncate(body.len() - 4);
            [body, packet(format!("shallow {OID}")), b"0000".to_vec()].concat()
        }),
        body("G-S8", "SHA-256 in version 2", &[Unsupported], {
            [packet("version 2\n"), packet("ls-refs\n"), packet("object-format=sha256\n"), b"0000".to_vec()].concat()
        }),
        body(
            "G-S8",
            "a version 2 that lists nothing",
            BROKEN,
            [packet("version 2\n"), packet("fetch\n"), b"0000".to_vec()].concat(),
        ),
        body(
            "G-S8",
            "a bundle to be had elsewhere",
            BROKEN,
            [packet("version 2\n"), packet("bundle-uri\n"), b"0000".to_vec()].concat(),
        ),
        body(
            "G-S8",
            "version 3",
            &[Protocol, Empty, NoDefaultBranch],
            [packet("version 3\n"), b"0000".to_vec()].concat(),
        ),
        listed("G-S1", "version 2: no end", BROKEN, packet(format!("{OID} HEAD symref-target:refs/heads/main\n"))),
        listed("G-S1", "version 2: nothing", BROKEN, Vec::new()),
        listed("G-S1", "version 2: no refs", &[Empty], b"0000".to_vec()),
        listed(
            "G-S6",
            "version 2: an id of no digits",
            BROKEN,
            [packet("zz refs/tags/1\n"), b"0000".to_vec()].concat(),
        ),
        listed("G-S6", "version 2: HEAD that leads out", &[NoDefaultBranch], {
            [
                packet(format!("{OID} HEAD symref-target:refs/heads/../../x\n")),
                packet(format!("{OID} refs/heads/main\n")),
                b"0000".to_vec(),
            ]
            .concat()
        }),
        listed(
            "G-S5",
            "version 2: an error that paints the terminal",
            BROKEN,
            [packet("ERR \x1b]0;x\x07"), b"0000".to_vec()].concat(),
        ),
        listed(
            "G-S8",
            "version 2: SHA-256",
            &[Unsupported],
            [packet(format!("{} HEAD\n", "a".repeat(64))), b"0000".to_vec()].concat(),
        ),
    ]
}

#[test]
fn are_refused_with_their_reason() {
    judge(cases());
}
