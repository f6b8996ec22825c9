//! What edges served, in batches that may come twice.

use axum::body::Bytes;
use axum::extract::State as FromState;
use axum::http::StatusCode;
use cargoman_edge_protocol::{Batch, MOST_USAGE_EVENTS, UsageEvent};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Edge;
use crate::clock::now;
use crate::error::ApiError;
use crate::state::State;
use crate::store::StoreError;

/// A later release may make larger batches.
const MOST_EVENTS: usize = 10 * MOST_USAGE_EVENTS;

/// A batch whose events are not looked at yet.
#[derive(Deserialize)]
struct Incoming<'a> {
    id: Uuid,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// 204 says that it is counted, now or before. A refusal says that something in it never will be, while everything else is counted: the
/// edge puts it aside, for a person to look at.
pub(crate) async fn receive(FromState(state): FromState<State>, _: Edge, body: Bytes) -> Result<StatusCode, ApiError> {
    let incoming: Incoming<'_> = serde_json::from_slice(&body).map_err(|error| ApiError::field("batch", error))?;
    if incoming.events.len() > MOST_EVENTS {
        return Err(ApiError::field("events", format!("at most {MOST_EVENTS}")));
    }
    let mut batch = Batch { id: incoming.id, events: Vec::new() };
    let mut unreadable = None;
    for (number, event) in incoming.events.iter().enumerate() {
        match serde_json::from_str::<UsageEvent>(event.get()) {
            Ok(event) => batch.events.push(event),
            Err(error) => unreadable = unreadable.or_else(|| Some(ApiError::field(format!("events[{number}]"), error))),
        }
    }
    match state.database.system().count_usage(&batch, now()).await {
        Ok(()) => unreadable.map_or(Ok(StatusCode::NO_CONTENT), Err),
        Err(StoreError::Unstorable) => Err(ApiError::field("events", "a text holds a NUL character")),
        Err(error) => Err(error.into()),
    }
}
