//! `/customers/{id}/suspend`, `/reactivate`, `/expire`.

use axum::extract::State as FromState;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::json;

use super::{changed, lock};
use crate::clock::now;
use crate::error::ApiError;
use crate::http::envelope::data;
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::state::State;
use crate::store::customers as store;

pub(crate) async fn suspend(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let reason = fields.line("reason", 500).value();
    fields.finish()?;
    set(&state, &operator, &customer, "suspended", reason, |before| before).await
}

pub(crate) async fn expire(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    set(&state, &operator, &customer, "expired", None, |before| before).await
}

/// Makes him active again. An end that has passed is taken away unless a new one is given: else he would expire at once.
pub(crate) async fn reactivate(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let expires_at = fields.instant("expires_at");
    fields.finish()?;
    let end = |before: Option<DateTime<Utc>>| expires_at.over(before.filter(|at| *at > now()));
    set(&state, &operator, &customer, "active", None, end).await
}

async fn set(
    state: &State,
    operator: &Operator,
    customer: &str,
    status: &str,
    reason: Option<String>,
    end: impl FnOnce(Option<DateTime<Utc>>) -> Option<DateTime<Utc>>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(state).await?;
    let before = lock(&mut transaction, customer).await?;
    let expires_at = end(before.expires_at);
    let after = store::set_status(&mut transaction, before.id, status, reason.as_deref(), expires_at).await?;
    let detail = json!({"before": before.status, "after": status, "reason": reason});
    changed(&mut transaction, before.id, "customer.status", detail).await?;
    transaction.commit().await?;
    Ok(data(after.as_of(now())))
}
