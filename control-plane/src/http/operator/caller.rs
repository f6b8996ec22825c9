//! Decides whose secret a request shows. A credential or token belongs to one tenant: shown for another one, it is answered like
//! a secret that nobody has (E-A6).

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use cargoman_credential::{Digest, Kind, Secret};
use cargoman_edge_protocol::{EDGE_CREDENTIAL_HEADER, EDGE_TENANT_HEADER, TenantId};
use chrono::Duration;

use crate::clock::now;
use crate::domain::credential::Credential;
use crate::error::ApiError;
use crate::http::edge::Edge;
use crate::state::State;
use crate::store::Actor;
use crate::store::tenants::OnlyTenant;

pub(crate) use crate::store::bearers::Bearer;

/// How often the use of a credential is noted.
const NOTE_EVERY: Duration = Duration::minutes(1);

/// Who shows a secret that is good.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// The holder of the `ADMIN_TOKEN`.
    Root,
    /// An operator.
    Credential {
        /// Whose.
        tenant: TenantId,
        /// With its level.
        credential: Box<Credential>,
    },
    /// A customer.
    Token {
        /// Whose.
        tenant: TenantId,
        /// With its scope.
        bearer: Box<Bearer>,
    },
}

impl Caller {
    /// For the audit trail.
    pub(crate) fn actor(&self) -> Actor {
        match self {
            Self::Root => Actor::Root,
            Self::Credential { credential, .. } => Actor::Credential(credential.id),
            Self::Token { bearer, .. } => Actor::Token(bearer.token.id),
        }
    }
}

impl FromRequestParts<State> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let text = bearer(&parts.headers).ok_or(ApiError::Unauthorized)?;
        // Digests are compared, so that the time taken tells nothing about the secret.
        if Digest::of(text.as_bytes()) == state.secrets.admin {
            return Ok(Self::Root);
        }
        let secret = Secret::parse(text).map_err(|_| ApiError::Unauthorized)?;
        let asked = asked_tenant(&parts.headers, state).await?;
        let found = match secret.kind() {
            Kind::Operator => credential(&secret, state).await?,
            Kind::Token => token(&secret, state).await?,
            Kind::Edge | Kind::Join => return Err(ApiError::Unauthorized),
        };
        match (found, asked) {
            (Some((tenant, caller)), asked) if asked.is_none_or(|asked| asked == tenant) => {
                note_use(&caller, state).await;
                Ok(caller)
            }
            _ => Err(ApiError::Unauthorized),
        }
    }
}

async fn credential(secret: &Secret, state: &State) -> Result<Option<(TenantId, Caller)>, ApiError> {
    let found = state.database.system().credential_of_digest(secret.digest()).await?;
    let good = found.filter(|(_, credential)| credential.is_good(now()));
    Ok(good.map(|(tenant, credential)| (tenant, Caller::Credential { tenant, credential: Box::new(credential) })))
}

async fn token(secret: &Secret, state: &State) -> Result<Option<(TenantId, Caller)>, ApiError> {
    let found = state.database.system().bearer_of_digest(secret.digest()).await?;
    let good = found.filter(|(_, bearer)| bearer.token.is_good(now()));
    Ok(good.map(|(tenant, bearer)| (tenant, Caller::Token { tenant, bearer: Box::new(bearer) })))
}

/// Notes when a secret was last used. Failing to is no reason to refuse the call.
async fn note_use(caller: &Caller, state: &State) {
    match caller {
        Caller::Root => {}
        Caller::Token { tenant, bearer } => state.token_uses.note_id(*tenant, bearer.token.id, now()),
        Caller::Credential { tenant, credential } => {
            if credential.last_used_at.is_some_and(|at| now() - at < NOTE_EVERY) {
                return;
            }
            if let Err(error) = state.database.system().credential_used(*tenant, credential.id, now()).await {
                tracing::warn!(%error, "cannot note the use of a credential");
            }
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim_start())
}

/// The tenant that the request asks for, if it asks for one. To whoever is not root, a tenant that does not exist and one that
/// is not his are the same.
async fn asked_tenant(headers: &HeaderMap, state: &State) -> Result<Option<TenantId>, ApiError> {
    match through_edge(headers, state).await {
        Err(ApiError::NotFound(_)) => return Err(ApiError::Unauthorized),
        Err(error) => return Err(error),
        Ok(Some(tenant)) => return Ok(Some(tenant)),
        Ok(None) => {}
    }
    let Some(slug) = headers.get("x-cargoman-tenant") else { return Ok(None) };
    let tenant = state.database.system().tenant_by_slug(slug.to_str().unwrap_or_default()).await?;
    Ok(Some(tenant.ok_or(ApiError::Unauthorized)?.id))
}

/// The tenant whose host was asked, as an edge says; believed only beside an edge's credential.
async fn through_edge(headers: &HeaderMap, state: &State) -> Result<Option<TenantId>, ApiError> {
    let Some(credential) = headers.get(EDGE_CREDENTIAL_HEADER) else { return Ok(None) };
    let tenant = headers.get(EDGE_TENANT_HEADER).and_then(|value| value.to_str().ok());
    let tenant = tenant.and_then(|text| uuid::Uuid::try_parse(text).ok()).map(TenantId);
    Edge::of(credential.to_str().map_err(|_| ApiError::Unauthorized)?, state).await?;
    match tenant {
        // A host of the zone without a tenant; only who has shown a credential gets here and may know.
        Some(tenant) if tenant.0.is_nil() => Err(ApiError::NotFound("tenant")),
        Some(tenant) => Ok(Some(tenant)),
        None => Err(ApiError::Unauthorized),
    }
}

/// The tenant that root works on: the host's, the one he names, or the only one there is.
pub(super) async fn tenant_for_root(headers: &HeaderMap, state: &State) -> Result<TenantId, ApiError> {
    if let Some(tenant) = through_edge(headers, state).await? {
        return Ok(tenant);
    }
    let system = state.database.system();
    if let Some(slug) = headers.get("x-cargoman-tenant") {
        let slug = slug.to_str().unwrap_or_default();
        return Ok(system.tenant_by_slug(slug).await?.ok_or(ApiError::NotFound("tenant"))?.id);
    }
    match system.only_tenant().await? {
        OnlyTenant::One(only) => Ok(only),
        OnlyTenant::None => Err(ApiError::NotFound("tenant")),
        OnlyTenant::Several => Err(ApiError::TenantUnnamed),
    }
}
