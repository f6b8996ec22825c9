//! `/tasks`: what is being done and what was done.

use axum::extract::State as FromState;
use axum::response::Response;

use crate::error::ApiError;
use crate::http::envelope::{Paging, data};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::id;
use crate::state::State;
use crate::store::jobs;

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let wanted = paging.query().get("state").copied().map(str::to_owned);
    const STATES: [&str; 5] = ["queued", "running", "succeeded", "failed", "cancelled"];
    if wanted.as_deref().is_some_and(|wanted| !STATES.contains(&wanted)) {
        return Err(ApiError::field("state", format!("must be one of {}", STATES.join(", "))));
    }
    let mut transaction = operator.begin(&state).await?;
    let (rows, total) = jobs::list(&mut transaction, wanted.as_deref(), paging.page()).await?;
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
