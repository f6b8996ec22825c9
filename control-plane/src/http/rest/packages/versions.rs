//! `/packages/{vendor}/{name}/versions`: what is published, and who installed it.

use axum::extract::State as FromState;
use axum::response::Response;
use cargoman_composer::version::Version as NormalizedVersion;
use serde_json::{Value, json};

use crate::domain::id::PackageId;
use crate::domain::package::{Version, normalized};
use crate::error::ApiError;
use crate::http::envelope::{Paging, data, whole_list};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::package;
use crate::state::State;
use crate::store::{TenantTransaction, installs, versions as store};

/// What stands behind the version in a path that asks for its customers. A branch that ends so is shown in the list alone.
const CUSTOMERS: &str = "/customers";

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (_, package) = package(&mut transaction, &vendor, &name).await?;
    let mut rows = store::list(&mut transaction, package.id).await?;
    let order = |text: &str| NormalizedVersion::from_normalized(text);
    rows.sort_by_cached_key(|row| std::cmp::Reverse(order(&row.version_normalized)));
    Ok(whole_list(&paging, &rows))
}

/// The version that the rest of a path names, pretty or normalized or in any other way that means the same.
pub(in crate::http::rest) async fn find(
    transaction: &mut TenantTransaction,
    package: PackageId,
    text: &str,
) -> Result<Version, ApiError> {
    if text.contains('\0') {
        return Err(ApiError::NotFound("version"));
    }
    if let Some(found) = store::find(transaction, package, text).await? {
        return Ok(found);
    }
    let normalized = normalized(text).ok_or(ApiError::NotFound("version"))?;
    store::find(transaction, package, &normalized).await?.ok_or(ApiError::NotFound("version"))
}

/// One version; or, with `/customers` behind it, who installed it.
pub(crate) async fn show(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name, version)): Path<(String, String, String)>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (_, package) = package(&mut transaction, &vendor, &name).await?;
    let Some(version) = version.strip_suffix(CUSTOMERS) else {
        return Ok(data(find(&mut transaction, package.id, &version).await?));
    };
    let version = find(&mut transaction, package.id, version).await?;
    let (rows, total) =
        installs::of_version(&mut transaction, package.id, &version.version_normalized, paging.page()).await?;
    let rows: Vec<Value> = rows
        .into_iter()
        .map(|row| {
            json!({
                "customer": {"id": row.customer, "name": row.name},
                "installs": row.installs,
                "last_at": row.last_at,
            })
        })
        .collect();
    Ok(paging.answer(&rows, total))
}
