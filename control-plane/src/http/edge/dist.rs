//! The bytes of a dist, for an edge that will check them against their digest. They are looked at on the way as well: of what is missing or
//! wrong the registry hears here first, and has it made anew.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State as FromState;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use cargoman_credential::Digest;
use cargoman_edge_protocol::{REDIRECT_SECONDS, TenantId};
use futures::{Stream, StreamExt};
use ring::digest;
use tokio::time::timeout;

use super::Edge;
use crate::error::ApiError;
use crate::http::path::Path;
use crate::state::State;
use crate::storage;

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
        state.healer.note(&state.database, tenant, sha256, "missing from the storage");
        ApiError::Unavailable("the dist is missing from the storage")
    })?;
    let wrong = move || state.healer.note(&state.database, tenant, sha256, "damaged in the storage");
    Ok(([(header::CONTENT_LENGTH, size)], Body::from_stream(watched(stream, sha256, size, wrong))).into_response())
}

/// An address of the storage itself, at which the dist is to be had for a short while. The edge has decided that it may be given.
pub(crate) async fn address(
    FromState(state): FromState<State>,
    _: Edge,
    Path((tenant, sha256)): Path<(String, String)>,
) -> Result<String, ApiError> {
    let missing = || ApiError::NotFound("dist");
    let tenant = TenantId(uuid::Uuid::try_parse(&tenant).map_err(|_| missing())?);
    let sha256: Digest = sha256.parse().map_err(|_| missing())?;
    // The edge may not have heard that the tenant wants it no more; from then on no address is given.
    if !state.database.system().redirects_dists(tenant).await? {
        return Err(missing());
    }
    state.database.system().dist_size(tenant, sha256).await?.ok_or_else(missing)?;
    let life = Duration::from_secs(REDIRECT_SECONDS);
    let address = state.storage.address(tenant, sha256, life).await.map_err(|error| {
        tracing::error!(%error, %tenant, %sha256, "an address of the storage cannot be signed");
        ApiError::Unavailable("the storage gives no address")
    })?;
    address.ok_or_else(missing)
}

/// The same bytes; `wrong` is called when they end and were not those of the digest. What breaks off says nothing about them.
fn watched(
    stream: storage::Bytes,
    sha256: Digest,
    size: i64,
    wrong: impl FnOnce(),
) -> impl Stream<Item = std::io::Result<bytes::Bytes>> {
    let state = Some((stream, digest::Context::new(&digest::SHA256), 0_u64, wrong));
    futures::stream::unfold(state, move |state| async move {
        let (mut stream, mut context, mut length, wrong) = state?;
        match stream.next().await {
            Some(Ok(piece)) => {
                context.update(&piece);
                length += piece.len() as u64;
                // With the last byte the edge goes away: what comes after it is not asked for.
                if u64::try_from(size) != Ok(length) {
                    return Some((Ok(piece), Some((stream, context, length, wrong))));
                }
                if context.finish().as_ref() != sha256.as_bytes() {
                    wrong();
                }
                Some((Ok(piece), None))
            }
            Some(Err(error)) => Some((Err(error), None)),
            // Shorter than it should be.
            None => {
                wrong();
                None
            }
        }
    })
}
