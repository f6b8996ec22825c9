//! What plugins get to see.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use cargoman_credential::Digest;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// A request in canonical form.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a> {
    /// The method.
    pub method: &'a Method,
    /// The host, lower-case and without port.
    pub host: &'a str,
    /// The path, without query.
    pub path: &'a str,
    /// The client's address; of a trusted proxy's client if there is one.
    pub client: IpAddr,
    /// The tenant's slug, once it is known.
    pub tenant: Option<&'a str>,
    /// Digest of the token that was sent, if it was well-formed. Says nothing on whether it is good.
    pub token: Option<&'a Digest>,
    pub(crate) headers: &'a HeaderMap,
}

impl RequestView<'_> {
    /// A header field as sent; none for those that carry secrets.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        const SECRET: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];
        self.headers.get(name).filter(|_| !SECRET.contains(name))
    }
}

/// What came of a request.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// The status that was written; none when nothing was.
    pub status: Option<StatusCode>,
    /// Bytes of the answer's body that were sent.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
}

/// A place for what a plugin wants to remember between the steps of one request: one value per type.
#[derive(Default)]
pub struct Context {
    notes: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl Context {
    /// Remembers a value, in place of one of the same type.
    pub fn put<T: Any + Send + Sync>(&mut self, note: T) {
        self.notes.insert(TypeId::of::<T>(), Box::new(note));
    }

    /// The value of that type, if one was put.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.notes.get(&TypeId::of::<T>()).and_then(|note| note.downcast_ref())
    }
}
