//! A repository with many packages: which folders they lie in, and which packages it made.

use axum::extract::State as FromState;
use axum::response::Response;
use serde_json::Value;

use crate::domain::monorepo::{MOST_PATTERNS, PathPattern, TagPattern};
use crate::domain::package::Package;
use crate::error::ApiError;
use crate::http::envelope::{Paging, whole_list};
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::package;
use crate::state::State;
use crate::store::{TenantTransaction, monorepos};

/// `monorepo`: one pattern or a list of them.
pub(super) fn patterns(fields: &mut Fields) -> Patch<Vec<String>> {
    const NAME: &str = "monorepo";
    let given = match fields.any(NAME) {
        Patch::Absent => return Patch::Absent,
        Patch::Clear => return Patch::Clear,
        Patch::Set(Value::String(one)) => vec![Value::String(one)],
        Patch::Set(Value::Array(all)) => all,
        Patch::Set(_) => {
            fields.refuse(NAME, "must be a pattern such as packages/*, or a list of them");
            return Patch::Absent;
        }
    };
    if given.len() > MOST_PATTERNS {
        fields.refuse(NAME, format!("must be at most {MOST_PATTERNS} patterns"));
        return Patch::Absent;
    }
    let mut patterns = Vec::new();
    for one in &given {
        match one.as_str().map(PathPattern::parse) {
            Some(Ok(pattern)) => patterns.push(pattern),
            Some(Err(error)) => fields.refuse(NAME, format!("{}: {error}", one.as_str().unwrap_or_default())),
            None => fields.refuse(NAME, "must hold patterns such as packages/*"),
        }
    }
    if patterns.len() == given.len() && patterns.iter().all(PathPattern::excludes) {
        fields.refuse(
            NAME,
            "must hold a pattern without `!`, such as packages/*; null when there are no packages in folders",
        );
    }
    Patch::Set(patterns.iter().map(PathPattern::as_text).collect())
}

/// `tag_pattern`.
pub(super) fn tag_pattern(fields: &mut Fields) -> Patch<String> {
    fields.string("tag_pattern", |text| TagPattern::parse(text).map(|pattern| pattern.as_str().to_owned()))
}

pub(crate) async fn children(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (_, parent) = package(&mut transaction, &vendor, &name).await?;
    let children = monorepos::children(&mut transaction, parent.id).await?;
    Ok(whole_list(&paging, &children))
}

/// Refuses to delete what would come back, or would leave others behind.
pub(super) async fn may_be_deleted(transaction: &mut TenantTransaction, before: &Package) -> Result<(), ApiError> {
    let children = monorepos::children(transaction, before.id).await?;
    if let [first, ..] = children.as_slice() {
        return Err(ApiError::Conflict(format!(
            "{} packages are made from this one's repository ({}{}); delete them first, or PATCH `monorepo` to null, which lets them stay as they are",
            children.len(),
            first.name,
            if children.len() > 1 { ", …" } else { "" }
        )));
    }
    Ok(())
}
