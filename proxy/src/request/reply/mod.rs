//! Step 6: one file per kind of answer, and what they have in common.

pub(crate) mod conditional;
pub(crate) mod dist;
pub(crate) mod encoding;
pub(crate) mod installs;
pub(crate) mod list;
mod notices;
pub(crate) mod package;
pub(crate) mod providers;
pub(crate) mod range;
pub(crate) mod root;
pub(crate) mod search;

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::admit::Admitted;
use crate::link::usage::Due;

/// An answer, not yet written. `Content-Length` follows from the body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Body,
    /// Whether the connection ends with it.
    pub(crate) close: bool,
}

/// What follows the header.
#[derive(Debug)]
pub(crate) enum Body {
    /// Nothing, and no length either: 304.
    None,
    /// Bytes in memory.
    Bytes(Bytes),
    /// Part of a file; and what counts when the last of it goes out.
    File { file: Arc<File>, first: u64, length: u64, due: Option<Box<Due>> },
    /// What a HEAD request would have got with GET.
    Length(u64),
}

impl Reply {
    pub(crate) const fn new(status: StatusCode, body: Body) -> Self {
        Self { status, headers: Vec::new(), body, close: false }
    }

    /// Sets a field, in place of one that is there.
    pub(crate) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        match self.headers.iter_mut().find(|(there, _)| *there == name) {
            Some((_, there)) => *there = value,
            None => self.headers.push((name, value)),
        }
    }

    #[cfg(test)]
    pub(crate) fn field(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.iter().find(|(there, _)| there == name).map(|(_, value)| value)
    }
}

/// A JSON document with its date: whole, compressed, or 304.
pub(crate) fn document(request: &Admitted, date: &HeaderValue, identity: &Bytes, gzip: Option<&Bytes>) -> Reply {
    let mut reply = if conditional::has_document(&request.conditions, date) {
        Reply::new(StatusCode::NOT_MODIFIED, Body::None)
    } else {
        let packed = gzip.filter(|_| request.conditions.gzip);
        let mut reply = Reply::new(StatusCode::OK, Body::Bytes(packed.unwrap_or(identity).clone()));
        reply.set(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if packed.is_some() {
            reply.set(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        reply
    };
    reply.set(header::LAST_MODIFIED, date.clone());
    reply.set(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    reply.set(header::VARY, HeaderValue::from_static("Authorization, Accept-Encoding"));
    reply
}

/// A JSON document that is made for one request: dated by its bytes, and compressed quickly if at all.
pub(crate) fn fresh_document(
    request: &Admitted,
    tenant: cargoman_edge_protocol::TenantId,
    body: &serde_json::Value,
) -> Reply {
    let identity = Bytes::from(body.to_string());
    let date = conditional::last_modified(tenant, &dated_path(request), &identity);
    let gzip = if request.conditions.gzip { encoding::gzip(&identity, 1) } else { None };
    document(request, &date, &identity, gzip.as_ref())
}

/// Path and query: other questions to one path have other dates.
fn dated_path(request: &Admitted) -> String {
    match request.target.query() {
        Some(query) => format!("{}?{query}", request.target.path()),
        None => request.target.path().to_owned(),
    }
}
