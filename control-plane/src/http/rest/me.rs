//! `/me`: who is this credential?

use axum::response::Response;
use serde_json::json;

use crate::http::envelope::data;
use crate::http::operator::Root;

pub(crate) async fn show(_: Root) -> Response {
    data(json!({"kind": "root", "level": "owner"}))
}
