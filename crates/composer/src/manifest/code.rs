//! Fields that say how the code is loaded: `autoload`, `bin`, `include-path`, `target-dir`, `scripts`, `archive`.
//!
//! A wrong shape here breaks the client late, when it writes its autoloader, so shapes are checked to the end. Paths are
//! kept inside of the package where Composer would follow them out.

use serde_json::{Map, Value};

use super::about::is_falsy;
use super::{ManifestError, array, entries, is_integer_key, kind_of, present, refuse, text};

/// The kinds of autoload rules.
const RULES: [&str; 5] = ["psr-0", "psr-4", "classmap", "files", "exclude-from-classmap"];

/// Does `path` have a `..` between separators of either kind?
fn climbs(path: &str) -> bool {
    path.split(['/', '\\']).any(|part| part == "..")
}

fn has_drive(path: &str) -> bool {
    path.starts_with('\\')
        || (path.as_bytes().get(1) == Some(&b':') && path.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// `target-dir`, a folder below the one the package is installed to.
pub(super) fn target_dir(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    let Some(folder) = text(config, "target-dir")? else { return Ok(None) };
    if climbs(&folder) || has_drive(&folder) || folder.starts_with('/') {
        return Err(refuse("target-dir", "must stay inside of the package: write a relative path without `..`"));
    }
    let psr_4 = config.get("autoload").and_then(|autoload| autoload.get("psr-4"));
    if psr_4.is_some_and(|rules| !rules.is_null()) {
        return Err(refuse("target-dir", "can not be used together with autoload.psr-4: remove it"));
    }
    Ok(Some(Value::String(folder)))
}

/// The programs the package offers. Leading slashes are taken off, as Composer does.
pub(super) fn bin(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    let written = match present(config, "bin") {
        Some(Value::String(_)) => match text(config, "bin")? {
            Some(one) => vec![("0".to_owned(), one)],
            None => Vec::new(),
        },
        _ => texts(config, "bin")?,
    };
    let mut programs = Vec::new();
    for (position, path) in written {
        let field = format!("bin.{position}");
        let path = path.trim_start_matches('/');
        if climbs(path) || has_drive(path) {
            return Err(refuse(field, "must stay inside of the package: write a relative path without `..`"));
        }
        if path.is_empty() || path.trim_start().starts_with('-') || path.contains(char::is_control) {
            return Err(refuse(
                field,
                "is no usable path: it may not be empty, start with a dash or hold control characters",
            ));
        }
        programs.push(Value::from(path));
    }
    Ok((!programs.is_empty()).then_some(Value::Array(programs)))
}

/// The strings of a field that must be a list of strings.
fn texts(config: &Map<String, Value>, field: &str) -> Result<Vec<(String, String)>, ManifestError> {
    let entry = |(position, value): (String, &Value)| match value {
        Value::String(text) => Ok((position, text.clone())),
        other => {
            let field = format!("{field}.{}", crate::version::shown(&position));
            Err(refuse(field, format!("must be a string, not {}", kind_of(other))))
        }
    };
    entries(config, field)?.into_iter().map(entry).collect()
}

/// `include-path`
pub(super) fn include_path(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    let paths: Vec<Value> = texts(config, "include-path")?.into_iter().map(|(_, path)| path.into()).collect();
    Ok((!paths.is_empty()).then_some(Value::Array(paths)))
}

/// `autoload`: only the known kinds, each in the shape that Composer's generator can walk through.
pub(super) fn autoload(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    let mut kept = Map::new();
    for (kind, rules) in entries(config, "autoload")? {
        let field = format!("autoload.{}", crate::version::shown(&kind));
        if !RULES.contains(&kind.as_str()) {
            return Err(refuse(field, format!("is unknown: use {}", RULES.join(", "))));
        }
        let Some(entries) = array(rules) else {
            return Err(refuse(field, format!("must be a list or an object, not {}", kind_of(rules))));
        };
        for (key, paths) in &entries {
            let field = format!("{field}.{}", crate::version::shown(key));
            check_rule(&kind, key, paths, &field)?;
        }
        kept.insert(kind, rules.clone());
    }
    Ok((!kept.is_empty()).then_some(Value::Object(kept)))
}

fn check_rule(kind: &str, key: &str, paths: &Value, field: &str) -> Result<(), ManifestError> {
    let is_prefix = kind.starts_with("psr-");
    if is_prefix && is_integer_key(key) {
        return Err(refuse(field, "needs a namespace: write \"Name\\\\\": \"folder/\""));
    }
    if kind == "psr-4" && !key.is_empty() && !key.ends_with('\\') {
        return Err(refuse(field, "must end with a namespace separator: write it as \"Name\\\\\""));
    }
    let several = |paths: &Value| array(paths).is_some_and(|paths| paths.iter().all(|(_, path)| path.is_string()));
    if paths.is_string() || (is_prefix && several(paths)) {
        return Ok(());
    }
    Err(refuse(field, format!("must be a path{}", if is_prefix { " or a list of paths" } else { "" })))
}

/// `autoload-dev`: of no use to those who install the package, so only its type matters.
pub(super) fn autoload_dev(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    let used = !entries(config, "autoload-dev")?.is_empty();
    Ok(config.get("autoload-dev").filter(|_| used).cloned())
}

/// `scripts`, each as a list. Composer never runs those of a dependency.
pub(super) fn scripts(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    let listeners = |written: &Value| match written {
        Value::Null => Value::Array(Vec::new()),
        Value::Array(_) | Value::Object(_) => written.clone(),
        one => Value::Array(vec![one.clone()]),
    };
    let scripts: Map<String, Value> =
        entries(config, "scripts")?.into_iter().map(|(event, written)| (event, listeners(written))).collect();
    Ok((!scripts.is_empty()).then_some(Value::Object(scripts)))
}

/// `archive.name` and `archive.exclude`.
pub(super) fn archive(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    let Some(Value::Object(archive)) = present(config, "archive") else { return Ok(None) };
    let mut kept = Map::new();
    match archive.get("name").filter(|name| !is_falsy(name)) {
        None => {}
        Some(name @ Value::String(_)) => drop(kept.insert("name".to_owned(), name.clone())),
        Some(other) => return Err(refuse("archive.name", format!("must be a string, not {}", kind_of(other)))),
    }
    if let Some(exclude) = archive.get("exclude").filter(|exclude| !is_falsy(exclude)) {
        let wrong = || refuse("archive.exclude", "must be a list of strings");
        let patterns = array(exclude).ok_or_else(wrong)?;
        if patterns.iter().any(|(_, pattern)| !pattern.is_string()) {
            return Err(wrong());
        }
        kept.insert("exclude".to_owned(), patterns.into_iter().map(|(_, pattern)| pattern.clone()).collect());
    }
    Ok((!kept.is_empty()).then_some(Value::Object(kept)))
}
