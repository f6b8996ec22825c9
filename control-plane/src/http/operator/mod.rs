//! Decides who calls the public API and for which tenant. Every handler takes one of the types below; there is no other way to a
//! [`TenantTransaction`].

mod caller;
mod permission;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use cargoman_edge_protocol::TenantId;

pub(crate) use self::caller::{Bearer, Caller};
use crate::error::ApiError;
use crate::http::consent;
use crate::state::State;
use crate::store::{Actor, StoreError, TenantTransaction};

/// The holder of the `ADMIN_TOKEN`.
#[derive(Debug, Clone)]
pub(crate) struct Root;

/// Somebody who may do what the route does, at work on one tenant.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    /// The tenant.
    pub(crate) tenant: TenantId,
    /// Who, for the audit trail.
    pub(crate) actor: Actor,
    /// Whether he only wants to see what the call would do. Then nothing can be committed, whatever the handler knows of it.
    pub(crate) dry_run: bool,
}

/// A customer's token that may do what the route does.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    /// The tenant and the actor.
    pub(crate) operator: Operator,
    /// The token and whose it is.
    pub(crate) bearer: Bearer,
}

/// The tenant that a request without a credential is for: of the host, as an edge says, or the one it names.
///
/// # Errors
/// When there is none, or several and none is named.
pub(crate) async fn tenant_of(headers: &HeaderMap, state: &State) -> Result<TenantId, ApiError> {
    caller::tenant_for_root(headers, state).await
}

impl Operator {
    /// Opens the transaction in which the call does its work.
    pub(crate) async fn begin(&self, state: &State) -> Result<TenantTransaction, ApiError> {
        let transaction = TenantTransaction::begin(&state.database, self.tenant, self.actor.clone()).await?;
        Ok(if self.dry_run { transaction.rehearsed() } else { transaction })
    }

    async fn of(caller: &Caller, parts: &Parts, state: &State) -> Result<Self, ApiError> {
        let tenant = match caller {
            Caller::Root => caller::tenant_for_root(&parts.headers, state).await?,
            Caller::Credential { tenant, .. } | Caller::Token { tenant, .. } => *tenant,
        };
        consent::known(&parts.method, &parts.uri)?;
        Ok(Self { tenant, actor: caller.actor(), dry_run: consent::of(&parts.uri)?.dry_run })
    }
}

impl FromRequestParts<State> for Root {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        match Caller::from_request_parts(parts, state).await? {
            Caller::Root if consent::of(&parts.uri)?.dry_run => Err(ApiError::from(StoreError::Rehearsed)),
            Caller::Root => Ok(Self),
            _ => Err(ApiError::Forbidden(permission::ROOT_ALONE)),
        }
    }
}

impl FromRequestParts<State> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        permission::check(&caller, parts, state).await?;
        Self::of(&caller, parts, state).await
    }
}

impl FromRequestParts<State> for Holder {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        permission::check(&caller, parts, state).await?;
        let operator = Operator::of(&caller, parts, state).await?;
        match caller {
            Caller::Token { bearer, .. } => Ok(Self { operator, bearer: *bearer }),
            _ => Err(ApiError::Forbidden(permission::TOKENS_ALONE)),
        }
    }
}
