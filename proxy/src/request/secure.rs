//! What TLS says about a request before anything of it is looked up: one without it is sent to the same address with it, and one on a
//! connection that was made for another name is answered by nobody (E-H12).

use std::net::IpAddr;

use http::{HeaderValue, StatusCode, header};

use super::admit::Admitted;
use super::reply::{Body, Reply};
use crate::connection::Client;
use crate::tls::Asked;

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

/// Whether a request came over a connection that was made for another name. A trusted proxy's connections are its own affair; whoever
/// was given an address names nobody in the handshake.
pub(crate) fn is_misdirected(asked: Option<&Asked>, client: Option<Client>, request: &Admitted) -> bool {
    let Some(Asked(asked)) = asked.filter(|_| client.is_none_or(|client| !client.proxied)) else { return false };
    let host = request.host.as_str();
    match asked {
        Some(name) => **name != *host,
        None => host.parse::<IpAddr>().is_err(),
    }
}
