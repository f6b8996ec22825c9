//! Documents that are held ready: the bytes in both codings, and the heads of all the answers that they can be.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;

use super::{Body, Reply, conditional};
use crate::connection;
use crate::request::admit::Conditions;
use crate::request::refuse::Refusal;

/// A document.
#[derive(Debug)]
pub(crate) struct Ready {
    date: HeaderValue,
    identity: (Head, Bytes),
    gzip: Option<(Head, Bytes)>,
    unchanged: Head,
}

/// The head of an answer, made once.
pub(crate) type Head = Arc<connection::Head>;

/// Room for the fields that Pingora and plugins add.
const FIELDS: usize = 10;

impl Ready {
    /// From the bytes and their date.
    pub(crate) fn new(date: HeaderValue, identity: Bytes, gzip: Option<Bytes>) -> pingora::Result<Self> {
        Ok(Self {
            identity: (whole(&date, identity.len(), None)?, identity),
            gzip: gzip.map(|gzip| whole(&date, gzip.len(), Some("gzip")).map(|head| (head, gzip))).transpose()?,
            unchanged: Arc::new(connection::Head::new(head(StatusCode::NOT_MODIFIED, &date)?)),
            date,
        })
    }

    /// What it takes in memory.
    pub(crate) fn size(&self) -> usize {
        // A head is a few small allocations.
        3 * 1_024 + self.identity.1.len() + self.gzip.as_ref().map_or(0, |(_, bytes)| bytes.len())
    }

    /// Whole, compressed, or 304.
    pub(crate) fn reply(&self, conditions: &Conditions) -> Reply {
        if conditional::has_document(conditions, &self.date) {
            return Reply::ready(&self.unchanged, Body::None);
        }
        let (head, bytes) = self.gzip.as_ref().filter(|_| conditions.gzip).unwrap_or(&self.identity);
        Reply::ready(head, Body::Bytes(bytes.clone()))
    }
}

/// The answer from a document that is made for one request.
pub(crate) fn once(conditions: &Conditions, date: HeaderValue, identity: Bytes, gzip: Option<Bytes>) -> Reply {
    match Ready::new(date, identity, gzip) {
        Ok(ready) => ready.reply(conditions),
        // Constant names and values that were checked before: as unlikely as it is harmless.
        Err(_) => Refusal::Unavailable.reply(),
    }
}

/// An answer that is always the same, made at its first time.
pub(crate) struct Constant(OnceLock<(Head, Bytes)>);

impl Constant {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The answer; `make` must give the same each time.
    pub(crate) fn reply(&self, make: impl FnOnce() -> Reply) -> Reply {
        if let Some((head, body)) = self.0.get() {
            return Reply::ready(head, Body::Bytes(body.clone()));
        }
        let reply = make();
        if let (Body::Bytes(body), Ok(head)) = (&reply.body, head_of(&reply)) {
            // Another thread may have been first, with the same.
            self.0.set((Arc::new(connection::Head::new(head)), body.clone())).ok();
        }
        reply
    }
}

fn head_of(reply: &Reply) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build_no_case(reply.status, Some(FIELDS))?;
    for (name, value) in &reply.headers {
        head.insert_header(name.clone(), value.clone())?;
    }
    head.insert_header(header::CONTENT_LENGTH, reply.length().unwrap_or(0))?;
    Ok(head)
}

fn whole(date: &HeaderValue, length: usize, coding: Option<&'static str>) -> pingora::Result<Head> {
    let mut head = head(StatusCode::OK, date)?;
    head.insert_header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
    if let Some(coding) = coding {
        head.insert_header(header::CONTENT_ENCODING, HeaderValue::from_static(coding))?;
    }
    head.insert_header(header::CONTENT_LENGTH, length)?;
    Ok(Arc::new(connection::Head::new(head)))
}

/// The fields of every answer.
fn head(status: StatusCode, date: &HeaderValue) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build_no_case(status, Some(FIELDS))?;
    head.insert_header(header::LAST_MODIFIED, date)?;
    head.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))?;
    head.insert_header(header::VARY, HeaderValue::from_static("Authorization, Accept-Encoding"))?;
    Ok(head)
}
