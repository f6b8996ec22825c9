//! `/settings`: a tenant's choices.

use axum::extract::State as FromState;
use axum::response::Response;
use cargoman_edge_protocol::Source;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::http::envelope::data;
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::state::State;
use crate::store::tenants;

pub(crate) async fn show(FromState(state): FromState<State>, operator: Operator) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    Ok(data(tenants::settings(&mut transaction).await?))
}

pub(crate) async fn patch(
    FromState(state): FromState<State>,
    operator: Operator,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let source = fields.string("source", |text| match text {
        "hide" => Ok(Source::Hide),
        "show" => Ok(Source::Show),
        _ => Err("must be hide or show"),
    });
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    // Locks the tenant: of two changes at once neither undoes the other.
    tenants::touch(&mut transaction).await?;
    let mut settings = tenants::settings(&mut transaction).await?;
    match source {
        Patch::Absent => {}
        Patch::Clear => settings.source = Source::default(),
        Patch::Set(value) => settings.source = value,
    }
    tenants::set_settings(&mut transaction, &settings).await?;
    super::tenants::changed(&mut transaction).await?;
    let detail: Value = json!({"settings": settings});
    transaction.audit("settings.update", "settings", detail).await?;
    transaction.commit().await?;
    Ok(data(settings))
}
