//! `/customers/{id}/grants/{grant}/suspend` and `/reactivate`: a failed payment for one product does not touch the others.

use axum::extract::State as FromState;
use axum::response::Response;
use serde_json::json;

use super::{again, changed, lock, one};
use crate::clock::now;
use crate::domain::grant::GrantFields;
use crate::effect::{Consent, Watch};
use crate::error::ApiError;
use crate::http::consent::close;
use crate::http::envelope::data;
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::state::State;
use crate::store::grants as store;

/// Suspends it. Suspended again it keeps the first date, for that is when it lapsed, and takes the new reason.
pub(crate) async fn suspend(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, grant)): Path<(String, String)>,
    consent: Consent,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let reason = fields.line("reason", 500).value();
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let customer = lock(&mut transaction, &customer).await?;
    let before = one(&mut transaction, customer.id, &grant).await?;
    let watch = Watch::begin(&mut transaction, customer.id, consent).await?;
    let at = before.suspended_at.unwrap_or_else(now);
    store::set_suspended(&mut transaction, before.id, Some(at), reason.as_deref()).await?;
    let after = again(&mut transaction, customer.id, before.id).await?;
    changed(&mut transaction, customer.id, "grant.suspend", json!({"before": before, "after": after})).await?;
    close(watch, transaction, data(after)).await
}

/// Puts it in force again; may move its limit.
pub(crate) async fn reactivate(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, grant)): Path<(String, String)>,
    consent: Consent,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let updates_until = fields.instant("updates_until");
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let customer = lock(&mut transaction, &customer).await?;
    let before = one(&mut transaction, customer.id, &grant).await?;
    let watch = Watch::begin(&mut transaction, customer.id, consent).await?;
    store::set_suspended(&mut transaction, before.id, None, None).await?;
    if updates_until != Patch::Absent {
        let wanted = GrantFields { updates_until: updates_until.value(), ..GrantFields::from(&before) };
        store::update(&mut transaction, before.id, &wanted).await?;
    }
    let after = again(&mut transaction, customer.id, before.id).await?;
    changed(&mut transaction, customer.id, "grant.reactivate", json!({"before": before, "after": after})).await?;
    close(watch, transaction, data(after)).await
}
