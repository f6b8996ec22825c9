//! Fields that people read: type, licence, authors, keywords, links.
//!
//! None of them changes how a version is installed. Wrong types are refused because they crash clients; values that are
//! merely of no use, such as links that are none, are left out.

use serde_json::{Map, Value};

use crate::name::PackageName;

use super::{Entries, ManifestError, array, entries, kind_of, present, refuse, text, web};

/// The package type, `library` when there is none that Composer would take.
pub(super) fn kind(config: &Map<String, Value>) -> Result<String, ManifestError> {
    let plain = |kind: &String| kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let kind = text(config, "type")?.filter(plain);
    Ok(kind.map_or_else(|| "library".to_owned(), |kind| kind.to_ascii_lowercase()))
}

/// The licences as a list; anything but texts is left out. Whether they are known to SPDX is not checked.
pub(super) fn license(config: &Map<String, Value>) -> Option<Value> {
    let written = match present(config, "license").filter(|license| !is_falsy(license))? {
        Value::String(one) => vec![one.as_str()],
        several => array(several)?.into_iter().filter_map(|(_, license)| license.as_str()).collect(),
    };
    list(written.into_iter().filter(|license| !license.is_empty()).map(Value::from))
}

fn list(values: impl Iterator<Item = Value>) -> Option<Value> {
    let values: Vec<Value> = values.collect();
    (!values.is_empty()).then_some(Value::Array(values))
}

/// The objects in a field that must be a list of objects, with their dotted names.
fn objects<'c>(config: &'c Map<String, Value>, field: &str) -> Result<Vec<(String, Entries<'c>)>, ManifestError> {
    let mut found = Vec::new();
    for (position, value) in entries(config, field)? {
        let field = format!("{field}.{}", crate::version::shown(&position));
        match array(value) {
            Some(entries) => found.push((field, entries)),
            None => return Err(refuse(field, format!("must be an object, not {}", kind_of(value)))),
        }
    }
    Ok(found)
}

/// Of `entries` those named in `known`, each of which must be a string that its own check accepts.
fn known_texts(field: &str, entries: &Entries<'_>, known: &[Known]) -> Result<Option<Value>, ManifestError> {
    let mut kept = Map::new();
    for (key, accepts) in known {
        let Some((_, value)) = entries.iter().find(|(name, value)| name == key && !value.is_null()) else { continue };
        let Value::String(text) = value else {
            return Err(refuse(format!("{field}.{key}"), format!("must be a string, not {}", kind_of(value))));
        };
        if !text.is_empty() && accepts(text) {
            kept.insert((*key).to_owned(), (*value).clone());
        }
    }
    Ok((!kept.is_empty()).then_some(Value::Object(kept)))
}

/// A key that is kept, and the check its value must pass.
type Known = (&'static str, fn(&str) -> bool);

fn anything(_: &str) -> bool {
    true
}

/// The authors, with name, e-mail address, homepage and role.
pub(super) fn authors(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    let known: [Known; 4] =
        [("name", anything), ("email", web::is_email), ("homepage", web::is_http_url), ("role", anything)];
    let mut authors = Vec::new();
    for (field, author) in objects(config, "authors")? {
        authors.extend(known_texts(&field, &author, &known)?);
    }
    Ok(list(authors.into_iter()))
}

/// Where help is to be found.
pub(super) fn support(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    let known: [Known; 10] = [
        ("issues", web::is_http_url),
        ("forum", web::is_http_url),
        ("wiki", web::is_http_url),
        ("source", web::is_http_url),
        ("email", web::is_email),
        ("irc", web::is_irc_url),
        ("docs", web::is_http_url),
        ("rss", web::is_http_url),
        ("chat", web::is_http_url),
        ("security", web::is_http_url),
    ];
    known_texts("support", &entries(config, "support")?, &known)
}

/// Ways to pay for the work.
pub(super) fn funding(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    let known: [Known; 2] = [("type", anything), ("url", web::is_http_url)];
    let mut ways = Vec::new();
    for (field, way) in objects(config, "funding")? {
        ways.extend(known_texts(&field, &way, &known)?);
    }
    Ok(list(ways.into_iter()))
}

/// The homepage, if it is a link.
pub(super) fn homepage(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    Ok(text(config, "homepage")?.filter(|url| web::is_http_url(url)).map(Value::String))
}

/// The keywords, sorted; numbers become texts, those with characters Composer does not like are left out.
pub(super) fn keywords(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    let mut keywords = Vec::new();
    for (position, value) in entries(config, "keywords")? {
        let keyword = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            other => {
                let field = format!("keywords.{}", crate::version::shown(&position));
                return Err(refuse(field, format!("must be a string, not {}", kind_of(other))));
            }
        };
        let plain = |c: char| c.is_alphabetic() || c.is_numeric() || matches!(c, ' ' | '.' | '_' | '-');
        if !keyword.is_empty() && keyword.chars().all(plain) {
            keywords.push(keyword);
        }
    }
    keywords.sort();
    Ok(list(keywords.into_iter().map(Value::String)))
}

/// `true`, or the name of the package to use instead.
pub(super) fn abandoned(config: &Map<String, Value>) -> Option<Value> {
    match present(config, "abandoned")? {
        value if is_falsy(value) => None,
        Value::String(replacement) if PackageName::parse_lowercasing(replacement).is_ok() => {
            Some(Value::String(replacement.clone()))
        }
        _ => Some(Value::Bool(true)),
    }
}

/// What PHP's `empty()` is true for.
pub(super) fn is_falsy(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => matches!(text.as_str(), "" | "0"),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}
