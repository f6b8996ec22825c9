//! `/packages/{vendor}/{name}/sync`: reads the repository, at once or in the background.

use std::time::Duration;

use axum::extract::State as FromState;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::domain::id::JobId;
use crate::domain::job::{Job, Priority, SYNC_PACKAGE};
use crate::error::ApiError;
use crate::http::envelope::{Paging, data, data_with};
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::package;
use crate::state::State;
use crate::store::jobs;

/// How long a caller may wait for a sync.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(40);

pub(crate) async fn sync(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
    paging: Paging,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    let wait = match paging.query().get("wait").copied() {
        None | Some("false" | "0") => false,
        Some("true" | "1" | "") => true,
        Some(_) => return Err(ApiError::field("wait", "must be true or false")),
    };
    let mut transaction = operator.begin(&state).await?;
    let (name, package) = package(&mut transaction, &vendor, &name).await?;
    if package.repository_url.is_none() {
        let message =
            format!("the package `{name}` has no repository: upload its versions, or give it a repository_url");
        return Err(ApiError::Conflict(message));
    }
    let task = jobs::enqueue(&mut transaction, SYNC_PACKAGE, package.id, Priority::Asked).await?;
    transaction.audit("package.sync", name.as_str(), json!({"task": task}));
    transaction.commit().await?;
    state.jobs_waiting.notify_one();
    match wait {
        true => wait_for(&state, &operator, task).await,
        false => Ok(data_with(StatusCode::ACCEPTED, find(&state, &operator, task).await?)),
    }
}

async fn find(state: &State, operator: &Operator, task: JobId) -> Result<Job, ApiError> {
    let mut transaction = operator.begin(state).await?;
    jobs::find(&mut transaction, task).await?.ok_or(ApiError::NotFound("task"))
}

async fn wait_for(state: &State, operator: &Operator, task: JobId) -> Result<Response, ApiError> {
    let until = Instant::now() + LONGEST_WAIT;
    loop {
        let job = find(state, operator, task).await?;
        if job.is_over() {
            return Ok(data(outcome(job)));
        }
        if Instant::now() >= until {
            return Ok(data_with(StatusCode::ACCEPTED, job));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The result's fields beside the state, as the contract has them.
fn outcome(job: Job) -> Value {
    let mut out = json!({"task": job.id, "state": job.state});
    if let Some(out) = out.as_object_mut() {
        if let Some(error) = job.error {
            out.insert("error".to_owned(), json!(error));
        }
        if let Some(Value::Object(result)) = job.result {
            out.extend(result);
        }
    }
    out
}
