//! `POST /customers/{id}/packages/preview`: what giving or replacing grants would do. It is done and rolled back, so that it says
//! what then happens.

use axum::extract::State as FromState;
use axum::response::Response;

use super::customers::grants::{self, replace};
use crate::effect::Consent;
use crate::error::ApiError;
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::state::State;

/// Takes the body of `POST /customers/{id}/packages`, one grant to give, or that of `PUT`, the list of all.
pub(crate) async fn grants(
    state: FromState<State>,
    operator: Operator,
    customer: Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let consent = Consent { dry_run: true, confirm: false };
    match fields.has("packages") {
        true => replace::replace(state, operator, customer, consent, fields).await,
        false => grants::add(state, operator, customer, consent, fields).await,
    }
}
