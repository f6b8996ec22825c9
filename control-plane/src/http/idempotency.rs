//! Lets a client repeat a POST safely: with the same `Idempotency-Key` and body it gets the first answer again, without
//! secrets, and nothing is done twice. The same key with another body is refused.

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts, Request, State as FromState};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cargoman_credential::Digest;
use serde_json::Value;

use crate::error::ApiError;
use crate::http::fields::MOST_BODY;
use crate::http::operator::Operator;
use crate::state::State;
use crate::store::TenantTransaction;
use crate::store::idempotency::{self, Kept};

pub(crate) async fn replay(
    FromState(state): FromState<State>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if request.method() != Method::POST || !request.headers().contains_key("idempotency-key") {
        return Ok(next.run(request).await);
    }
    let (mut parts, body) = request.into_parts();
    let key = parts.headers.get("idempotency-key").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let Some(key) = key.filter(|key| (1..=255).contains(&key.len())) else {
        return Err(ApiError::field("Idempotency-Key", "must be 1 to 255 printable ASCII characters"));
    };
    let operator = Operator::from_request_parts(&mut parts, &state).await?;
    let body = to_bytes(body, MOST_BODY).await.map_err(|_| ApiError::PayloadTooLarge(MOST_BODY))?;
    let request_digest = digest(parts.uri.path(), &body);

    // Held while the request runs: a second one with this key waits for the first one's answer.
    let mut transaction = operator.begin(&state).await?;
    if let Some(kept) = idempotency::find(&mut transaction, &key).await? {
        return again(&kept, &request_digest);
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    keep(transaction, &key, request_digest, response).await
}

fn digest(path: &str, body: &[u8]) -> String {
    let mut whole = Vec::with_capacity(path.len() + 1 + body.len());
    whole.extend_from_slice(path.as_bytes());
    whole.push(0);
    whole.extend_from_slice(body);
    Digest::of(&whole).to_hex()
}

fn again(kept: &Kept, request_digest: &str) -> Result<Response, ApiError> {
    if kept.request_digest != request_digest {
        return Err(ApiError::field("Idempotency-Key", "was used for another request within 24 hours; take a new one"));
    }
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let mut response = (status, Json(&kept.response)).into_response();
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    Ok(response)
}

/// Keeps what was done; refusals may be tried again.
async fn keep(
    mut transaction: TenantTransaction,
    key: &str,
    request_digest: String,
    response: Response,
) -> Result<Response, ApiError> {
    if !response.status().is_success() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body: Bytes = to_bytes(body, usize::MAX).await.map_err(|error| ApiError::Internal(error.into()))?;
    let mut value: Value = serde_json::from_slice(&body).map_err(|error| ApiError::Internal(error.into()))?;
    without_secrets(&mut value);
    let kept = Kept { request_digest, status: parts.status.as_u16(), response: value };
    idempotency::keep(&mut transaction, key, &kept).await?;
    transaction.commit().await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// Leaves out every plain secret, which is shown once only.
fn without_secrets(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let secret = |key: &str, value: &Value| match key {
                "plain_token" | "password" => true,
                "token" => value.is_string(),
                _ => false,
            };
            map.retain(|key, value| !secret(key, value));
            map.values_mut().for_each(without_secrets);
        }
        Value::Array(items) => items.iter_mut().for_each(without_secrets),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_not_kept() {
        let mut value = json!({"data": {"token": "tok_x", "plain_token": "tok_x", "composer_auth": {"username": "token", "password": "tok_x"}}});
        without_secrets(&mut value);
        assert_eq!(value, json!({"data": {"composer_auth": {"username": "token"}}}));
        let mut value = json!({"data": {"token": {"id": "tok_id_1"}}});
        without_secrets(&mut value);
        assert_eq!(value, json!({"data": {"token": {"id": "tok_id_1"}}}));
    }
}
