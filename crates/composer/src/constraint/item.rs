//! One item of a constraint (`^1.2`, `>=1.0@beta`, `1.0 - 2.0`, `dev-main`) and the comparisons it stands for.
//!
//! The forms are tried in Composer's order; the last one takes everything that is a version. Bounds without a
//! stability get `-dev` so that pre-releases of the bound itself fall on the right side.

use crate::pattern::{at_end, is_word, run, split_flag, strip_alias, strip_prefix_any_case, without_final_newline};
use crate::stability::Stability;
use crate::version::{Suffix, Version, normalize_any_length, parse_stability, suffix};

use super::numbers::{Bound, Numbers, bound};
use super::{Comparison, ConstraintError, Operator};

/// What one item means: one or two comparisons that hold together.
pub(super) fn comparisons(item: &str) -> Result<Vec<Comparison>, ConstraintError> {
    let text = strip_alias(item);
    let (text, flag) = match split_flag(text) {
        Some(("", _)) => ("*", None),
        Some((version, flag)) if version.bytes().all(is_word) => (version, (flag != "stable").then_some(flag)),
        _ => (text, None),
    };
    let text = strip_reference(text);
    let invalid = || ConstraintError::Invalid { part: item.to_owned() };
    if let Some(found) = wildcard(text) {
        return Ok(vec![found]);
    }
    let end = |rest: &str| at_end(rest).then_some(());
    if let Some(version) = text.strip_prefix('~')
        && let Some((found, ())) = bound(version, &end)
    {
        return tilde(version, &found).ok_or_else(invalid);
    }
    if let Some(version) = text.strip_prefix('^')
        && let Some((found, ())) = bound(version, &end)
    {
        return caret(version, &found).ok_or_else(invalid);
    }
    if let Some(found) = open_range(text) {
        return Ok(found);
    }
    if let Some((from, (length, to))) = bound(text, &hyphen) {
        let (low, high) = (&text[..text.len() - length], &text[text.len() - length..]);
        return hyphen_range(low, &from, high.trim_start_matches([' ', '-']), &to).ok_or_else(invalid);
    }
    basic(text, flag).map(|found| vec![found]).ok_or_else(invalid)
}

/// `dev-main#0a1b2c` and `1.x-dev#0a1b2c`: the reference pins a commit and takes no part in matching.
fn strip_reference(text: &str) -> &str {
    let (word, _) = run(text, |byte| is_word(byte) && byte != b'@');
    let is_branch = strip_prefix_any_case(text, "dev-").is_some();
    let ends_branch = |hash: &usize| match is_branch {
        true => *hash > "dev-".len(),
        false => *hash > ".x-dev".len() && text[..*hash].to_ascii_lowercase().ends_with(".x-dev"),
    };
    let hash = word.match_indices('#').map(|(position, _)| position).find(ends_branch);
    match hash {
        Some(hash) => {
            let reference = without_final_newline(&text[hash + 1..]);
            if reference.is_empty() || reference.contains('\n') { text } else { &text[..hash] }
        }
        None => text,
    }
}

/// `*` and `x` alone take everything; `v*` and `*.*` only versions with a number.
fn wildcard(text: &str) -> Option<Comparison> {
    let numbered = text.strip_prefix(['v', 'V']);
    let mut rest = numbered.unwrap_or(text).strip_prefix(['x', 'X', '*'])?;
    let mut parts = 1;
    while let Some(after) = rest.strip_prefix('.').and_then(|part| part.strip_prefix(['x', 'X', '*'])) {
        rest = after;
        parts += 1;
    }
    if !at_end(rest) {
        return None;
    }
    let all = numbered.is_none() && parts == 1;
    Some(if all { Comparison::Any } else { with(Operator::GreaterOrEqual, "0.0.0.0-dev") })
}

fn with(operator: Operator, normalized: &str) -> Comparison {
    Comparison::With(operator, Version::from_normalized(normalized))
}

/// Has the bound no stability of its own, so that its pre-releases are to be included?
fn is_plain(bound: &Bound<'_>) -> bool {
    bound.word.is_empty() && !bound.development && !bound.open
}

/// The lower end of `^` and `~`: the version as written, with `-dev` when it is plain.
fn low_end(version: &str, bound: &Bound<'_>) -> Option<Comparison> {
    let suffix = if is_plain(bound) { "-dev" } else { "" };
    Some(with(Operator::GreaterOrEqual, &normalize_any_length(&format!("{version}{suffix}"))?))
}

fn below(numbers: &Numbers<'_>, position: usize) -> Comparison {
    with(Operator::Less, &format!("{}-dev", numbers.next(position)))
}

/// `~1.2.3`: the last number may grow.
fn tilde(version: &str, bound: &Bound<'_>) -> Option<Vec<Comparison>> {
    let position = bound.numbers.count() + usize::from(bound.open);
    Some(vec![low_end(version, bound)?, below(&bound.numbers, (position - 1).max(1))])
}

/// `^1.2.3`: everything after the first number that is not zero may grow. `00` is not zero here.
fn caret(version: &str, bound: &Bound<'_>) -> Option<Vec<Comparison>> {
    let numbers = &bound.numbers;
    let position = if numbers.at(1) != "0" || numbers.count() < 2 {
        1
    } else if numbers.at(2) != "0" || numbers.count() < 3 {
        2
    } else {
        3
    };
    Some(vec![low_end(version, bound)?, below(numbers, position)])
}

/// `1.2.*`
fn open_range(text: &str) -> Option<Vec<Comparison>> {
    let (numbers, mut rest) = Numbers::read(text.strip_prefix('v').unwrap_or(text))?;
    let mut open = 0;
    while let Some(after) = rest.strip_prefix('.').and_then(|part| part.strip_prefix(['x', 'X', '*'])) {
        rest = after;
        open += 1;
    }
    if open == 0 || numbers.count() > 3 || !at_end(rest) {
        return None;
    }
    let low = format!("{}-dev", numbers.padded(numbers.count()));
    let high = below(&numbers, numbers.count());
    // Nothing is older than 0.0.0.0-dev, so Composer leaves that bound out.
    Some(if low == "0.0.0.0-dev" { vec![high] } else { vec![with(Operator::GreaterOrEqual, &low), high] })
}

/// The ` - ` of a range and the version after it, up to the end; with the length of both.
fn hyphen(rest: &str) -> Option<(usize, Bound<'_>)> {
    let after = rest.trim_start_matches(' ');
    let after_dash = after.strip_prefix('-')?;
    let high = after_dash.trim_start_matches(' ');
    if after.len() == rest.len() || high.len() == after_dash.len() {
        return None;
    }
    let (found, ()) = bound(high, &|rest| at_end(rest).then_some(()))?;
    Some((rest.len(), found))
}

/// `1.0 - 2.0`: a partial upper version includes all that start with it.
fn hyphen_range(low: &str, from: &Bound<'_>, high: &str, to: &Bound<'_>) -> Option<Vec<Comparison>> {
    let suffix = if is_plain(from) { "-dev" } else { "" };
    let lower = with(Operator::GreaterOrEqual, &format!("{}{suffix}", normalize_any_length(low)?));
    let normalized = normalize_any_length(high)?;
    let count = to.numbers.count();
    let upper = if count > 2 || !is_plain(to) {
        with(Operator::LessOrEqual, &normalized)
    } else {
        below(&to.numbers.truncated(2), count)
    };
    Some(vec![lower, upper])
}

/// An operator, or none, and a version. Only the first line is looked at.
fn basic(text: &str, flag: Option<&str>) -> Option<Comparison> {
    const OPERATORS: [(&str, Operator); 8] = [
        ("<>", Operator::NotEqual),
        ("!=", Operator::NotEqual),
        (">=", Operator::GreaterOrEqual),
        (">", Operator::Greater),
        ("<=", Operator::LessOrEqual),
        ("<", Operator::Less),
        ("==", Operator::Equal),
        ("=", Operator::Equal),
    ];
    let written = OPERATORS.iter().find_map(|(sign, operator)| Some((*operator, text.strip_prefix(sign)?)));
    let (operator, rest) = written.unwrap_or((Operator::Equal, text));
    let (_, version) = run(rest, crate::pattern::is_space);
    let version = version.split('\n').next().unwrap_or_default();
    let mut normalized = normalize_any_length(version).or_else(|| reversed_branch(version))?;
    if operator != Operator::Equal
        && let Some(flag) = flag
        && parse_stability(&normalized) == Stability::Stable
    {
        normalized.push('-');
        normalized.push_str(flag);
    } else if matches!(operator, Operator::Less | Operator::GreaterOrEqual)
        && !has_stability_suffix(version)
        && !version.starts_with("dev-")
    {
        normalized.push_str("-dev");
    }
    Some(with(operator, &normalized))
}

/// `foo-dev`, which should have been written `dev-foo`.
fn reversed_branch(version: &str) -> Option<String> {
    let name = version.strip_suffix("-dev")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'/');
    if name.bytes().all(plain) { normalize_any_length(&format!("dev-{name}")) } else { None }
}

/// Does a dash introduce a stability at the end? Composer looks in lower case for words of which one is `RC`, so a
/// release candidate never counts.
fn has_stability_suffix(version: &str) -> bool {
    let version = version.to_ascii_lowercase();
    let end = |rest: &str| at_end(rest).then_some(());
    version.match_indices('-').any(|(dash, _)| {
        let found = suffix(&version[dash + 1..], &end);
        found.is_some_and(|(Suffix { word, .. }, ())| word != "rc")
    })
}
