//! `extra`, and in it the branch aliases, the only part that Composer itself reads.
//!
//! Aliases that Composer warns about and ignores are left out; everything else in `extra` belongs to plugins and stays
//! as it is.

use serde_json::{Map, Value};

use crate::version::alias_target;

use super::{ManifestError, array, entries, kind_of, refuse};

/// `extra` with only those branch aliases that have an effect.
pub(super) fn extra(config: &Map<String, Value>) -> Result<Option<Value>, ManifestError> {
    if entries(config, "extra")?.is_empty() {
        return Ok(None);
    }
    let Some(mut extra) = config.get("extra").cloned() else { return Ok(None) };
    if let Some(aliases) = extra.get_mut("branch-alias").filter(|aliases| !aliases.is_null()) {
        *aliases = Value::Object(effective(aliases)?);
    }
    Ok(Some(extra))
}

fn effective(aliases: &Value) -> Result<Map<String, Value>, ManifestError> {
    let Some(written) = array(aliases) else {
        let reason = format!("must be an object of branches and their aliases, not {}", kind_of(aliases));
        return Err(refuse("extra.branch-alias", reason));
    };
    let takes_effect =
        |source: &str, target: &Value| target.as_str().is_some_and(|target| alias_target(source, target).is_some());
    let kept = written.into_iter().filter(|(source, target)| takes_effect(source, target));
    Ok(kept.map(|(source, target)| (source, target.clone())).collect())
}
