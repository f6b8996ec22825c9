//! What edges ask. On a listener of its own, open to the edges' credentials alone: the shared one, and those of edges that joined.

pub(crate) mod dist;
pub(crate) mod installs;
pub(crate) mod join;
pub(crate) mod link;
pub(crate) mod read;
pub(crate) mod usage;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use cargoman_credential::{Digest, Kind, Secret};

use crate::domain::id::EdgeId;
use crate::error::ApiError;
use crate::state::State;

/// An edge that proved itself.
pub(crate) struct Edge {
    /// Which; none with the shared credential.
    pub(crate) id: Option<EdgeId>,
}

impl FromRequestParts<State> for Edge {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let value = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let secret = value.and_then(|value| value.strip_prefix("Bearer "));
        Self::of(secret.ok_or(ApiError::Unauthorized)?, state).await
    }
}

impl Edge {
    /// Whose credential that is.
    ///
    /// # Errors
    /// `Unauthorized` when it is nobody's, `Fenced` when it is that of an edge that was fenced.
    pub(crate) async fn of(secret: &str, state: &State) -> Result<Self, ApiError> {
        if Digest::of(secret.as_bytes()) == state.secrets.edge {
            return Ok(Self { id: None });
        }
        let secret = Secret::parse(secret).ok().filter(|secret| secret.kind() == Kind::Edge);
        let digest = secret.ok_or(ApiError::Unauthorized)?.digest();
        let edge = state.database.system().edge_of_digest(digest).await?.ok_or(ApiError::Unauthorized)?;
        // Told apart from a credential that nobody knows: an edge obeys this, and takes the other for a mistake of configuration.
        if edge.fenced { Err(ApiError::Fenced) } else { Ok(Self { id: Some(edge.id) }) }
    }
}
