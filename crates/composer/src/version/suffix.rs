//! The part after the numbers of a version: `-beta2`, `RC1-dev`, `.patch-1.2`, `-dev`.
//!
//! It recognises, it does not interpret. Composer's pattern is ambiguous in places (`.dev` may be a separator and a
//! word), so the readings are tried in Composer's order and the first one that also fits what follows wins.

use crate::pattern::{digits, strip_prefix_any_case};

/// The stability words in the order in which they are tried; `alpha` must come before `a`.
const WORDS: [&str; 9] = ["stable", "beta", "b", "RC", "alpha", "a", "patch", "pl", "p"];

/// One reading of a suffix. All parts are slices of the text as written and may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suffix<'t> {
    /// A stability word, any case.
    pub(crate) word: &'t str,
    /// Digits after the word, with the `.` and `-` that join them.
    pub(crate) digits: &'t str,
    /// `dev` with its joiner.
    pub(crate) dev: &'t str,
}

/// Reads a suffix at the start of `text` such that `tail` accepts the rest.
pub(crate) fn suffix<'t, T>(text: &'t str, tail: &impl Fn(&'t str) -> Option<T>) -> Option<(Suffix<'t>, T)> {
    let joined = text.strip_prefix(['.', '_', '-']).and_then(|rest| after_joiner(rest, tail));
    joined.or_else(|| after_joiner(text, tail))
}

fn after_joiner<'t, T>(text: &'t str, tail: &impl Fn(&'t str) -> Option<T>) -> Option<(Suffix<'t>, T)> {
    for word in WORDS {
        let Some(rest) = strip_prefix_any_case(text, word) else { continue };
        let word = &text[..text.len() - rest.len()];
        let number = joined_digits(rest);
        let (digits, after) = rest.split_at(number);
        if let Some((dev, tail)) = development(after, tail) {
            return Some((Suffix { word, digits, dev }, tail));
        }
        if number > 0
            && let Some((dev, tail)) = development(rest, tail)
        {
            return Some((Suffix { word, digits: "", dev }, tail));
        }
    }
    let (dev, tail) = development(text, tail)?;
    Some((Suffix { word: "", digits: "", dev }, tail))
}

/// Length of the longest `([.-]?\d+)*` at the start.
fn joined_digits(text: &str) -> usize {
    let mut rest = text;
    while let Some((_, after)) = digits(rest.strip_prefix(['.', '-']).unwrap_or(rest)) {
        rest = after;
    }
    text.len() - rest.len()
}

/// An optional `[.-]?dev` and a fitting tail.
fn development<'t, T>(text: &'t str, tail: &impl Fn(&'t str) -> Option<T>) -> Option<(&'t str, T)> {
    let word = text.strip_prefix(['.', '-']).unwrap_or(text);
    if let Some(rest) = strip_prefix_any_case(word, "dev")
        && let Some(tail) = tail(rest)
    {
        return Some((&text[..text.len() - rest.len()], tail));
    }
    tail(text).map(|tail| ("", tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_composers_order() {
        let end = |rest: &str| rest.is_empty().then_some(());
        for (text, expected) in [
            ("", Some(("", "", ""))),
            ("-", Some(("", "", ""))),
            ("-beta2", Some(("beta", "2", ""))),
            ("b2", Some(("b", "2", ""))),
            (".RC-1.2-dev", Some(("RC", "-1.2", "-dev"))),
            ("rc1dev", Some(("rc", "1", "dev"))),
            ("-alpha-2.1-3", Some(("alpha", "-2.1-3", ""))),
            ("_pl3", Some(("pl", "3", ""))),
            ("-dev", Some(("", "", "dev"))),
            ("_-dev", Some(("", "", "-dev"))),
            ("..dev", Some(("", "", ".dev"))),
            ("--dev", Some(("", "", "-dev"))),
            ("-1", None),
            ("-gamma", None),
            ("-beta.", None),
            ("é", None),
        ] {
            let found = suffix(text, &end).map(|(s, ())| (s.word, s.digits, s.dev));
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
