//! What a sync said: why it failed, and why it left a ref out.

use serde_json::Value;

use crate::operator::text;

/// A failed task's reason, which must hold all of `words`.
#[track_caller]
pub fn failed(task: &Value, words: &[&str]) {
    assert_eq!(task["state"], "failed", "{task:#}");
    let error = text(&task["error"]);
    for word in words {
        assert!(error.contains(word), "{word:?} is missing: {error}");
    }
}

/// The reason why the ref was skipped.
#[track_caller]
pub fn skipped(result: &Value, name: &str) -> String {
    let all = result["skipped"].as_array().unwrap();
    let found = all.iter().find(|skipped| skipped["ref"] == name);
    text(&found.unwrap_or_else(|| panic!("{name} was not skipped: {result:#}"))["reason"])
}
