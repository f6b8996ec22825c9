//! The bytes of a dist, for an edge that will check them against their digest.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State as FromState;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use tokio::time::timeout;

use super::Edge;
use crate::error::ApiError;
use crate::http::path::Path;
use crate::state::State;

/// A storage that does not answer within this is away.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn dist(
    FromState(state): FromState<State>,
    _: Edge,
    Path((tenant, sha256)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::NotFound("dist");
    let tenant = TenantId(uuid::Uuid::try_parse(&tenant).map_err(|_| missing())?);
    let sha256: Digest = sha256.parse().map_err(|_| missing())?;
    let size = state.database.system().dist_size(tenant, sha256).await?.ok_or_else(missing)?;
    let stream = timeout(PATIENCE, state.storage.read(tenant, sha256)).await.map_err(|_| {
        tracing::error!(%tenant, %sha256, "a dist cannot be read: the storage does not answer");
        ApiError::Unavailable("the storage does not answer")
    })?;
    let stream = stream.map_err(|error| {
        tracing::error!(%error, %tenant, %sha256, "a dist cannot be read");
        ApiError::Unavailable("the storage cannot be read")
    })?;
    let stream = stream.ok_or_else(|| {
        tracing::error!(%tenant, %sha256, "a dist is missing from the storage; restore it from a backup");
        ApiError::Unavailable("the dist is missing from the storage")
    })?;
    Ok(([(header::CONTENT_LENGTH, size)], Body::from_stream(stream)).into_response())
}
