//! A whole package is given up, or taken up again.

use axum::extract::State as FromState;
use axum::response::Response;
use cargoman_composer::name::PackageName;
use serde_json::json;

use super::changed;
use crate::error::ApiError;
use crate::http::envelope::data;
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::lock_package;
use crate::state::State;
use crate::store::packages::{self as store, PackageFields};

/// Gives the package up, with or without a replacement.
pub(crate) async fn abandon(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let check = |text: &str| PackageName::parse(text).map(|name| name.to_string()).map_err(|error| error.to_string());
    let replacement = fields.string("replacement", check).value();
    fields.finish()?;
    set_abandoned(&state, &operator, &vendor, &name, true, replacement).await
}

pub(crate) async fn unabandon(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    set_abandoned(&state, &operator, &vendor, &name, false, None).await
}

async fn set_abandoned(
    state: &State,
    operator: &Operator,
    vendor: &str,
    name: &str,
    abandoned: bool,
    replacement: Option<String>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(state).await?;
    let (name, before) = lock_package(&mut transaction, vendor, name).await?;
    let releases = super::releases_of(&before)?;
    let wanted = PackageFields {
        repository_type: before.repository_type,
        repository_url: before.repository_url,
        credential: before.credential.map(|credential| credential.id),
        fork: before.fork,
        source: before.source,
        abandoned,
        replacement: replacement.clone(),
        monorepo: before.monorepo,
        tag_pattern: before.tag_pattern,
        branches: before.branches,
        deleted_tags: before.deleted_tags,
        releases,
    };
    store::update(&mut transaction, before.id, &wanted).await?;
    let detail = json!({"abandoned": abandoned, "replacement": replacement});
    changed(&mut transaction, before.id, &name, "package.abandon", detail).await?;
    let after = store::find(&mut transaction, &name).await?.ok_or(ApiError::NotFound("package"))?;
    transaction.commit().await?;
    Ok(data(after))
}
