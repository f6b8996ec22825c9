//! p2 documents: Composer's minified metadata of one package.
//!
//! Each version after the first holds only what differs from the one before. The order of versions and of keys is part
//! of the data and is kept; nothing is added, checked or left out here.

use serde_json::{Map, Value};

use crate::name::PackageName;

/// The value that takes a key away.
pub const UNSET: &str = "__unset";

/// The value of `minified` that makes a client expand the list.
pub const FORMAT: &str = "composer/2.0";

/// Reduces each version to its difference from the one before.
///
/// `expand` undoes it exactly, unless a top-level value is itself the string [`UNSET`], which the format cannot carry.
#[must_use]
pub fn minify(versions: &[Map<String, Value>]) -> Vec<Map<String, Value>> {
    let mut previous: Option<&Map<String, Value>> = None;
    // The keys a client holds at this point, in the order in which it came by them: the order of later removals.
    let mut held: Vec<&String> = Vec::new();
    let mut minified = Vec::with_capacity(versions.len());
    for version in versions {
        // An empty version counts as none, for the client as well.
        let start = previous.is_none_or(Map::is_empty);
        let empty = Map::new();
        let known = previous.filter(|_| !start).unwrap_or(&empty);
        let unchanged = |key: &String, value: &Value| known.get(key).is_some_and(|known| identical(known, value));
        let changed = version.iter().filter(|(key, value)| !unchanged(key, value));
        let mut difference: Map<String, Value> = changed.map(|(key, value)| (key.clone(), value.clone())).collect();
        held.extend(version.keys().filter(|key| !known.contains_key(*key)));
        for removed in held.extract_if(.., |key| !version.contains_key(*key)) {
            difference.insert(removed.clone(), UNSET.into());
        }
        minified.push(difference);
        previous = Some(version);
    }
    minified
}

/// Restores the full versions.
#[must_use]
pub fn expand(versions: &[Map<String, Value>]) -> Vec<Map<String, Value>> {
    let mut current = Map::new();
    let mut expanded = Vec::with_capacity(versions.len());
    for version in versions {
        if current.is_empty() {
            current.clone_from(version);
        } else {
            for (key, value) in version {
                if value == UNSET {
                    current.shift_remove(key);
                } else {
                    current.insert(key.clone(), value.clone());
                }
            }
        }
        expanded.push(current.clone());
    }
    expanded
}

/// Equal, with the keys of objects in the same order.
fn identical(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let mut pairs = a.iter().zip(b);
            a.len() == b.len() && pairs.all(|((a_key, a), (b_key, b))| a_key == b_key && identical(a, b))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| identical(a, b)),
        _ => a == b,
    }
}

/// The bytes of a p2 file for `name`: compact JSON of the versions, minified, in the order given (newest first is the
/// custom and makes the smallest differences).
///
/// Without versions the answer is a document with an empty list: the name is known here and has nothing to offer.
#[must_use]
pub fn document(name: &PackageName, versions: &[Map<String, Value>]) -> Vec<u8> {
    let mut document = Map::new();
    let list = minify(versions).into_iter().map(Value::Object).collect();
    if !versions.is_empty() {
        document.insert("minified".to_owned(), FORMAT.into());
    }
    let packages = Map::from_iter([(name.as_str().to_owned(), Value::Array(list))]);
    document.insert("packages".to_owned(), Value::Object(packages));
    Value::Object(document).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn versions(list: Value) -> Vec<Map<String, Value>> {
        serde_json::from_value(list).unwrap()
    }

    fn text(list: &[Map<String, Value>]) -> String {
        serde_json::to_string(list).unwrap()
    }

    #[test]
    fn holds_only_differences() {
        let full = versions(json!([
            {"name": "a/b", "version": "2", "require": {"x/y": "1", "x/z": "2"}, "license": ["MIT"]},
            {"name": "a/b", "version": "1", "require": {"x/z": "2", "x/y": "1"}, "time": null},
            {"name": "a/b", "version": "0", "require": {"x/z": "2", "x/y": "1"}, "time": null},
        ]));
        let expected = json!([
            {"name": "a/b", "version": "2", "require": {"x/y": "1", "x/z": "2"}, "license": ["MIT"]},
            {"version": "1", "require": {"x/z": "2", "x/y": "1"}, "time": null, "license": "__unset"},
            {"version": "0"},
        ]);
        assert_eq!(text(&minify(&full)), expected.to_string());
        assert_eq!(expand(&minify(&full)), full);
    }

    #[test]
    fn a_number_is_not_its_text_and_order_counts() {
        for (a, b) in [
            (json!(1), json!("1")),
            (json!(1), json!(1.0)),
            (json!({"x": 1, "y": 2}), json!({"y": 2, "x": 1})),
            (json!([1, 2]), json!([2, 1])),
        ] {
            let pair = versions(json!([{"k": a}, {"k": b}]));
            assert_eq!(text(&minify(&pair)), text(&pair), "{a} {b}");
        }
    }

    #[test]
    fn an_empty_version_starts_anew() {
        let full = versions(json!([{}, {"a": 1}, {}, {"a": 1}]));
        assert_eq!(text(&minify(&full)), r#"[{},{"a":1},{"a":"__unset"},{"a":1}]"#);
        assert_eq!(expand(&minify(&full)), full);
    }

    #[test]
    fn writes_documents() {
        let name = PackageName::parse("a/b").unwrap();
        let list = versions(
            json!([{"version": "2", "homepage": "https://ü.example/"}, {"version": "1", "homepage": "https://ü.example/"}]),
        );
        let written = String::from_utf8(document(&name, &list)).unwrap();
        assert_eq!(
            written,
            r#"{"minified":"composer/2.0","packages":{"a/b":[{"version":"2","homepage":"https://ü.example/"},{"version":"1"}]}}"#
        );
        assert_eq!(document(&name, &[]), br#"{"packages":{"a/b":[]}}"#);
    }
}
