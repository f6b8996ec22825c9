//! Lets a client repeat a POST safely: with the same `Idempotency-Key` and body it gets the first answer again, without
//! secrets, and nothing is done twice. The same key with another body is refused.
//!
//! Who comes first claims the key in the database and holds the claim while the work lasts; no connection is kept meanwhile.
//! The work goes on when the client hangs up, so that his next try finds the answer. If this process dies, the claim lapses.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts, Request, State as FromState};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cargoman_credential::Digest;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use crate::error::ApiError;
use crate::http::envelope::no_store;
use crate::http::fields::MOST_BODY;
use crate::http::operator::Operator;
use crate::http::router::API;
use crate::state::{Secrets, State};
use crate::store::Actor;
use crate::store::idempotency::{self, Claim, Kept};

/// A claim that is not renewed for so long is its dead holder's.
const HOLD: Duration = Duration::from_secs(30);
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How long a second request with the key waits for the first one's answer: a dead holder's claim lapses meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(35);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Resources that belong to no tenant.
const OF_ROOT: [&str; 2] = ["/tenants", "/edges"];
/// Resources whose bodies hold secrets that people chose.
const WITH_SECRETS: [&str; 2] = ["/git-credentials", "/hooks"];

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
    let operator = whose(&mut parts, &state).await?;
    if operator.dry_run {
        // Nothing is done, so there is nothing to do twice; the key stays free for doing it.
        return Ok(next.run(Request::from_parts(parts, body)).await);
    }
    let body = to_bytes(body, MOST_BODY).await.map_err(|_| ApiError::PayloadTooLarge(MOST_BODY))?;
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    // Whose it is stands in front: one credential's key never finds another's answer. An actor's name holds no space.
    let key = format!("{} {key}", operator.actor);
    let request_digest = digest(target, &body, &state.secrets);
    let held = Held { state, operator, key, request_digest, holder: Uuid::now_v7() };
    if let Some(kept) = held.claim().await? {
        return again(&kept, &held.request_digest);
    }
    let work = held.work(Request::from_parts(parts, Body::from(body)), next).in_current_span();
    tokio::spawn(work).await.map_err(|error| ApiError::Internal(error.into()))?
}

/// Whose the key is. Root's own resources belong to no tenant; their keys stand with the default one.
async fn whose(parts: &mut Parts, state: &State) -> Result<Operator, ApiError> {
    let of_root =
        parts.uri.path().strip_prefix(API).is_some_and(|path| OF_ROOT.iter().any(|start| path.starts_with(start)));
    match Operator::from_request_parts(parts, state).await {
        Err(ApiError::TenantUnnamed) if of_root => {
            let tenant = state.database.system().default_tenant().await?.ok_or(ApiError::TenantUnnamed)?;
            Ok(Operator { tenant: tenant.id, actor: Actor::Root, dry_run: false })
        }
        other => other,
    }
}

/// A weak password could be guessed from a digest that lies in the database: where there may be one, something goes in that does not.
fn digest(target: &str, body: &[u8], secrets: &Secrets) -> String {
    let mut whole = Vec::with_capacity(target.len() + 66 + body.len());
    let path = target.strip_prefix(API).unwrap_or_default();
    if WITH_SECRETS.iter().any(|start| path.starts_with(start)) {
        whole.extend_from_slice(secrets.admin.to_hex().as_bytes());
        whole.push(0);
    }
    whole.extend_from_slice(target.as_bytes());
    whole.push(0);
    whole.extend_from_slice(body);
    Digest::of(&whole).to_hex()
}

fn again(kept: &Kept, request_digest: &str) -> Result<Response, ApiError> {
    if kept.request_digest != request_digest {
        return Err(used_otherwise());
    }
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let mut response = no_store((status, Json(&kept.response)).into_response());
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    Ok(response)
}

fn used_otherwise() -> ApiError {
    ApiError::field("Idempotency-Key", "was used for another request within 24 hours; take a new one")
}

/// A key in use by one request.
struct Held {
    state: State,
    operator: Operator,
    key: String,
    request_digest: String,
    holder: Uuid,
}

impl Held {
    /// Claims the key, or gives the answer that was given before, once it is there.
    async fn claim(&self) -> Result<Option<Kept>, ApiError> {
        let until = Instant::now() + LONGEST_WAIT;
        loop {
            let mut transaction = self.operator.begin(&self.state).await?;
            let claim =
                idempotency::claim(&mut transaction, &self.key, &self.request_digest, self.holder, HOLD).await?;
            transaction.commit().await?;
            match claim {
                Claim::Ours => return Ok(None),
                Claim::Kept(kept) => return Ok(Some(kept)),
                Claim::UnderWay { request_digest } if request_digest != self.request_digest => {
                    return Err(used_otherwise());
                }
                Claim::UnderWay { .. } if Instant::now() >= until => {
                    let message = "a request with this Idempotency-Key is still under way; ask again in a minute";
                    return Err(ApiError::Conflict(message.to_owned()));
                }
                Claim::UnderWay { .. } => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn work(self, request: Request, next: Next) -> Result<Response, ApiError> {
        let response = tokio::select! {
            response = next.run(request) => response,
            never = self.renew() => match never {},
        };
        // Refusals may be tried again.
        if !response.status().is_success() {
            self.log_failure(self.release().await);
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body: Bytes = to_bytes(body, usize::MAX).await.map_err(|error| ApiError::Internal(error.into()))?;
        self.log_failure(self.keep(parts.status, &body).await);
        Ok(Response::from_parts(parts, Body::from(body)))
    }

    async fn renew(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let renewed = async {
                let mut transaction = self.operator.begin(&self.state).await?;
                idempotency::renew(&mut transaction, &self.key, self.holder, HOLD).await?;
                Ok(transaction.commit().await?)
            };
            self.log_failure(renewed.await);
        }
    }

    async fn release(&self) -> Result<(), ApiError> {
        let mut transaction = self.operator.begin(&self.state).await?;
        idempotency::release(&mut transaction, &self.key, self.holder).await?;
        Ok(transaction.commit().await?)
    }

    async fn keep(&self, status: StatusCode, body: &[u8]) -> Result<(), ApiError> {
        let mut response: Value = serde_json::from_slice(body).map_err(|error| ApiError::Internal(error.into()))?;
        without_secrets(&mut response);
        let kept = Kept { request_digest: self.request_digest.clone(), status: status.as_u16(), response };
        let mut transaction = self.operator.begin(&self.state).await?;
        idempotency::keep(&mut transaction, &self.key, self.holder, &kept).await?;
        Ok(transaction.commit().await?)
    }

    /// The work itself is done or refused already: its answer, which may hold a secret shown once, matters more.
    fn log_failure(&self, outcome: Result<(), ApiError>) {
        if let Err(error) = outcome {
            tracing::warn!(%error, "cannot note the state of an Idempotency-Key; it lapses by itself");
        }
    }
}

/// Leaves out every plain secret, which is shown once only.
fn without_secrets(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let secret = |key: &str, value: &Value| match key {
                "plain_token" | "password" | "secret" => true,
                "token" => value.is_string(),
                _ => false,
            };
            map.retain(|key, value| !secret(key, value));
            // What an operator keeps beside a customer is his, whatever he calls it.
            map.iter_mut().filter(|(key, _)| *key != "metadata").for_each(|(_, value)| without_secrets(value));
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
