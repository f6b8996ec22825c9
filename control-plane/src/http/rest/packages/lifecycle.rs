//! What becomes of branches and tags as they come and go.

use crate::domain::branches::{BranchPattern, MOST_PATTERNS};
use crate::domain::releases::{LONGEST_DELAY, Releases};
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

/// `releases` and `release_delay_hours`, over what was before.
pub(super) fn releases(fields: &mut Fields, before: Releases) -> Releases {
    let mentioned = fields.is_set("release_delay_hours");
    let hours = fields.number("release_delay_hours", 1, LONGEST_DELAY).and_then(|hours| i32::try_from(hours).ok());
    let word = match fields.string("releases", |text| Ok::<_, String>(text.to_owned())) {
        Patch::Set(word) => word,
        Patch::Clear => Releases::Auto.word().to_owned(),
        Patch::Absent => before.word().to_owned(),
    };
    let known = if word == before.word() { before.hours() } else { None };
    match Releases::of(&word, hours.or(known)) {
        Ok(releases) => releases,
        // What was said of the number already is enough.
        Err(("release_delay_hours", _)) if mentioned && hours.is_none() => before,
        Err((field, message)) => {
            fields.refuse(field, message);
            before
        }
    }
}
