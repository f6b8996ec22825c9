//! Lets every write of the public API answer only when it is effective on all edges, or say for which it is not. No handler has a
//! part in it: the store says what was written.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as FromState};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::{Value, json};

use crate::clock::now;
use crate::error::ApiError;
use crate::http::router::API;
use crate::link::propagation::Propagation;
use crate::state::State;
use crate::store::Written;

/// Waits for what the call wrote, and adds `propagation` to its answer.
pub(crate) async fn wait(
    FromState(state): FromState<State>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let written = Written::default();
    let response = written.over(next.run(request)).await;
    let Some(wrote) = written.wrote().filter(|_| response.status().is_success()) else { return Ok(response) };
    let waited = state.link.wait(state.database.system(), wrote.tenant, wrote.committed).await;
    let (effective, about) = match &waited {
        Ok(propagation) => (propagation.is_effective(now()), shown(propagation)),
        Err(error) => {
            tracing::warn!(%error, "a write is done, but the database cannot say who must hear of it");
            (false, json!({"effective": false, "seq": null, "pending": []}))
        }
    };
    with(response, about, effective).await
}

/// As it stands in answers.
pub(crate) fn shown(propagation: &Propagation) -> Value {
    let took = u64::try_from(propagation.took.as_millis()).unwrap_or(u64::MAX);
    let Propagation { seq, edges, pending, presigned_until, .. } = propagation;
    if propagation.is_effective(now()) {
        return json!({"effective": true, "seq": seq, "edges": edges, "took_ms": took});
    }
    let pending: Vec<_> = pending
        .iter()
        .map(|pending| json!({"edge": pending.edge, "may_serve_until": pending.may_serve_until}))
        .collect();
    let mut about = json!({
        "effective": false, "seq": seq, "edges": edges, "took_ms": took, "pending": pending,
        "url": format!("{API}/propagation/{seq}"),
    });
    if let (Some(about), Some(until)) = (about.as_object_mut(), presigned_until) {
        about.insert("presigned_until".to_owned(), json!(until));
    }
    about
}

async fn with(response: Response, about: Value, effective: bool) -> Result<Response, ApiError> {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|error| ApiError::Internal(error.into()))?;
    let mut value: Value = match body.is_empty() {
        true => json!({}),
        false => serde_json::from_slice(&body).map_err(|error| ApiError::Internal(error.into()))?,
    };
    if let Some(value) = value.as_object_mut() {
        value.insert("propagation".to_owned(), about);
    }
    // What was made is made: 201 stays, so that a shop's scripts do not stumble over an edge that is away.
    if !effective && parts.status == StatusCode::OK {
        parts.status = StatusCode::ACCEPTED;
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(Response::from_parts(parts, Body::from(value.to_string())))
}
