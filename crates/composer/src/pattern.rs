//! The few character classes and end rules that Composer's grammar is built from.
//!
//! They follow PCRE in its default mode: ASCII only, `$` also holds before a final line feed, `.` stops at a line feed.
//! Nothing here may look at Unicode classes: Composer does not.

/// PCRE's `\s`.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// `[^,\s]`: what may stand inside one word of a constraint.
pub(crate) fn is_word(byte: u8) -> bool {
    byte != b',' && !is_space(byte)
}

/// PHP's `trim()`: unlike `\s` it takes NUL and leaves form feeds.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r', '\0', '\u{b}'])
}

/// PCRE's `$`: nothing is left, or only a final line feed.
pub(crate) fn at_end(rest: &str) -> bool {
    matches!(rest, "" | "\n")
}

/// The text before the point where `$` holds for a pattern that does not itself take a line feed.
pub(crate) fn without_final_newline(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

/// Splits at the end of the leading run of bytes accepted by `accept`, which must accept ASCII or whole characters only.
pub(crate) fn run(text: &str, accept: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !accept(byte)).unwrap_or(text.len());
    text.split_at(end)
}

/// The leading `\d+`, if there is one, and what follows.
pub(crate) fn digits(text: &str) -> Option<(&str, &str)> {
    let (digits, rest) = run(text, |byte| byte.is_ascii_digit());
    (!digits.is_empty()).then_some((digits, rest))
}

/// Strips `prefix` in any ASCII case.
pub(crate) fn strip_prefix_any_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// Strips `suffix` in any ASCII case.
pub(crate) fn strip_suffix_any_case<'t>(text: &'t str, suffix: &str) -> Option<&'t str> {
    let start = text.len().checked_sub(suffix.len())?;
    let tail = text.get(start..)?;
    tail.eq_ignore_ascii_case(suffix).then(|| &text[..start])
}

/// `v?`, in either case.
pub(crate) fn optional_v(text: &str) -> &str {
    text.strip_prefix(['v', 'V']).unwrap_or(text)
}

/// `X` of `X as Y`: an inline alias names another version, the thing itself is `X`.
pub(crate) fn strip_alias(text: &str) -> &str {
    let (source, rest) = run(text, is_word);
    let (gap, rest) = run(rest, |byte| byte == b' ');
    let Some(rest) = rest.strip_prefix("as") else { return text };
    let (second_gap, rest) = run(rest, |byte| byte == b' ');
    let (target, rest) = run(rest, is_word);
    let complete = !source.is_empty() && !gap.is_empty() && !second_gap.is_empty() && !target.is_empty();
    if complete && at_end(rest) { source } else { text }
}

/// The stability flag words, as they may follow `@`.
const FLAGS: [&str; 5] = ["stable", "RC", "beta", "alpha", "dev"];

/// Splits a final `@flag` (any case) off: the text before it and the flag as written.
pub(crate) fn split_flag(text: &str) -> Option<(&str, &str)> {
    let (before, flag) = without_final_newline(text).rsplit_once('@')?;
    FLAGS.iter().any(|known| known.eq_ignore_ascii_case(flag)).then_some((before, flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_needs_both_sides_and_single_words() {
        for (text, expected) in [
            ("dev-main as 1.0", "dev-main"),
            ("a  as  b", "a"),
            ("a as b\n", "a"),
            ("a asb", "a asb"),
            ("a as", "a as"),
            ("a as b c", "a as b c"),
            ("a,b as c", "a,b as c"),
            (" as c", " as c"),
        ] {
            assert_eq!(strip_alias(text), expected, "{text:?}");
        }
    }

    #[test]
    fn only_known_flags_are_split_off() {
        assert_eq!(split_flag("1.0@beta"), Some(("1.0", "beta")));
        assert_eq!(split_flag("@rC"), Some(("", "rC")));
        assert_eq!(split_flag("a@dev@alpha\n"), Some(("a@dev", "alpha")));
        assert_eq!(split_flag("1.0@foo"), None);
    }
}
