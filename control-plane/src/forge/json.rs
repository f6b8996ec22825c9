//! Reads what answers of forges hold. Pure.

use serde_json::Value;

use super::ForgeError;

/// Longer than any name, path or address of a forge.
const LONGEST: usize = 2_000;

/// A text at a path of keys: one line that can be kept and shown.
pub(super) fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    let good = |text: &&str| (1..=LONGEST).contains(&text.len()) && !text.chars().any(char::is_control);
    value.pointer(path)?.as_str().filter(good)
}

/// The same, where it must be.
pub(super) fn needed(value: &Value, path: &str) -> Result<String, ForgeError> {
    let found = text(value, path).map(str::to_owned);
    found.ok_or_else(|| {
        ForgeError::unreadable(format_args!("`{}` is missing, or no line of text", path.trim_start_matches('/')))
    })
}

/// A number or a text, as text.
pub(super) fn id(value: &Value, path: &str) -> Result<String, ForgeError> {
    match value.pointer(path) {
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ => needed(value, path),
    }
}

/// Whether a flag is set.
pub(super) fn flag(value: &Value, path: &str) -> bool {
    value.pointer(path).and_then(Value::as_bool).unwrap_or(false)
}

/// The items of a list, which is the value itself or lies at a path; each through `read`.
pub(super) fn items<T>(
    value: &Value,
    path: &str,
    read: impl Fn(&Value) -> Result<T, ForgeError>,
) -> Result<Vec<T>, ForgeError> {
    let list = value.pointer(path).and_then(Value::as_array);
    let list = list.ok_or_else(|| ForgeError::unreadable("it is no list"))?;
    list.iter().map(read).collect()
}

/// A page of numbers: the one behind `next`, which is the number that was asked for.
pub(super) fn following(next: Option<&str>) -> String {
    let asked: u32 = next.and_then(|next| next.parse().ok()).unwrap_or(1);
    asked.saturating_add(1).to_string()
}

/// One part of a path or of a query, whatever it holds.
pub(super) fn part(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// Parts with `/` between them.
pub(super) fn path(text: &str) -> String {
    text.split('/').map(part).collect::<Vec<_>>().join("/")
}
