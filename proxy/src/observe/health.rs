//! `/healthz`: the process is alive. `/readyz`: it can serve, because the control plane answers it. On any host.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};

use crate::link::reading::Reading;
use crate::request::refuse::Refusal;
use crate::request::reply::{Body, Reply};

/// How such questions begin.
pub(crate) const PATHS: [&str; 2] = ["/healthz", "/readyz"];

/// The answer to a question about health; none if the path is no such question.
pub(crate) async fn answer(method: &Method, path: &str, reading: &Reading, draining: bool) -> Option<Reply> {
    let ready = match path {
        "/healthz" => true,
        "/readyz" => !draining && reading.probe().await.is_ok(),
        _ => return None,
    };
    if method != Method::GET && method != Method::HEAD {
        return Some(Refusal::Method { allow: "GET, HEAD" }.reply());
    }
    if !ready {
        return Some(Refusal::Unavailable.reply());
    }
    let mut reply = Reply::new(StatusCode::OK, Body::Bytes(Bytes::from_static(b"{\"status\":\"ok\"}")));
    reply.set(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply.set(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(reply)
}
