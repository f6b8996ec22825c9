//! `php-ext`: how to build a PHP extension. Read by installers of extensions, passed through by Composer.
//!
//! Clients since 2.7.3 insist on an object, and Composer's validator on the shape of what is in it.

use serde_json::{Map, Value};

use super::{ManifestError, array, kind_of, present, refuse};

/// The object as written, if its shape is right and the package is an extension.
pub(super) fn php_ext(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    let Some(value) = present(config, "php-ext") else { return Ok(None) };
    let Some(entries) = array(value) else {
        return Err(refuse("php-ext", format!("must be an object, not {}", kind_of(value))));
    };
    if entries.is_empty() {
        return Ok(None);
    }
    let kind = config.get("type").and_then(Value::as_str).unwrap_or_default();
    if !matches!(kind, "php-ext" | "php-ext-zend") {
        return Err(refuse("php-ext", "can only be set by packages of type php-ext or php-ext-zend"));
    }
    for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
        check(key, value)?;
    }
    let has = |key: &str| value.get(key).is_some_and(|value| !value.is_null());
    if has("os-families") && has("os-families-exclude") {
        return Err(refuse("php-ext.os-families", "and os-families-exclude exclude each other: remove one"));
    }
    Ok(Some(value.clone()))
}

fn check(key: &str, value: &Value) -> Result<(), ManifestError> {
    const METHODS: [&str; 3] = ["composer-default", "pre-packaged-source", "pre-packaged-binary"];
    const FAMILIES: [&str; 6] = ["windows", "bsd", "darwin", "solaris", "linux", "unknown"];
    let (right, expected) = match key {
        "extension-name" => (value.is_string(), "must be a string"),
        "priority" => (value.is_i64() || value.is_u64(), "must be an integer"),
        "support-zts" | "support-nts" => (value.is_boolean(), "must be true or false"),
        "build-path" => (value.is_string(), "must be a string or null"),
        "download-url-method" if value.is_string() => (one_of(value, &METHODS), "must name known methods"),
        "download-url-method" => (some_of(value, &METHODS), "must name known methods"),
        "os-families" | "os-families-exclude" => (some_of(value, &FAMILIES), "must be a list of known families"),
        "configure-options" => (are_options(value), "must be a list of options with a name"),
        _ => (true, ""),
    };
    if right { Ok(()) } else { Err(refuse(format!("php-ext.{key}"), expected)) }
}

fn one_of(value: &Value, known: &[&str]) -> bool {
    value.as_str().is_some_and(|text| known.contains(&text))
}

fn some_of(value: &Value, known: &[&str]) -> bool {
    array(value).is_some_and(|list| !list.is_empty() && list.iter().all(|(_, item)| one_of(item, known)))
}

fn are_options(value: &Value) -> bool {
    let right = |option: &Value, key: &str, is: fn(&Value) -> bool| {
        option.get(key).is_none_or(|value| value.is_null() || is(value))
    };
    array(value).is_some_and(|options| {
        options.iter().all(|(_, option)| {
            option.get("name").is_some_and(Value::is_string)
                && right(option, "needs-value", Value::is_boolean)
                && right(option, "description", Value::is_string)
        })
    })
}
