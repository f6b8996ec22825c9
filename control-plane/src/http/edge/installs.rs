//! What Composer reported as installed.

use axum::Json;
use axum::extract::State as FromState;
use axum::http::StatusCode;
use cargoman_edge_protocol::InstallReport;

use super::Edge;
use crate::clock::now;
use crate::error::ApiError;
use crate::state::State;

pub(crate) async fn report(
    FromState(state): FromState<State>,
    _: Edge,
    Json(report): Json<InstallReport>,
) -> Result<StatusCode, ApiError> {
    if let Ok(token) = report.token.parse() {
        state.token_uses.note_id(report.tenant, token, now());
    }
    state.database.system().count_installs(&report, now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
