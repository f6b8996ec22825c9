//! What edges ask. On a listener of its own, open to the edges' credential alone.

pub(crate) mod dist;
pub(crate) mod installs;
pub(crate) mod read;
pub(crate) mod usage;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use cargoman_credential::Digest;

use crate::error::ApiError;
use crate::state::State;

/// An edge that proved itself.
pub(crate) struct Edge;

impl FromRequestParts<State> for Edge {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let value = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let secret = value.and_then(|value| value.strip_prefix("Bearer "));
        match secret {
            Some(secret) if Digest::of(secret.as_bytes()) == state.secrets.edge => Ok(Self),
            _ => Err(ApiError::Unauthorized),
        }
    }
}
