//! Which bytes of a dist a `Range` field asks for. One range or the whole: many ranges in one answer would multiply its size.

use http::HeaderValue;

/// What to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// Everything: the field is absent, of another unit, malformed, or names several ranges.
    Whole,
    /// From `first` to `last`, both included.
    Part { first: u64, last: u64 },
    /// Nothing of it is there.
    Unsatisfiable,
}

/// Reads a `Range` field against a size.
pub(crate) fn range(field: Option<&HeaderValue>, size: u64) -> Range {
    let Some(text) = field.and_then(|value| value.to_str().ok()) else { return Range::Whole };
    let Some((unit, set)) = text.split_once('=') else { return Range::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Range::Whole;
    }
    let set = set.trim();
    if set.is_empty() {
        return Range::Unsatisfiable;
    }
    let Some((first, last)) = set.split_once('-') else { return Range::Whole };
    match (position(first), position(last)) {
        (Some(Position::Nothing), Some(Position::At(length))) => last_bytes(length, size),
        (Some(Position::At(first)), Some(Position::Nothing)) => part(first, u64::MAX, size),
        (Some(Position::At(first)), Some(Position::At(last))) if first <= last => part(first, last, size),
        _ => Range::Whole,
    }
}

enum Position {
    Nothing,
    At(u64),
}

/// None when it is no number; one that is too large for us is past any end.
fn position(text: &str) -> Option<Position> {
    match text {
        "" => Some(Position::Nothing),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Position::At(digits.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    }
}

fn part(first: u64, last: u64, size: u64) -> Range {
    if first < size { Range::Part { first, last: last.min(size - 1) } } else { Range::Unsatisfiable }
}

fn last_bytes(length: u64, size: u64) -> Range {
    match length.min(size) {
        0 => Range::Unsatisfiable,
        length => Range::Part { first: size - length, last: size - 1 },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str, size: u64) -> Range {
        range(Some(&HeaderValue::from_str(text).unwrap()), size)
    }

    /// E-G1, E-G2.
    #[test]
    fn table() {
        let part = |first, last| Range::Part { first, last };
        for (text, expected) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=-1", part(99, 99)),
            ("bytes=-1000", part(0, 99)),
            ("bytes=5-", part(5, 99)),
            ("bytes=0-999999999", part(0, 99)),
            ("Bytes=1-2", part(1, 2)),
            ("bytes=100-", Range::Unsatisfiable),
            ("bytes=100-200", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=", Range::Unsatisfiable),
            ("bytes=18446744073709551616-", Range::Unsatisfiable),
            ("bytes=0-18446744073709551616", part(0, 99)),
            ("bytes=5-2", Range::Whole),
            ("bytes=a-b", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=1", Range::Whole),
            ("bytes 0-1", Range::Whole),
            ("lines=0-1", Range::Whole),
            ("bytes=0-1,3-4", Range::Whole),
            ("bytes=0-0,", Range::Whole),
        ] {
            assert_eq!(of(text, 100), expected, "{text}");
        }
        assert_eq!(range(None, 100), Range::Whole);
        assert_eq!(of("bytes=0-", 0), Range::Unsatisfiable);
        assert_eq!(of(&format!("bytes={}", "0-1,".repeat(10_000)), 100), Range::Whole);
    }

    proptest! {
        #[test]
        fn inside_or_nothing(text in "bytes=[0-9-]{0,24}", size in 0_u64..1_000) {
            if let Range::Part { first, last } = of(&text, size) {
                prop_assert!(first <= last && last < size);
            }
        }
    }
}
