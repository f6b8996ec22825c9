//! The addresses of packagist.org that CI scripts and forges know: `POST /api/update-package`, `/api/github`, `/api/bitbucket`. The user
//! name is not looked at; the API token is an operator's credential, a customer's token of the scope `webhook`, or the secret of a hook
//! of the provider `packagist`.

use axum::Json;
use axum::extract::{RawQuery, State as FromState};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cargoman_composer::name::PackageName;
use cargoman_credential::{Kind, Secret};
use cargoman_edge_protocol::TenantId;
use cargoman_licence::{PackageGlob, Scope};
use serde_json::json;

use super::{Asked, Raw, Taken, answer, parsed, signed_by, take};
use crate::clock::now;
use crate::domain::credential::Level;
use crate::domain::id::HookId;
use crate::error::ApiError;
use crate::http::envelope::no_store;
use crate::state::State;
use crate::store::{Actor, TenantTransaction, hooks};
use crate::webhook::Provider;
use crate::webhook::signature::same;

/// Whoever may have packages read anew, and which.
struct Sender {
    actor: Actor,
    hook: Option<HookId>,
    /// None: all.
    globs: Option<Vec<String>>,
}

pub(crate) async fn update_package(
    FromState(state): FromState<State>,
    Asked(tenant): Asked,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let token = token(query.as_deref().unwrap_or_default(), &headers).ok_or(ApiError::Unsigned)?;
    let sender = sender(&state, tenant, &token).await?;
    let delivery = Provider::Packagist.read(&headers, &parsed(&headers, &body)?);
    let delivery = delivery.map_err(|error| ApiError::Unparsable(error.to_string()))?;
    let mut transaction = TenantTransaction::begin(&state.database, tenant, sender.actor.clone()).await?;
    let source = sender.actor.to_string();
    let may = |name: &PackageName| sender.may(name);
    let taken = take(&mut transaction, (sender.hook, &source), &delivery, None, &may).await?;
    transaction.commit().await?;
    state.jobs_waiting.notify_one();
    Ok(said(taken.as_ref()))
}

/// As `/api/webhooks/github`; those who followed packagist.org's instructions gave the forge their API token as its secret.
pub(crate) async fn github(
    FromState(state): FromState<State>,
    asked: Asked,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    raw: Raw,
) -> Result<Response, ApiError> {
    if !headers.contains_key("x-hub-signature-256") {
        return update_package(FromState(state), asked, RawQuery(query), headers, raw).await;
    }
    let (Asked(tenant), Raw(body)) = (asked, raw);
    let providers = [Provider::Github, Provider::Packagist];
    let hook = signed_by(&state, tenant, (&providers, Provider::Github), None, (&headers, &body)).await?;
    let delivery = Provider::Github.read(&headers, &parsed(&headers, &body)?);
    let delivery = delivery.map_err(|error| ApiError::Unparsable(error.to_string()))?;
    answer(&state, tenant, hook, &delivery).await
}

/// `?apiToken=…`, or `Authorization: Bearer <user>:<token>`.
fn token(query: &str, headers: &HeaderMap) -> Option<String> {
    let given = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "apiToken");
    if let Some((_, token)) = given {
        return Some(token.into_owned());
    }
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (scheme, rest) = values.next()?.to_str().ok()?.split_once(' ')?;
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let rest = rest.trim();
    Some(rest.split_once(':').map_or(rest, |(_, token)| token).to_owned())
}

async fn sender(state: &State, tenant: TenantId, token: &str) -> Result<Sender, ApiError> {
    let system = state.database.system();
    if let Ok(secret) = Secret::parse(token) {
        let of_this = |found: TenantId| found == tenant;
        match secret.kind() {
            Kind::Operator => {
                let found = system.credential_of_digest(secret.digest()).await?;
                let found = found.filter(|(whose, one)| of_this(*whose) && one.is_good(now()));
                let (_, credential) = found.ok_or(ApiError::Unsigned)?;
                let globs = match credential.level {
                    Level::Owner | Level::Admin => None,
                    Level::Publisher => Some(credential.package_scopes),
                    Level::Viewer => return Err(ApiError::Unsigned),
                };
                return Ok(Sender { actor: Actor::Credential(credential.id), hook: None, globs });
            }
            Kind::Token => {
                let found = system.bearer_of_digest(secret.digest()).await?;
                let fits = |bearer: &crate::store::bearers::Bearer| {
                    bearer.scope == Scope::Webhook && bearer.token.is_good(now()) && bearer.is_active(now())
                };
                let (_, bearer) =
                    found.filter(|(whose, bearer)| of_this(*whose) && fits(bearer)).ok_or(ApiError::Unsigned)?;
                let globs = Some(match bearer.token.package_scopes.is_empty() {
                    true => bearer.may_publish.clone(),
                    false => bearer.token.package_scopes.clone(),
                });
                return Ok(Sender { actor: Actor::Token(bearer.token.id), hook: None, globs });
            }
            Kind::Edge | Kind::Join => return Err(ApiError::Unsigned),
        }
    }
    of_hook(state, tenant, token).await
}

async fn of_hook(state: &State, tenant: TenantId, token: &str) -> Result<Sender, ApiError> {
    let mut transaction = TenantTransaction::begin(&state.database, tenant, Actor::Setup).await?;
    for hook in hooks::to_check(&mut transaction, &[Provider::Packagist], None).await? {
        let secret = state.keyring.open(&hooks::place(&transaction, hook.id), &hook.sealed)?;
        if same(secret.expose(), token.as_bytes()) {
            return Ok(Sender { actor: Actor::Hook(hook.id), hook: Some(hook.id), globs: None });
        }
    }
    Err(ApiError::Unsigned)
}

impl Sender {
    fn may(&self, name: &PackageName) -> bool {
        let covers = |glob: &String| PackageGlob::parse(glob).is_ok_and(|glob| glob.matches(name));
        self.globs.as_ref().is_none_or(|globs| globs.iter().any(covers))
    }
}

/// As packagist.org answers.
fn said(taken: Option<&Taken>) -> Response {
    let (status, body) = match taken {
        Some(Taken { outcome, .. }) if outcome.packages.is_empty() => {
            let message = outcome.reason.clone().unwrap_or_default();
            (StatusCode::NOT_FOUND, json!({"status": "error", "message": message}))
        }
        Some(Taken { outcome, .. }) => (
            StatusCode::ACCEPTED,
            json!({"status": "success", "jobs": outcome.tasks, "packages": outcome.packages, "message": outcome.reason}),
        ),
        None => (StatusCode::ACCEPTED, json!({"status": "success", "jobs": []})),
    };
    no_store((status, Json(body)).into_response())
}
