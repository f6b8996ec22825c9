//! Decides who calls the public API and for which tenant. Every handler takes one of the two types below; there is no third
//! way to a [`TenantTransaction`].

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{EDGE_CREDENTIAL_HEADER, EDGE_TENANT_HEADER, TenantId};

use crate::error::ApiError;
use crate::state::State;
use crate::store::{Actor, Page, TenantTransaction};

/// The holder of the `ADMIN_TOKEN`.
#[derive(Debug, Clone)]
pub(crate) struct Root;

/// An operator at work on one tenant.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    /// The tenant.
    pub(crate) tenant: TenantId,
    /// Who.
    pub(crate) actor: Actor,
}

impl Operator {
    /// Opens the transaction in which the call does its work.
    pub(crate) async fn begin(&self, state: &State) -> Result<TenantTransaction, ApiError> {
        Ok(TenantTransaction::begin(&state.database, self.tenant, self.actor.clone()).await?)
    }
}

impl FromRequestParts<State> for Root {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        match bearer(&parts.headers) {
            // Digests are compared, so that the time taken tells nothing about the secret.
            Some(digest) if digest == state.secrets.admin => Ok(Self),
            _ => Err(ApiError::Unauthorized),
        }
    }
}

impl FromRequestParts<State> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        Root::from_request_parts(parts, state).await?;
        let tenant = match through_edge(&parts.headers, state)? {
            Some(tenant) => tenant,
            None => named(&parts.headers, state).await?,
        };
        Ok(Self { tenant, actor: Actor::Root })
    }
}

fn bearer(headers: &HeaderMap) -> Option<Digest> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Digest::of(secret.trim_start().as_bytes()))
}

/// The tenant whose host was asked, as an edge says; believed only beside the edge's credential.
fn through_edge(headers: &HeaderMap, state: &State) -> Result<Option<TenantId>, ApiError> {
    let Some(credential) = headers.get(EDGE_CREDENTIAL_HEADER) else { return Ok(None) };
    let tenant = headers.get(EDGE_TENANT_HEADER).and_then(|value| value.to_str().ok());
    let tenant = tenant.and_then(|text| uuid::Uuid::try_parse(text).ok()).map(TenantId);
    match tenant {
        _ if Digest::of(credential.as_bytes()) != state.secrets.edge => Err(ApiError::Unauthorized),
        // A host of the zone without a tenant; only who has shown a credential gets here and may know.
        Some(tenant) if tenant.0.is_nil() => Err(ApiError::NotFound("tenant")),
        Some(tenant) => Ok(Some(tenant)),
        None => Err(ApiError::Unauthorized),
    }
}

/// The tenant that the caller names; without a name the only one there is.
async fn named(headers: &HeaderMap, state: &State) -> Result<TenantId, ApiError> {
    let system = state.database.system();
    if let Some(slug) = headers.get("x-cargoman-tenant") {
        let slug = slug.to_str().unwrap_or_default();
        return Ok(system.tenant_by_slug(slug).await?.ok_or(ApiError::NotFound("tenant"))?.id);
    }
    match system.tenants(Page { offset: 0, limit: 2 }).await?.0.as_slice() {
        [only] => Ok(only.id),
        [] => Err(ApiError::NotFound("tenant")),
        _ => Err(ApiError::TenantUnnamed),
    }
}
