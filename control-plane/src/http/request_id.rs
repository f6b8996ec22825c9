//! Gives every request an id, which stands in the answer and in every log line about it.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

static HEADER: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) async fn give(request: Request, next: Next) -> Response {
    let id = uuid::Uuid::now_v7().as_simple().to_string();
    let span = tracing::info_span!("request", id, method = %request.method(), path = request.uri().path());
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER.clone(), value);
    }
    response
}
