//! `/edges`: who answers Composer, how far he is, and how to let one in or shut one out. Root's own: edges serve every tenant.

use axum::extract::State as FromState;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use cargoman_credential::{Kind, Secret};
use chrono::Duration;
use serde_json::json;

use crate::clock::now;
use crate::error::ApiError;
use crate::http::consent::flags;
use crate::http::envelope::{Paging, data, data_with, whole_list};
use crate::http::fields::Fields;
use crate::http::operator::Root;
use crate::http::path::Path;
use crate::http::rest::id;
use crate::state::State;
use crate::store::Actor;

/// Of an edge's name, in characters.
pub(crate) const LONGEST_NAME: usize = 100;
/// A join token that nobody used is good for so long.
const GOOD_FOR: Duration = Duration::hours(1);

pub(crate) async fn list(FromState(state): FromState<State>, _: Root, paging: Paging) -> Result<Response, ApiError> {
    Ok(whole_list(&paging, &state.database.system().edges().await?))
}

pub(crate) async fn create_join_token(
    FromState(state): FromState<State>,
    _: Root,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let name = fields.line("name", LONGEST_NAME).value();
    let expires_at = fields.instant("expires_at").value().unwrap_or(now() + GOOD_FOR);
    if expires_at <= now() {
        fields.refuse("expires_at", "must lie in the future");
    }
    fields.finish()?;
    let secret = Secret::generate(Kind::Join, &ring::rand::SystemRandom::new())
        .map_err(|_| ApiError::Internal(anyhow::anyhow!("the system gives no random bytes")))?;
    let system = state.database.system();
    let token = system.insert_join_token(name.as_deref(), expires_at, &secret, &Actor::Root).await?;
    let mut shown = json!(token);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("plain_token".to_owned(), json!(secret.expose()));
    }
    Ok(data_with(StatusCode::CREATED, shown))
}

/// Its credential is dead when this answers. Whether the edge hears of it is another matter: the answer says until when it may go on.
/// `?gone=true`: whoever calls vouches that it does not run any more, and nobody waits for it.
pub(crate) async fn fence(
    FromState(state): FromState<State>,
    _: Root,
    Path(edge): Path<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let [gone] = flags(&uri, ["gone"])?;
    let fenced = state.database.system().fence_edge(id(&edge, "edge")?, gone, &Actor::Root).await?;
    Ok(data(fenced.ok_or(ApiError::NotFound("edge"))?))
}
