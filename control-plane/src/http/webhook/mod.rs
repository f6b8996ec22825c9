//! `/api/webhooks/{provider}`: deliveries of forges. They carry no credential but a signature, which is checked over the raw bytes
//! before anything is read of them.
//!
//! Whoever cannot sign learns nothing: the answer is the same for a tenant, a hook and a secret that do not exist.

mod packagist;
mod take;

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request, State as FromState};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cargoman_edge_protocol::TenantId;
use serde_json::{Value, json};

pub(crate) use self::packagist::{github as packagist_github, update_package};
pub(crate) use self::take::{Taken, take};
use crate::clock::now;
use crate::domain::id::HookId;
use crate::error::ApiError;
use crate::http::envelope::no_store;
use crate::http::fields::MOST_BODY;
use crate::http::operator::tenant_of;
use crate::http::path::Path;
use crate::state::State;
use crate::store::hooks::{self, Checked};
use crate::store::{Actor, TenantTransaction};
use crate::webhook::signature::{self, Refused};
use crate::webhook::{Delivery, Provider};

/// A body must have come by then.
const WHOLE: Duration = Duration::from_secs(10);

/// The tenant whose host was asked. What is wrong with it is not said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked(pub(crate) TenantId);

impl FromRequestParts<State> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        match tenant_of(&parts.headers, state).await {
            Ok(tenant) => Ok(Self(tenant)),
            Err(ApiError::NotFound(_) | ApiError::TenantUnnamed | ApiError::Unauthorized) => Err(ApiError::Unsigned),
            Err(error) => Err(error),
        }
    }
}

/// The bytes of a delivery, as they came.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) Bytes);

impl FromRequest<State> for Raw {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &State) -> Result<Self, ApiError> {
        let taken = tokio::time::timeout(WHOLE, Bytes::from_request(request, state)).await;
        let bytes = taken.map_err(|_| ApiError::BodyLate)?.map_err(|_| ApiError::PayloadTooLarge(MOST_BODY))?;
        Ok(Self(bytes))
    }
}

/// A delivery for whichever hook of the provider has its secret.
pub(crate) async fn of_provider(
    FromState(state): FromState<State>,
    asked: Asked,
    Path(provider): Path<String>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    receive(&state, asked, (&provider, None), &headers, &body).await
}

/// A delivery for one hook.
pub(crate) async fn of_hook(
    FromState(state): FromState<State>,
    asked: Asked,
    Path((provider, hook)): Path<(String, String)>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let hook: HookId = hook.parse().map_err(|_| ApiError::NotFound("hook"))?;
    receive(&state, asked, (&provider, Some(hook)), &headers, &body).await
}

async fn receive(
    state: &State,
    Asked(tenant): Asked,
    (provider, named): (&str, Option<HookId>),
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, ApiError> {
    let provider = Provider::parse(provider).filter(|provider| *provider != Provider::Packagist);
    let provider = provider.ok_or(ApiError::NotFound("path"))?;
    let hook = signed_by(state, tenant, (&[provider], provider), named, (headers, body)).await?;
    let delivery = provider.read(headers, &parsed(headers, body)?);
    let delivery = delivery.map_err(|error| ApiError::Unparsable(error.to_string()))?;
    answer(state, tenant, hook, &delivery).await
}

/// The hook of one of `providers` whose secret signed the delivery in the way of `provider`.
async fn signed_by(
    state: &State,
    tenant: TenantId,
    (providers, provider): (&[Provider], Provider),
    named: Option<HookId>,
    (headers, body): (&HeaderMap, &[u8]),
) -> Result<HookId, ApiError> {
    // Nobody is at work yet; nothing is written by this transaction that says who.
    let mut transaction = TenantTransaction::begin(&state.database, tenant, Actor::Setup).await?;
    let hooks = hooks::to_check(&mut transaction, providers, named).await?;
    if named.is_some() && hooks.is_empty() {
        return Err(ApiError::NotFound("hook"));
    }
    let mut refused = None;
    for Checked { id, scheme, sealed } in &hooks {
        let secret = state.keyring.open(&hooks::place(&transaction, *id), sealed)?;
        match signature::verify((provider, *scheme), secret.expose(), headers, body, now().timestamp()) {
            Ok(()) => return Ok(*id),
            Err(reason) => refused = Some(reason),
        }
    }
    note_refused(transaction, &hooks, refused).await;
    Err(ApiError::Unsigned)
}

/// Says to the operators why a delivery was refused, where it is clear which hook it was meant for.
async fn note_refused(mut transaction: TenantTransaction, hooks: &[Checked], refused: Option<Refused>) {
    let ([hook], Some(reason)) = (hooks, refused) else { return };
    let noted = async {
        hooks::refused(&mut transaction, hook.id, &reason.to_string()).await?;
        transaction.commit().await
    };
    if let Err(error) = noted.await {
        tracing::warn!(%error, hook = %hook.id, "cannot note that a delivery was refused");
    }
}

/// The body as JSON; some forges send it as a form's field `payload`, as they were told to.
fn parsed(headers: &HeaderMap, body: &[u8]) -> Result<Value, ApiError> {
    let form = headers.get("content-type").and_then(|value| value.to_str().ok());
    let is_form = form.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    let read = match is_form {
        true => {
            let payload = url::form_urlencoded::parse(body).find(|(name, _)| name == "payload");
            let payload = payload.ok_or_else(|| ApiError::Unparsable("the form has no field `payload`".to_owned()))?;
            serde_json::from_str(&payload.1)
        }
        false => serde_json::from_slice(body),
    };
    read.map_err(|error| ApiError::Unparsable(error.to_string()))
}

async fn answer(state: &State, tenant: TenantId, hook: HookId, delivery: &Delivery) -> Result<Response, ApiError> {
    let mut transaction = TenantTransaction::begin(&state.database, tenant, Actor::Hook(hook)).await?;
    let source = hook.to_string();
    let taken = take(&mut transaction, (Some(hook), &source), delivery, None, &|_| true).await?;
    hooks::delivered(&mut transaction, hook).await?;
    transaction.commit().await?;
    if taken.as_ref().is_some_and(|taken| !taken.outcome.tasks.is_empty()) {
        state.jobs_waiting.notify_one();
    }
    Ok(said(taken.as_ref()))
}

/// 202 when something is done about it; 200 when there is nothing to do.
fn said(taken: Option<&Taken>) -> Response {
    let (status, body) = match taken {
        None => (StatusCode::OK, json!({"outcome": "duplicate"})),
        Some(Taken { id, outcome }) => {
            let status = if outcome.tasks.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
            let (packages, tasks) = (&outcome.packages, &outcome.tasks);
            let body = json!({"delivery": id, "outcome": outcome.word, "reason": outcome.reason, "packages": packages, "tasks": tasks});
            (status, body)
        }
    };
    no_store((status, Json(json!({"data": body}))).into_response())
}
