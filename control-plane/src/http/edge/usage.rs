//! What edges served, in batches that may come twice.

use axum::body::Bytes;
use axum::extract::State as FromState;
use axum::http::StatusCode;
use cargoman_edge_protocol::{Batch, MOST_USAGE_EVENTS};

use super::Edge;
use crate::clock::now;
use crate::error::ApiError;
use crate::state::State;
use crate::store::StoreError;

/// A later release may make larger batches.
const MOST_EVENTS: usize = 10 * MOST_USAGE_EVENTS;

/// 204 says that it is counted, now or before. A refusal says that it never will be: the edge puts it aside.
pub(crate) async fn receive(FromState(state): FromState<State>, _: Edge, body: Bytes) -> Result<StatusCode, ApiError> {
    let batch: Batch = serde_json::from_slice(&body).map_err(|error| ApiError::field("batch", error))?;
    if batch.events.len() > MOST_EVENTS {
        return Err(ApiError::field("events", format!("at most {MOST_EVENTS}")));
    }
    match state.database.system().count_usage(&batch, now()).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(StoreError::Unstorable) => Err(ApiError::field("events", "a text holds a NUL character")),
        Err(error) => Err(error.into()),
    }
}
