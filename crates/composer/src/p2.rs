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
