//! Documents that are held ready: the bytes in both codings, and the heads of all the answers that they can be.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;

use super::{Body, Reply, conditional};
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
pub(crate) type Head = Arc<ResponseHeader>;

/// Room for the fields that Pingora and plugins add.
const FIELDS: usize = 10;

impl Ready {
    /// From the bytes and their date.
    pub(crate) fn new(date: HeaderValue, identity: Bytes, gzip: Option<Bytes>) -> pingora::Result<Self> {
        Ok(Self {
            identity: (whole(&date, identity.len(), None)?, identity),
            gzip: gzip.map(|gzip| whole(&date, gzip.len(), Some("gzip")).map(|head| (head, gzip))).transpose()?,
            unchanged: Arc::new(head(StatusCode::NOT_MODIFIED, &date)?),
            date,
        })
    }

    /// What it takes in memory.
    pub(crate) fn size(&self) -> usize {
        // A head is a few small allocations.
        3 * 512 + self.identity.1.len() + self.gzip.as_ref().map_or(0, |(_, bytes)| bytes.len())
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

fn whole(date: &HeaderValue, length: usize, coding: Option<&'static str>) -> pingora::Result<Head> {
    let mut head = head(StatusCode::OK, date)?;
    head.insert_header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
    if let Some(coding) = coding {
        head.insert_header(header::CONTENT_ENCODING, HeaderValue::from_static(coding))?;
    }
    head.insert_header(header::CONTENT_LENGTH, length)?;
    Ok(Arc::new(head))
}

/// The fields of every answer.
fn head(status: StatusCode, date: &HeaderValue) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build_no_case(status, Some(FIELDS))?;
    head.insert_header(header::LAST_MODIFIED, date)?;
    head.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))?;
    head.insert_header(header::VARY, HeaderValue::from_static("Authorization, Accept-Encoding"))?;
    Ok(head)
}
