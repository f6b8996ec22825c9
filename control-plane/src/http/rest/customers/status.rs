//! `/customers/{id}/suspend`, `/reactivate`, `/expire`. Each touches one of his states and leaves the others beside it.

use axum::extract::State as FromState;
use axum::response::Response;
use cargoman_licence::EffectiveStatus;
use chrono::{DateTime, Utc};
use serde_json::json;

use super::{again, changed, lock};
use crate::clock::now;
use crate::domain::customer::Customer;
use crate::effect::{Consent, Watch};
use crate::error::ApiError;
use crate::http::consent::close;
use crate::http::envelope::data;
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::state::State;
use crate::store::customers as store;
use crate::store::{TenantTransaction, grants};

/// Suspends him. Suspended again he keeps the first date, for that is when he lapsed, and takes the new reason.
pub(crate) async fn suspend(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    consent: Consent,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let reason = fields.line("reason", 500).value();
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let before = lock(&mut transaction, &customer).await?;
    let watch = Watch::begin_end_of(&mut transaction, before.id, consent).await?;
    let at = before.suspended_at.unwrap_or_else(now);
    store::set_suspended(&mut transaction, before.id, Some(at), reason.as_deref()).await?;
    noted(transaction, watch, before, json!({"reason": reason})).await
}

/// Ends his time now.
pub(crate) async fn expire(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    consent: Consent,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let before = lock(&mut transaction, &customer).await?;
    let watch = Watch::begin_end_of(&mut transaction, before.id, consent).await?;
    // One that has passed stays: what was left at the lapse must not grow.
    let now = now();
    let at = before.expires_at.filter(|at| *at <= now).unwrap_or(now);
    store::set_end(&mut transaction, before.id, Some(at)).await?;
    noted(transaction, watch, before, json!({})).await
}

/// Lifts the state that is in force; the one below it comes forth. May set his end and move the limits of his grants too.
pub(crate) async fn reactivate(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    consent: Consent,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let now = now();
    let expires_at = fields.instant("expires_at");
    if matches!(expires_at, Patch::Set(at) if at <= now) {
        fields.refuse("expires_at", "must lie in the future: else he would expire at once; null takes his end away");
    }
    let updates_until = fields.instant("updates_until");
    if updates_until == Patch::Clear {
        fields.refuse("updates_until", "must be an instant; to take a limit away, change the grant");
    }
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let before = lock(&mut transaction, &customer).await?;
    let watch = Watch::begin(&mut transaction, before.id, consent).await?;
    lift(&mut transaction, &before, now).await?;
    if expires_at != Patch::Absent {
        store::set_end(&mut transaction, before.id, expires_at.clone().value()).await?;
    }
    let limits = match updates_until.value() {
        Some(until) => grants::move_limits(&mut transaction, before.id, until).await?,
        None => 0,
    };
    let detail = json!({"expires_at": expires_at.value(), "limits_moved": limits});
    noted(transaction, watch, before, detail).await
}

/// Lifts the topmost of his states and no other.
async fn lift(transaction: &mut TenantTransaction, before: &Customer, now: DateTime<Utc>) -> Result<(), ApiError> {
    match before.status(now) {
        EffectiveStatus::Suspended => store::set_suspended(transaction, before.id, None, None).await?,
        EffectiveStatus::Expired => store::set_end(transaction, before.id, None).await?,
        EffectiveStatus::Frozen => store::set_frozen(transaction, before.id, None).await?,
        EffectiveStatus::Active => {}
    }
    Ok(())
}

/// Notes what became of his status and answers with him.
async fn noted(
    mut transaction: TenantTransaction,
    watch: Watch,
    before: Customer,
    mut detail: serde_json::Value,
) -> Result<Response, ApiError> {
    let after = again(&mut transaction, before.id).await?.as_of(now());
    detail["before"] = json!(before.status(now()));
    detail["after"] = json!(after.status);
    changed(&mut transaction, before.id, "customer.status", detail).await?;
    close(watch, transaction, data(after)).await
}
