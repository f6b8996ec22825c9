//! An edge shows a join token and gets a credential of its own.

use axum::Json;
use axum::extract::State as FromState;
use cargoman_credential::{Kind, Secret};
use cargoman_edge_protocol::{JoinReply, JoinRequest};

use crate::domain::text;
use crate::error::ApiError;
use crate::http::rest::edges::LONGEST_NAME;
use crate::state::State;

pub(crate) async fn join(
    FromState(state): FromState<State>,
    Json(JoinRequest { token, name }): Json<JoinRequest>,
) -> Result<Json<JoinReply>, ApiError> {
    let name = if name.is_empty() { "edge" } else { &name };
    let name = text::line(name, LONGEST_NAME).map_err(|error| ApiError::field("name", error))?;
    let token = Secret::parse(&token).ok().filter(|token| token.kind() == Kind::Join).ok_or(ApiError::Unauthorized)?;
    let credential = Secret::generate(Kind::Edge, &ring::rand::SystemRandom::new())
        .map_err(|_| ApiError::Internal(anyhow::anyhow!("the system gives no random bytes")))?;
    let joined = state.database.system().join_edge(token.digest(), &name, &credential).await?;
    let name = joined.ok_or(ApiError::Unauthorized)?;
    tracing::info!(edge = name, "an edge joined");
    Ok(Json(JoinReply { name, credential: credential.expose().to_owned() }))
}
