//! `/tasks`: what is being done, what was done, and what has to be looked at.

use axum::extract::State as FromState;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::domain::id::JobId;
use crate::domain::job::{Priority, SYNC_PACKAGE};
use crate::error::ApiError;
use crate::http::envelope::{Paging, data, data_with};
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::id;
use crate::state::State;
use crate::store::TenantTransaction;
use crate::store::jobs::{self, Which};

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let asked = |name: &str| paging.query().get(name).map(|value| (*value).to_owned());
    let (wanted, dead, package) = (asked("state"), asked("dead"), asked("package"));
    const STATES: [&str; 5] = ["queued", "running", "succeeded", "failed", "cancelled"];
    if wanted.as_deref().is_some_and(|wanted| !STATES.contains(&wanted)) {
        return Err(ApiError::field("state", format!("must be one of {}", STATES.join(", "))));
    }
    let dead = match dead.as_deref() {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => return Err(ApiError::field("dead", "must be true or false")),
    };
    let which = Which { state: wanted.as_deref(), dead, package: package.as_deref() };
    let mut transaction = operator.begin(&state).await?;
    let (rows, total) = jobs::list(&mut transaction, which, paging.page()).await?;
    Ok(paging.answer(&rows, total))
}

pub(crate) async fn show(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(task): Path<String>,
) -> Result<Response, ApiError> {
    let task = id(&task, "task")?;
    let mut transaction = operator.begin(&state).await?;
    Ok(data(jobs::find(&mut transaction, task).await?.ok_or(ApiError::NotFound("task"))?))
}

/// What failed is done once more, as a task of its own; what waits for its next try is tried now.
pub(crate) async fn retry(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(task): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    let task: JobId = id(&task, "task")?;
    let mut transaction = operator.begin(&state).await?;
    let (kind, subject) = jobs::lock(&mut transaction, task).await?.ok_or(ApiError::NotFound("task"))?;
    let before = jobs::find(&mut transaction, task).await?.ok_or(ApiError::NotFound("task"))?;
    if !matches!(before.state.as_str(), "failed" | "cancelled" | "queued") {
        let message =
            format!("the task is {}: only what failed, was cancelled or waits can be tried again", before.state);
        return Err(ApiError::Conflict(message));
    }
    let next = jobs::enqueue_about(&mut transaction, &kind, subject, Priority::Asked).await?;
    transaction.audit("task.retry", &task.to_string(), json!({"task": next}));
    let answer = jobs::find(&mut transaction, next).await?;
    transaction.commit().await?;
    state.jobs_waiting.notify_one();
    Ok(data_with(StatusCode::ACCEPTED, answer))
}

/// What waits never begins; what runs ends within seconds, and what it has published stays.
pub(crate) async fn cancel(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(task): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    let task: JobId = id(&task, "task")?;
    let mut transaction = operator.begin(&state).await?;
    jobs::lock(&mut transaction, task).await?.ok_or(ApiError::NotFound("task"))?;
    if !jobs::cancel(&mut transaction, task).await? {
        return Err(ApiError::Conflict("the task is over already".to_owned()));
    }
    transaction.audit("task.cancel", &task.to_string(), json!({}));
    let answer = jobs::find(&mut transaction, task).await?;
    transaction.commit().await?;
    Ok(data(answer))
}

/// Reads every repository of the tenant, after whatever is more urgent.
pub(crate) async fn sync_all(
    FromState(state): FromState<State>,
    operator: Operator,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let queued = queue_all(&mut transaction).await?;
    transaction.commit().await?;
    state.jobs_waiting.notify_one();
    Ok(data_with(StatusCode::ACCEPTED, json!({"queued": queued})))
}

async fn queue_all(transaction: &mut TenantTransaction) -> Result<i64, ApiError> {
    let queued = jobs::enqueue_all(transaction, SYNC_PACKAGE, Priority::Again).await?;
    transaction.audit("task.sync_all", "tasks", json!({"queued": queued}));
    Ok(queued)
}
