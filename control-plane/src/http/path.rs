//! Reads the parameters of a path. One that cannot be read is refused in the API's own words.

use axum::extract::{FromRequestParts, Path as Segments};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The parameters of the path, percent-decoded.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let segments = Segments::from_request_parts(parts, state).await;
        segments.map(|Segments(parameters)| Self(parameters)).map_err(|_| ApiError::UnreadablePath)
    }
}
