//! `?dry_run=true` and `?confirm=true` on writes that may take rights away, and the end of such a write.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::json;

use crate::effect::{Consent, Watch};
use crate::error::{ApiError, Detail};
use crate::http::envelope::data;
use crate::store::TenantTransaction;

impl<S: Send + Sync> FromRequestParts<S> for Consent {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(query): Query<Vec<(String, String)>> = Query::from_request_parts(parts, state)
            .await
            .map_err(|error| ApiError::field("query", error.body_text()))?;
        let mut problems = Vec::new();
        let mut flag = |name: &str| match query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                problems.push(Detail { field: name.to_owned(), message: "must be true or false".to_owned() });
                false
            }
        };
        let consent = Self { dry_run: flag("dry_run"), confirm: flag("confirm") };
        if problems.is_empty() { Ok(consent) } else { Err(ApiError::Validation(problems)) }
    }
}

/// Ends a watched write: a dry run is rolled back and answers its effect; any other is braked or committed and gets `answer`.
pub(crate) async fn close(
    watch: Watch,
    mut transaction: TenantTransaction,
    answer: Response,
) -> Result<Response, ApiError> {
    match watch.settle(&mut transaction).await? {
        Some(effect) => Ok(data(json!({"dry_run": true, "effect": effect}))),
        None => {
            transaction.commit().await?;
            Ok(answer)
        }
    }
}
