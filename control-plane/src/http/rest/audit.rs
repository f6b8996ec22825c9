//! `/audit`: who did what, and the proof that nothing of it was changed since.

use axum::extract::State as FromState;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::json;

use crate::error::{ApiError, Detail};
use crate::http::envelope::{Paging, data};
use crate::http::operator::Operator;
use crate::state::State;
use crate::store::audit::{self as store, AuditFilter};

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let filter = filter(&paging)?;
    let mut transaction = operator.begin(&state).await?;
    let (entries, total) = store::list(&mut transaction, &filter, paging.page()).await?;
    Ok(paging.answer(&entries, total))
}

pub(crate) async fn verify(FromState(state): FromState<State>, operator: Operator) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    transaction.be_patient().await?;
    let proof = store::verify(&mut transaction).await?;
    Ok(data(json!({"valid": proof.broken_at.is_none(), "entries": proof.entries, "broken_at": proof.broken_at})))
}

fn filter(paging: &Paging) -> Result<AuditFilter, ApiError> {
    let query = paging.query();
    let mut problems = Vec::new();
    let mut refuse = |field: &str, message: &str| {
        problems.push(Detail { field: field.to_owned(), message: message.to_owned() });
    };
    for field in query.keys().filter(|field| !["actor", "action", "from", "to"].contains(field)) {
        refuse(field, "unknown parameter; remove it or check its spelling");
    }
    let mut instant = |name: &str| {
        let text = query.get(name)?;
        let instant = DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc));
        if instant.is_none() {
            refuse(name, "must be an instant such as 2026-01-31T12:00:00Z");
        }
        instant
    };
    let (from, to) = (instant("from"), instant("to"));
    let mut word = |name: &str| {
        let text = query.get(name)?;
        if text.contains('\0') {
            refuse(name, "must not contain a NUL");
        }
        Some((*text).to_owned())
    };
    let (actor, action) = (word("actor"), word("action"));
    if problems.is_empty() { Ok(AuditFilter { actor, action, from, to }) } else { Err(ApiError::Validation(problems)) }
}
