//! `/tenants`: root's own resource.

use axum::extract::State as FromState;
use axum::response::Response;
use cargoman_edge_protocol::{Change, TenantId};
use serde_json::json;

use crate::domain::tenant::Tenant;
use crate::domain::text::is_slug;
use crate::error::ApiError;
use crate::http::envelope::{Paging, created, data};
use crate::http::fields::Fields;
use crate::http::operator::Root;
use crate::http::path::Path;
use crate::state::State;
use crate::store::{Actor, TenantTransaction, tenants};

/// Notes that what edges know of the tenant changed.
pub(super) async fn changed(transaction: &mut TenantTransaction) -> Result<(), ApiError> {
    let tenant = transaction.tenant();
    transaction.changed(&Change::Tenant { tenant });
    Ok(())
}

pub(crate) async fn list(FromState(state): FromState<State>, _: Root, paging: Paging) -> Result<Response, ApiError> {
    let (tenants, total) = state.database.system().tenants(paging.page()).await?;
    Ok(paging.answer(&tenants, total))
}

pub(crate) async fn create(
    FromState(state): FromState<State>,
    _: Root,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let slug = fields.required("slug", "is required", |text| match is_slug(text) {
        true => Ok(text.to_owned()),
        false => Err("must be 1 to 63 lower-case letters, digits and inner hyphens"),
    });
    let name = fields.line("name", 200).value();
    fields.finish()?;
    let slug = slug.unwrap_or_default();
    let name = name.unwrap_or_else(|| slug.clone());
    match state.database.system().insert_tenant(&slug, &name, false, &Actor::Root).await {
        Ok(tenant) => Ok(created(tenant)),
        Err(error) if error.is_conflict("tenant_slug_taken") => {
            Err(ApiError::Conflict(format!("a tenant with the slug `{slug}` exists already; choose another")))
        }
        Err(error) => Err(error.into()),
    }
}

/// The tenant's id as the audit trail names it, however the path spelt it.
fn subject(tenant: &Tenant) -> String {
    format!("ten_{}", tenant.id)
}

async fn find(state: &State, id: &str) -> Result<Tenant, ApiError> {
    let id = id.strip_prefix("ten_").filter(|text| text.len() == 32);
    let id = id.and_then(|text| uuid::Uuid::try_parse(text).ok());
    let id = TenantId(id.ok_or(ApiError::NotFound("tenant"))?);
    state.database.system().tenant_by_id(id).await?.ok_or(ApiError::NotFound("tenant"))
}

pub(crate) async fn show(
    FromState(state): FromState<State>,
    _: Root,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    Ok(data(find(&state, &id).await?))
}

pub(crate) async fn patch(
    FromState(state): FromState<State>,
    _: Root,
    Path(id): Path<String>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let name = fields.has("name").then(|| fields.required_line("name", 200));
    fields.finish()?;
    let tenant = find(&state, &id).await?;
    let mut transaction = TenantTransaction::begin(&state.database, tenant.id, Actor::Root).await?;
    if let Some(name) = name {
        tenants::rename(&mut transaction, &name).await?;
        transaction.audit("tenant.update", &subject(&tenant), json!({"name": name}));
    }
    let after = tenants::own(&mut transaction).await?;
    transaction.commit().await?;
    Ok(data(after))
}

pub(crate) async fn suspend(
    FromState(state): FromState<State>,
    _: Root,
    Path(id): Path<String>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let reason = fields.line("reason", 500).value();
    fields.finish()?;
    set_status(&state, &id, "suspended", reason).await
}

pub(crate) async fn reactivate(
    FromState(state): FromState<State>,
    _: Root,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    set_status(&state, &id, "active", None).await
}

async fn set_status(state: &State, id: &str, status: &str, reason: Option<String>) -> Result<Response, ApiError> {
    let tenant = find(state, id).await?;
    let mut transaction = TenantTransaction::begin(&state.database, tenant.id, Actor::Root).await?;
    tenants::set_status(&mut transaction, status, reason.as_deref()).await?;
    changed(&mut transaction).await?;
    transaction.audit("tenant.status", &subject(&tenant), json!({"status": status, "reason": reason}));
    let after = tenants::own(&mut transaction).await?;
    transaction.commit().await?;
    Ok(data(after))
}
