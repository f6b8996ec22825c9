//! What becomes of branches and tags as they come and go.

use crate::domain::branches::{BranchPattern, MOST_PATTERNS};
use crate::http::fields::{Fields, Patch};

/// A release whose tag is gone stays.
pub(super) const KEEP: &str = "keep";

/// `branches`: patterns of the branches that are versions.
pub(super) fn branches(fields: &mut Fields) -> Patch<Vec<String>> {
    match fields.is_set("branches") {
        true => {
            let patterns = fields.list("branches", MOST_PATTERNS, BranchPattern::parse).unwrap_or_default();
            Patch::Set(patterns.iter().map(BranchPattern::as_text).collect())
        }
        false => match fields.any("branches") {
            Patch::Clear => Patch::Clear,
            _ => Patch::Absent,
        },
    }
}

/// `deleted_tags`.
pub(super) fn deleted_tags(fields: &mut Fields) -> Patch<String> {
    fields.string("deleted_tags", |text| match text {
        KEEP | "remove" => Ok(text.to_owned()),
        _ => Err("must be keep (a release whose tag is gone stays, and is marked) or remove"),
    })
}
