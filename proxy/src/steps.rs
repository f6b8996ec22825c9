//! The pure steps of a request one by one, for `cargo bench -p cargoman-proxy --features steps`. No part of the edge: without the
//! feature it does not exist.

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use http::HeaderValue;
use pingora::http::RequestHeader;

use crate::connection::{head, wire};
use crate::request::admit::{self, Admitted};
use crate::request::authenticate::Credential;
use crate::request::refuse::Refusal;
use crate::request::reply::Reply;
use crate::request::reply::encoding;
use crate::request::reply::ready;
use crate::request::route::Route;

/// A request on its way, with what each step leaves to the next.
pub struct Steps {
    raw: Bytes,
    head: RequestHeader,
    admitted: Admitted,
    document: Bytes,
    now: DateTime<Utc>,
}

impl Steps {
    /// From the bytes of a head, and the document that is asked for. None when the head cannot be read.
    #[must_use]
    pub fn new(raw: &[u8], document: &[u8]) -> Option<Self> {
        let head = head::take(&mut BytesMut::from(raw)).ok()??.request;
        let admitted = admit::admit(&head).ok()?;
        let (raw, document) = (Bytes::copy_from_slice(raw), Bytes::copy_from_slice(document));
        Some(Self { raw, head, admitted, document, now: DateTime::UNIX_EPOCH })
    }

    /// The head from its bytes.
    pub fn read_head(&self) -> usize {
        head::take(&mut BytesMut::from(&*self.raw)).map_or(0, |head| head.map_or(0, |head| head.request.headers.len()))
    }

    /// The canonical form.
    pub fn admit(&self) -> usize {
        admit::admit(&self.head).map_or(0, |admitted| admitted.target.path().len())
    }

    /// The route.
    pub fn route(&self) -> usize {
        Route::of(&self.admitted.target).resource() as usize
    }

    /// The token's digest.
    pub fn credential(&self) -> usize {
        let credential = Credential::read(self.admitted.authorization.as_ref());
        credential.digest().map_or(0, |digest| digest.as_bytes().len())
    }

    /// A refusal that is held ready, as bytes.
    pub fn write_refusal(&self, out: &mut BytesMut) -> usize {
        self.write(&Refusal::Unauthorized.reply(), out)
    }

    /// The head of a document that is held ready, as bytes.
    pub fn write_document(&self, reply: &Document, out: &mut BytesMut) -> usize {
        self.write(&reply.0, out)
    }

    /// Such a document.
    pub fn document(&self) -> Document {
        Document(ready::once(&self.admitted.conditions, &HeaderValue::from_static("x"), self.document.clone()))
    }

    /// The document compressed.
    pub fn compress(&self) -> usize {
        encoding::gzip(&self.document, 6).map_or(0, |packed| packed.len())
    }

    fn write(&self, reply: &Reply, out: &mut BytesMut) -> usize {
        out.clear();
        wire::head(out, reply, self.now);
        out.len()
    }
}

/// A document that is held ready.
pub struct Document(Reply);
