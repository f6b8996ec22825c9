//! What an operator decides about a release before anybody has it: that it is visible now, or that its tag may be another commit.

use axum::extract::State as FromState;
use axum::response::Response;
use serde_json::json;

use super::changed;
use super::versions::find;
use crate::domain::job::{Priority, SYNC_PACKAGE};
use crate::error::ApiError;
use crate::http::envelope::data;
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::lock_package;
use crate::state::State;
use crate::store::jobs;
use crate::store::releases::{self, Which};

type Named = Path<(String, String, String)>;

/// Makes a release visible that waits. One that does not wait stays as it is.
pub(crate) async fn release(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name, version)): Named,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let (name, package) = lock_package(&mut transaction, &vendor, &name).await?;
    let before = find(&mut transaction, package.id, &version).await?;
    let one = Which::One(&before.version_normalized);
    if !releases::release(&mut transaction, package.id, one).await?.is_empty() {
        changed(&mut transaction, package.id, &name, "version.release", json!({"version": before.version})).await?;
    }
    let after = find(&mut transaction, package.id, &before.version_normalized).await?;
    transaction.commit().await?;
    Ok(data(after))
}

/// Lets a release that nobody had follow its tag, and has the repository read.
pub(crate) async fn replace(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name, version)): Named,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    const NEEDED: &str = "is required: it is kept in the audit trail";
    let reason = fields.required("reason", NEEDED, |text| crate::domain::text::line(text, 500)).unwrap_or_default();
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let (name, package) = lock_package(&mut transaction, &vendor, &name).await?;
    let version = find(&mut transaction, package.id, &version).await?;
    if version.kind != "tag" {
        return Err(ApiError::Conflict(format!(
            "{} is no release of a tag: a branch follows its repository by itself, and an upload stays",
            version.version
        )));
    }
    let served = releases::served(&mut transaction, name.as_str(), &version.version_normalized).await?;
    if version.held_at.is_none() && served > 0 {
        return Err(ApiError::Conflict(format!(
            "{} was downloaded or installed {served} times: it stays what it is; publish a new version instead",
            version.version
        )));
    }
    let read = releases::allow_replacement(&mut transaction, package.id, &version.version_normalized).await?;
    let task = jobs::enqueue(&mut transaction, SYNC_PACKAGE, read, Priority::Asked).await?;
    let detail = json!({"version": version.version, "commit": version.reference, "reason": reason, "task": task});
    transaction.audit("version.replace", name.as_str(), detail);
    transaction.commit().await?;
    state.jobs_waiting.notify_one();
    let mut body = serde_json::to_value(&version).map_err(|error| ApiError::Internal(error.into()))?;
    if let Some(body) = body.as_object_mut() {
        body.insert("task".to_owned(), json!(task));
    }
    Ok(data(body))
}
