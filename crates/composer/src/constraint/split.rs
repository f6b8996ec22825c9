//! Cutting a constraint at `||` and at commas and spaces.
//!
//! A space separates unless it belongs to an operator, to a ` - ` range or to `as`. Empty parts are kept: they are
//! errors, and it is the reader of the parts that says so.

use crate::pattern::{at_end, is_space};

/// The parts between `|` or `||`, with the white space around those removed.
pub(super) fn alternatives(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(bar) = rest.find('|') {
        parts.push(rest[..bar].trim_end_matches(|c: char| c.is_ascii() && is_space(c as u8)));
        let after = &rest[bar + 1..];
        let after = after.strip_prefix('|').unwrap_or(after);
        rest = after.trim_start_matches(|c: char| c.is_ascii() && is_space(c as u8));
    }
    parts.push(rest);
    parts
}

/// The parts between separating commas and spaces.
pub(super) fn conjunction(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut position = 1;
    while position < text.len() {
        match separator(text, position) {
            Some(end) => {
                parts.push(&text[start..position]);
                start = end;
                position = end;
            }
            None => position += 1,
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The end of a separator that starts exactly at `start`, which is not 0.
///
/// A separator is a comma with spaces around it, or spaces. It may follow neither an operator, `as`, nor another
/// separator, have no `-` beside it, and not be followed by a comma, `as` or the end. Where the full run of spaces
/// does not fit, a shorter one may: that is how Composer comes to split in the middle of two spaces.
fn separator(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let before = &bytes[..start];
    if before.ends_with(b"as") || matches!(before.last(), Some(b'=' | b'>' | b'<' | b' ' | b',')) {
        return None;
    }
    let leading = spaces(bytes, start);
    (0..=leading).rev().find_map(|taken| {
        let at = start + taken;
        let allowed =
            matches!(bytes.get(at), Some(b',' | b' ')) && bytes[at - 1] != b'-' && bytes.get(at + 1) != Some(&b'-');
        if !allowed {
            return None;
        }
        let longest = at + 1 + spaces(bytes, at + 1);
        (at + 1..=longest).rev().find(|end| may_follow(text, *end))
    })
}

fn may_follow(text: &str, end: usize) -> bool {
    // `end` follows an ASCII byte, so it is a character boundary.
    let rest = &text[end..];
    !rest.starts_with(',') && !rest.starts_with("as") && !at_end(rest)
}

fn spaces(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().take_while(|byte| **byte == b' ').count()
}
