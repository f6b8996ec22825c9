//! Decides how bytes from a repository are shown to people: no terminal escapes, nothing invisible, never too long.

use std::fmt::Write as _;

const LONGEST: usize = 255;

/// Whether a character can be seen and cannot change how its neighbours are shown.
pub(super) fn is_visible(character: char) -> bool {
    let hidden = matches!(u32::from(character),
        0xad | 0x34f | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
        | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0
        | 0xfff0..=0xffff | 0xe000..=0xf8ff | 0xe0000..=0xe0fff | 0xf0000..=0x0010_ffff);
    !hidden && !character.is_control() && !character.is_whitespace()
}

/// `bytes` with everything that cannot be seen escaped, cut to a length that fits a line. Spaces stay.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == ' ' || is_visible(character) {
                out.push(character);
            } else {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
        if out.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|end| out.is_char_boundary(*end)).unwrap_or(0);
            out.truncate(end);
            out.push('…');
            break;
        }
    }
    out
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        for (bytes, shown) in [
            (&b"refs/tags/v1"[..], "refs/tags/v1"),
            ("größe 1".as_bytes(), "größe 1"),
            (b"a\x1b[31m", "a\\u{1b}[31m"),
            ("a\u{202e}b\u{200b}".as_bytes(), "a\\u{202e}b\\u{200b}"),
            (b"a\xff\xfeb", "a\\xff\\xfeb"),
            (b"\n", "\\u{a}"),
        ] {
            assert_eq!(printable(bytes), shown);
        }
        assert_eq!(printable(&[b'x'; 3000]), format!("{}…", "x".repeat(255)));
        assert!(printable("ä".repeat(3000).as_bytes()).ends_with("ä…"));
    }
}
