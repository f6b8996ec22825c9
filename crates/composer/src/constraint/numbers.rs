//! The numbers of a version inside `^`, `~`, `.*` and ` - ` ranges, and the arithmetic on them.
//!
//! Numbers stay text as written, leading zeros included; only the one that a range counts up is ever converted.

use crate::pattern::{digits, optional_v};
use crate::version::{Suffix, suffix};

/// One to four numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbers<'t> {
    parts: [&'t str; 4],
    count: usize,
}

/// A version as it may stand in a range.
#[derive(Clone, Debug)]
pub(super) struct Bound<'t> {
    pub(super) numbers: Numbers<'t>,
    /// A stability word, empty when there is none.
    pub(super) word: &'t str,
    /// Ends in `dev`.
    pub(super) development: bool,
    /// Ends in an open part and `dev`: `2.x-dev`.
    pub(super) open: bool,
}

impl<'t> Numbers<'t> {
    /// Reads as many numbers as there are, and gives the rest.
    pub(super) fn read(text: &'t str) -> Option<(Self, &'t str)> {
        let (major, mut rest) = digits(text)?;
        let mut numbers = Self { parts: [major, "", "", ""], count: 1 };
        while numbers.count < 4
            && let Some((number, after)) = rest.strip_prefix('.').and_then(digits)
        {
            numbers.parts[numbers.count] = number;
            numbers.count += 1;
            rest = after;
        }
        Some((numbers, rest))
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The number at `position`, counted from 1; empty when there is none.
    pub(super) fn at(&self, position: usize) -> &'t str {
        self.parts[position - 1]
    }

    /// Only the first `count` numbers.
    pub(super) fn truncated(&self, count: usize) -> Self {
        Self { parts: self.parts, count: self.count.min(count) }
    }

    /// Four numbers, those after `position` zero.
    pub(super) fn padded(&self, position: usize) -> String {
        self.joined(position, self.at(position))
    }

    /// The same with the number at `position` one higher.
    pub(super) fn next(&self, position: usize) -> String {
        self.joined(position, &incremented(self.at(position)))
    }

    fn joined(&self, position: usize, last: &str) -> String {
        let mut text = String::new();
        for part in &self.parts[..position - 1] {
            text.push_str(part);
            text.push('.');
        }
        text.push_str(last);
        text.push_str(&".0".repeat(4 - position));
        text
    }
}

/// Reads `v?`, numbers, a suffix or an open part, and `+metadata`, such that `tail` accepts what follows.
pub(super) fn bound<'t, T>(text: &'t str, tail: &impl Fn(&'t str) -> Option<T>) -> Option<(Bound<'t>, T)> {
    let (numbers, rest) = Numbers::read(optional_v(text))?;
    let tail = |rest: &'t str| after_metadata(rest, tail);
    if let Some((Suffix { word, dev, .. }, tail)) = suffix(rest, &tail) {
        return Some((Bound { numbers, word, development: !dev.is_empty(), open: false }, tail));
    }
    let open = rest.strip_prefix('.')?.strip_prefix(['x', 'X', '*'])?;
    let joined = open.strip_prefix(['.', '-']).unwrap_or(open);
    let tail = tail(crate::pattern::strip_prefix_any_case(joined, "dev")?)?;
    Some((Bound { numbers, word: "", development: false, open: true }, tail))
}

/// `(\+\S+)?`, as much of it as `tail` leaves.
fn after_metadata<'t, T>(rest: &'t str, tail: &impl Fn(&'t str) -> Option<T>) -> Option<T> {
    if let Some(metadata) = rest.strip_prefix('+') {
        // Every tail starts with a space or is the end, so no shorter run can fit.
        let (metadata, after) = crate::pattern::run(metadata, |byte| !crate::pattern::is_space(byte));
        if !metadata.is_empty()
            && let Some(found) = tail(after)
        {
            return Some(found);
        }
    }
    tail(rest)
}

/// The number plus one, as PHP writes it: an integer, or a float with 14 digits where 64 bits do not suffice.
fn incremented(number: &str) -> String {
    let significant = number.trim_start_matches('0');
    let small: Option<i64> = if significant.is_empty() { Some(0) } else { significant.parse().ok() };
    match small.and_then(|number| number.checked_add(1)) {
        Some(next) => next.to_string(),
        None => php_float(significant.parse::<f64>().unwrap_or(f64::INFINITY) + 1.0),
    }
}

/// A float of 2^63 or more as PHP converts it to a string: `9.2233720368548E+18`.
fn php_float(value: f64) -> String {
    if value.is_infinite() {
        return "INF".to_owned();
    }
    let text = format!("{value:.13e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let short = mantissa.trim_end_matches('0').trim_end_matches('.');
    let point = if short.contains('.') { "" } else { ".0" };
    format!("{short}{point}E+{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_up_like_php() {
        for (number, next) in [
            ("0", "1"),
            ("007", "8"),
            ("999", "1000"),
            ("9223372036854775806", "9223372036854775807"),
            ("9223372036854775807", "9.2233720368548E+18"),
            ("99999999999999999999", "1.0E+20"),
            ("0000000000000000000000001", "2"),
        ] {
            assert_eq!(incremented(number), next);
        }
        assert_eq!(incremented(&"9".repeat(400)), "INF");
    }

    #[test]
    fn pads_and_counts() {
        let (numbers, rest) = Numbers::read("1.02.3-x").unwrap();
        assert_eq!((numbers.count(), rest), (3, "-x"));
        assert_eq!(numbers.padded(3), "1.02.3.0");
        assert_eq!(numbers.next(2), "1.3.0.0");
        assert_eq!(numbers.next(1), "2.0.0.0");
    }
}
