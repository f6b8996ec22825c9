//! `require`, `conflict`, `provide`, `replace`, `require-dev` and `suggest`.
//!
//! Targets are put in lower case, as every client does, and sorted. `self.version` stays as written: the client puts
//! the version in.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::constraint::Constraint;
use crate::name::{MAX_NAME_BYTES, NameError, PackageName, is_platform_package};
use crate::version::shown;

use super::{ManifestError, entries, is_integer_key, kind_of, refuse};

/// The most links of one kind. The largest known lists, of packages that conflict with all insecure ones, have some
/// thousands.
pub const MAX_LINKS: usize = 5000;

/// The kinds of links in the order in which Composer dumps them.
const KINDS: [&str; 5] = ["require", "conflict", "provide", "replace", "require-dev"];

/// The constraint that stands for the version it is written in.
const SELF_VERSION: &str = "self.version";

/// Every kind of link that is present and not empty. `own` is the name of the package.
pub(super) fn all(config: &Map<String, Value>, own: Option<&str>) -> Result<Vec<(&'static str, Value)>, ManifestError> {
    let mut found = Vec::new();
    for kind in KINDS {
        let links = of_kind(config, kind, own)?;
        if !links.is_empty() {
            found.push((kind, links));
        }
    }
    let of = |wanted: &str| found.iter().find(|(kind, _)| *kind == wanted).map(|(_, links)| links);
    if let (Some(conflict), Some(replace)) = (of("conflict"), of("replace"))
        && let Some(both) = conflict.keys().find(|target| replace.contains_key(*target))
    {
        let reason = "is replaced as well: `replace` already means a conflict, remove one of the two";
        return Err(refuse(format!("conflict.{both}"), reason));
    }
    Ok(found.into_iter().map(|(kind, links)| (kind, Value::Object(links.into_iter().collect()))).collect())
}

fn of_kind(
    config: &Map<String, Value>,
    kind: &str,
    own: Option<&str>,
) -> Result<BTreeMap<String, Value>, ManifestError> {
    let entries = entries(config, kind)?;
    if entries.len() > MAX_LINKS {
        return Err(refuse(kind, format!("has {} entries: at most {MAX_LINKS} are allowed", entries.len())));
    }
    let mut links = BTreeMap::new();
    for (written, constraint) in entries {
        let field = format!("{kind}.{}", shown(&written));
        check_target(&written, &field)?;
        let target = written.to_ascii_lowercase();
        if own.is_some_and(|own| own.eq_ignore_ascii_case(&target)) {
            return Err(refuse(field, "is the package itself: remove it"));
        }
        let Value::String(text) = constraint else {
            return Err(refuse(field, format!("must be a string holding a constraint, not {}", kind_of(constraint))));
        };
        if text != SELF_VERSION {
            Constraint::parse(text).map_err(|error| refuse(field.as_str(), format!("is no constraint: {error}")))?;
        }
        if links.insert(target, constraint.clone()).is_some() {
            return Err(refuse(field, "is there twice, in different case: remove one"));
        }
    }
    Ok(links)
}

/// Composer takes names that follow its rule and only warns about others. Of those, the ones that could be read as a
/// path or a number are refused here.
fn check_target(target: &str, field: &str) -> Result<(), ManifestError> {
    let proper = |name: &str| !matches!(PackageName::parse_lowercasing(name), Err(NameError::Reserved { .. }));
    if is_platform_package(target) {
        return Ok(());
    }
    let plain = target.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-'));
    let wordlike = target.starts_with(|c: char| c.is_ascii_alphanumeric())
        && target.contains(|c: char| c.is_ascii_alphabetic())
        && !target.split('/').any(|part| matches!(part, "" | "." | ".."));
    if !plain || !wordlike || !proper(target) || target.len() > MAX_NAME_BYTES {
        return Err(refuse(field, "is no package name: write it as vendor/name, php or ext-name"));
    }
    Ok(())
}

/// `suggest`: names, or anything else worth a hint, and the reason.
pub(super) fn suggest(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    let mut suggestions = BTreeMap::new();
    for (target, reason) in entries(config, "suggest")? {
        let field = format!("suggest.{}", shown(&target));
        if is_integer_key(&target) {
            return Err(refuse(field, "needs a name: write \"vendor/name\": \"reason\""));
        }
        if !reason.is_string() {
            return Err(refuse(field, format!("must be a string saying why, not {}", kind_of(reason))));
        }
        suggestions.insert(target, reason.clone());
    }
    Ok((!suggestions.is_empty()).then(|| Value::Object(suggestions.into_iter().collect())))
}
