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
pub(crate) mod ready;
pub(crate) mod root;
pub(crate) mod search;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use self::ready::Head;
use super::admit::Admitted;
use crate::cache::dists::Archive;
use crate::link::usage::Due;

/// An answer, not yet written. `Content-Length` follows from the body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// Fields that are there already, the length among them.
    pub(crate) head: Option<Head>,
    /// Fields that come to them, or in their place.
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
    /// Part of an archive; and what counts when the last of it goes out.
    File { archive: Archive, first: u64, length: u64, due: Option<Box<Due>> },
    /// What a HEAD request would have got with GET.
    Length(u64),
}

impl Reply {
    pub(crate) const fn new(status: StatusCode, body: Body) -> Self {
        Self { status, head: None, headers: Vec::new(), body, close: false }
    }

    /// With a head that is held ready.
    pub(crate) fn ready(head: &Head, body: Body) -> Self {
        Self { head: Some(Arc::clone(head)), ..Self::new(head.status, body) }
    }

    /// Sets a field, in place of one that is there.
    pub(crate) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        match self.headers.iter_mut().find(|(there, _)| *there == name) {
            Some((_, there)) => *there = value,
            None => self.headers.push((name, value)),
        }
    }

    /// What stands in `Content-Length`; none where nothing does.
    pub(crate) fn length(&self) -> Option<u64> {
        match &self.body {
            Body::None => None,
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::File { length, .. } | Body::Length(length) => Some(*length),
        }
    }

    #[cfg(test)]
    pub(crate) fn field(&self, name: &HeaderName) -> Option<&HeaderValue> {
        let own = self.headers.iter().find(|(there, _)| there == name).map(|(_, value)| value);
        own.or_else(|| self.head.as_ref()?.field(name))
    }
}

/// A JSON document that is made for one request: dated by its bytes, and compressed quickly if at all.
pub(crate) fn fresh_document(
    request: &Admitted,
    tenant: cargoman_edge_protocol::TenantId,
    body: &serde_json::Value,
) -> Reply {
    let identity = Bytes::from(body.to_string());
    let date = conditional::last_modified(tenant, &dated_path(request), &identity);
    ready::once(&request.conditions, &date, identity)
}

/// Path and query: other questions to one path have other dates.
fn dated_path(request: &Admitted) -> String {
    match request.target.query() {
        Some(query) => format!("{}?{query}", request.target.path()),
        None => request.target.path().to_owned(),
    }
}
