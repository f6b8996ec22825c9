//! From a version as written to Composer's normalized form, and the stability of a normalized version.
//!
//! The order of the steps is the contract: each of them eats what a later one would read otherwise. Never "fix" an
//! oddity here; lock files hold what Composer makes of it.

use crate::pattern::{
    at_end, digits, is_word, optional_v, run, split_flag, strip_alias, strip_prefix_any_case, strip_suffix_any_case,
    trim, without_final_newline,
};
use crate::stability::Stability;

use super::VersionError;
use super::suffix::{Suffix, suffix};

/// The longest version accepted, in bytes.
pub const MAX_VERSION_BYTES: usize = 1024;

/// What stands for an open part of a numeric branch: `1.x` is newer than every `1.n`.
const OPEN: &str = "9999999";

/// The normalized form of a version as written in a tag, a `version` key or a constraint.
///
/// # Errors
/// When Composer refuses it, or when it is longer than [`MAX_VERSION_BYTES`].
pub fn normalize(pretty: &str) -> Result<String, VersionError> {
    if pretty.len() > MAX_VERSION_BYTES {
        return Err(VersionError::TooLong { length: pretty.len() });
    }
    normalize_any_length(pretty).ok_or_else(|| VersionError::Invalid { version: pretty.to_owned() })
}

pub(crate) fn normalize_any_length(pretty: &str) -> Option<String> {
    let text = strip_alias(trim(pretty));
    let text = split_flag(text).map_or(text, |(version, _)| version);
    if matches!(text, "master" | "trunk" | "default") {
        return Some(format!("dev-{text}"));
    }
    if let Some(branch) = strip_prefix_any_case(text, "dev-") {
        return Some(format!("dev-{branch}"));
    }
    let text = strip_build(text);
    classic(text).or_else(|| date(text)).or_else(|| numeric_branch(text))
}

/// The normalized form of a branch: numeric ones become comparable, all others `dev-<name>`.
#[must_use]
pub fn normalize_branch(branch: &str) -> String {
    let branch = trim(branch);
    numeric_branch_parts(branch).unwrap_or_else(|| format!("dev-{branch}"))
}

/// The stability of a *normalized* version. On other texts the answer is Composer's too, but rarely useful.
#[must_use]
pub fn parse_stability(version: &str) -> Stability {
    let version = &*without_reference(version);
    if version.starts_with("dev-") || version.ends_with("-dev") {
        return Stability::Dev;
    }
    let final_line = without_final_newline(version).rfind('\n').map_or(0, |position| position + 1);
    let tail = |rest: &str| {
        let start = version.len() - rest.len();
        (at_end(rest) || (rest.starts_with('+') && start >= final_line)).then_some(())
    };
    // A suffix starts with a joiner, the first letter of a word, `+` or at the end: the rest need not be tried.
    let may_start =
        |c: &char| matches!(c.to_ascii_lowercase(), '.' | '_' | '-' | '+' | '\n' | 's' | 'b' | 'r' | 'a' | 'p' | 'd');
    let starts = version.char_indices().filter(|(_, c)| may_start(c)).map(|(start, _)| start);
    let found = starts.chain([version.len()]).find_map(|start| suffix(&version[start..], &tail));
    let Some((found, ())) = found else { return Stability::Stable };
    if !found.dev.is_empty() {
        return Stability::Dev;
    }
    match found.word.to_ascii_lowercase().as_str() {
        "beta" | "b" => Stability::Beta,
        "alpha" | "a" => Stability::Alpha,
        "rc" => Stability::Rc,
        _ => Stability::Stable,
    }
}

/// Cuts `#reference` off. It must reach the end of the line and the line must be the last.
fn without_reference(version: &str) -> std::borrow::Cow<'_, str> {
    let body = without_final_newline(version);
    let line = body.rfind('\n').map_or(0, |position| position + 1);
    match body[line..].find('#') {
        Some(hash) if line + hash + 1 < body.len() => {
            format!("{}{}", &version[..line + hash], &version[body.len()..]).into()
        }
        _ => version.into(),
    }
}

/// Drops `+metadata`, which never takes part in comparisons.
fn strip_build(text: &str) -> &str {
    let (head, rest) = run(text, |byte| is_word(byte) && byte != b'+');
    let Some(metadata) = rest.strip_prefix('+') else { return text };
    let (metadata, rest) = run(metadata, |byte| !crate::pattern::is_space(byte));
    if !head.is_empty() && !metadata.is_empty() && at_end(rest) { head } else { text }
}

/// One to four numbers, the first of at most five digits, and a suffix.
fn classic(text: &str) -> Option<String> {
    let (major, mut rest) = digits(optional_v(text))?;
    if major.len() > 5 {
        return None;
    }
    let mut numbers = major.to_owned();
    for _ in 0..3 {
        numbers.push('.');
        match rest.strip_prefix('.').and_then(digits) {
            Some((number, after)) => {
                numbers.push_str(number);
                rest = after;
            }
            None => numbers.push('0'),
        }
    }
    let (found, ()) = suffix(rest, &|rest| at_end(rest).then_some(()))?;
    Some(with_suffix(numbers, found))
}

/// Four digits, then pairs, then up to two groups of one to three; no padding.
fn date(text: &str) -> Option<String> {
    let text = optional_v(text);
    let (_, mut rest) = digits(text)?;
    while let Some((_, after)) = rest.strip_prefix(['.', ':', '-']).and_then(digits) {
        rest = after;
    }
    let (found, ()) = suffix(rest, &|rest| at_end(rest).then_some(()))?;
    let date = &text[..text.len() - rest.len()];
    let groups = is_date(date).then(|| date.replace([':', '-'], "."))?;
    Some(with_suffix(groups, found))
}

/// `\d{4}` then one to six `[.:-]?\d{2}` then up to two `[.:-]?\d{1,3}`, over the whole text.
fn is_date(text: &str) -> bool {
    let Some(mut rest) = group(text, 4) else { return false };
    for _ in 0..6 {
        let Some(after) = group(rest.strip_prefix(['.', ':', '-']).unwrap_or(rest), 2) else { return false };
        rest = after;
        if short_groups(rest, 2) {
            return true;
        }
    }
    false
}

fn short_groups(text: &str, most: usize) -> bool {
    if text.is_empty() || most == 0 {
        return text.is_empty();
    }
    let text = text.strip_prefix(['.', ':', '-']).unwrap_or(text);
    (1..=3).any(|length| group(text, length).is_some_and(|rest| short_groups(rest, most - 1)))
}

/// The rest after exactly `length` digits.
fn group(text: &str, length: usize) -> Option<&str> {
    let head = text.get(..length)?;
    head.bytes().all(|byte| byte.is_ascii_digit()).then(|| &text[length..])
}

fn with_suffix(mut numbers: String, found: Suffix<'_>) -> String {
    // Only this exact spelling ends the version; `-STABLE` becomes an ordinary word.
    if found.word == "stable" {
        return numbers;
    }
    if !found.word.is_empty() {
        numbers.push('-');
        match found.word.to_ascii_lowercase().as_str() {
            "a" => numbers.push_str("alpha"),
            "b" => numbers.push_str("beta"),
            "p" | "pl" => numbers.push_str("patch"),
            "rc" => numbers.push_str("RC"),
            word => numbers.push_str(word),
        }
        numbers.push_str(found.digits.trim_start_matches(['.', '-']));
    }
    if !found.dev.is_empty() {
        numbers.push_str("-dev");
    }
    numbers
}

/// `1.x-dev` and the like: the name of a numeric branch followed by `dev`.
fn numeric_branch(text: &str) -> Option<String> {
    let name = strip_suffix_any_case(without_final_newline(text), "dev")?;
    let name = name.strip_suffix(['.', '-']).unwrap_or(name);
    let line = name.rfind('\n').map_or(0, |position| position + 1);
    numeric_branch_parts(trim(&name[line..]))
}

/// `v?` and up to four parts of digits or wildcards, the first of digits; missing parts are open.
fn numeric_branch_parts(name: &str) -> Option<String> {
    let (major, mut rest) = digits(optional_v(name))?;
    let mut normalized = major.to_owned();
    for _ in 0..3 {
        normalized.push('.');
        let part = rest.strip_prefix('.');
        if let Some((number, after)) = part.and_then(digits) {
            normalized.push_str(number);
            rest = after;
        } else {
            rest = part.and_then(|part| part.strip_prefix(['x', 'X', '*'])).unwrap_or(rest);
            normalized.push_str(OPEN);
        }
    }
    normalized.push_str("-dev");
    rest.is_empty().then_some(normalized)
}
