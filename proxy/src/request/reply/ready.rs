//! Documents that are held ready: the bytes as Composer asks for them, and the heads of the answers that they can be.
//!
//! A document is held in one coding alone, gzip where that is smaller: with thousands of them memory is what they cost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::encoding::{self, Coding};
use super::{Body, Reply, conditional};
use crate::cache::Lost;
use crate::cache::views::Views;
use crate::connection;
use crate::request::admit::Conditions;
use crate::request::refuse::Refusal;

/// A document.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) id: DocumentId,
    date: HeaderValue,
    held: Whole,
    coding: Coding,
    /// Of the bytes as they are.
    length: usize,
    unchanged: Head,
}

/// Tells documents apart for as long as the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DocumentId(u64);

/// A document in one coding.
#[derive(Debug)]
pub(crate) struct Whole {
    head: Head,
    body: Bytes,
}

/// The head of an answer, made once.
pub(crate) type Head = Arc<connection::Head>;

impl Whole {
    fn new(date: &HeaderValue, body: Bytes, coding: Coding) -> Self {
        Self { head: whole(date, body.len(), coding), body }
    }

    fn reply(&self) -> Reply {
        Reply::ready(&self.head, Body::Bytes(self.body.clone()))
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.head.bytes() + self.body.len()
    }
}

impl Ready {
    /// From the bytes and their date.
    pub(crate) fn new(date: HeaderValue, identity: Bytes) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let length = identity.len();
        let (body, coding) = match encoding::gzip(&identity, LEVEL) {
            Some(gzip) => (gzip, Coding::Gzip),
            None => (identity, Coding::Identity),
        };
        Self {
            id: DocumentId(NEXT.fetch_add(1, Ordering::Relaxed)),
            held: Whole::new(&date, body, coding),
            coding,
            length,
            unchanged: Arc::new(connection::Head::new(StatusCode::NOT_MODIFIED, fields(&date))),
            date,
        }
    }

    /// What it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.date.len() + self.held.bytes() + self.unchanged.bytes()
    }

    /// 304, or whole in the coding that the client takes.
    pub(crate) async fn reply(self: &Arc<Self>, conditions: &Conditions, views: &Views) -> Result<Reply, Refusal> {
        if conditional::has_document(conditions, &self.date) {
            return Ok(Reply::ready(&self.unchanged, Body::None));
        }
        // What was not worth compressing is sent as it is to everybody.
        if self.coding == conditions.coding || self.coding == Coding::Identity {
            return Ok(self.held.reply());
        }
        let recoded = Box::pin(views.recoded(self, conditions.coding)).await;
        recoded.map(|whole| whole.reply()).map_err(|Lost| Refusal::Unavailable)
    }

    /// The same in another coding.
    pub(crate) fn recode(&self, coding: Coding) -> Result<Whole, Lost> {
        let identity = match self.coding {
            Coding::Gzip => encoding::gunzip(&self.held.body, self.length),
            _ => Some(self.held.body.clone()),
        };
        let body = identity.and_then(|identity| match coding {
            Coding::Identity => Some(identity),
            Coding::Gzip => Some(self.held.body.clone()),
            Coding::Zstd => encoding::zstd(&identity),
        });
        let Some(body) = body else {
            tracing::error!(target: "cargoman::edge", "a document cannot be recoded");
            return Err(Lost);
        };
        Ok(Whole::new(&self.date, body, coding))
    }
}

/// Small, as it is made once for many.
const LEVEL: i32 = 6;
/// Quick, as it is made for one.
const LEVEL_ONCE: i32 = 1;

/// The answer from a document that is made for one request.
pub(crate) fn once(conditions: &Conditions, date: &HeaderValue, identity: Bytes) -> Reply {
    if conditional::has_document(conditions, date) {
        return Reply::ready(&Arc::new(connection::Head::new(StatusCode::NOT_MODIFIED, fields(date))), Body::None);
    }
    let packed = match conditions.coding {
        Coding::Identity => None,
        Coding::Gzip => encoding::gzip(&identity, LEVEL_ONCE),
        Coding::Zstd => encoding::zstd_quickly(&identity),
    };
    match packed {
        Some(packed) => Whole::new(date, packed, conditions.coding).reply(),
        None => Whole::new(date, identity, Coding::Identity).reply(),
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
        if let Body::Bytes(body) = &reply.body {
            let mut fields = reply.headers.clone();
            fields.push((header::CONTENT_LENGTH, HeaderValue::from(body.len())));
            // Another thread may have been first, with the same.
            self.0.set((Arc::new(connection::Head::new(reply.status, fields)), body.clone())).ok();
        }
        reply
    }
}

fn whole(date: &HeaderValue, length: usize, coding: Coding) -> Head {
    let mut fields = fields(date);
    fields.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
    if let Some(coding) = coding.name() {
        fields.push((header::CONTENT_ENCODING, HeaderValue::from_static(coding)));
    }
    fields.push((header::CONTENT_LENGTH, HeaderValue::from(length)));
    Arc::new(connection::Head::new(StatusCode::OK, fields))
}

/// The fields of every answer.
fn fields(date: &HeaderValue) -> Vec<(HeaderName, HeaderValue)> {
    vec![
        (header::LAST_MODIFIED, date.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
        (header::VARY, HeaderValue::from_static("Authorization, Accept-Encoding")),
    ]
}
