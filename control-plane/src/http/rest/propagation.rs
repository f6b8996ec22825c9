//! `/propagation/{seq}`: whether a change is effective by now.

use axum::extract::State as FromState;
use axum::response::Response;

use crate::error::ApiError;
use crate::http::envelope::data;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::propagation::shown;
use crate::state::State;

pub(crate) async fn show(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(seq): Path<String>,
) -> Result<Response, ApiError> {
    let missing = || ApiError::NotFound("change");
    let seq = seq.parse().map_err(|_| missing())?;
    let propagation = state.link.propagation(state.database.system(), operator.tenant, seq).await?;
    Ok(data(shown(&propagation.ok_or_else(missing)?)))
}
