//! Requests without TLS where there is TLS: they are sent to the same address with it, before anything of theirs is looked at.

use http::{HeaderValue, StatusCode, header};

use super::admit::Admitted;
use super::reply::{Body, Reply};
use crate::connection::Client;

/// Where clients without TLS are sent: the port that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) port: u16,
}

/// The answer to a client without TLS.
pub(crate) fn redirect(to: Option<Redirect>, client: Option<Client>, request: &Admitted) -> Option<Reply> {
    let to = to.filter(|_| client.is_some_and(|client| !client.secure))?;
    let (host, path) = (request.host.to_authority(), request.target.path());
    let port = if to.port == 443 { String::new() } else { format!(":{}", to.port) };
    let query = request.target.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::try_from(format!("https://{host}{port}{path}{query}")).ok()?;
    let mut reply = Reply::new(StatusCode::PERMANENT_REDIRECT, Body::Bytes(bytes::Bytes::new()));
    reply.set(header::LOCATION, location);
    reply.set(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(reply)
}
