//! Pingora's hooks, each a few lines: what they do stands in `request/`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cargoman_edge_protocol::{EDGE_CREDENTIAL_HEADER, EDGE_TENANT_HEADER};
use http::{HeaderName, HeaderValue, header};
use ipnet::IpNet;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::server::ShutdownWatch;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, OrErr, Result};
use url::Url;

use crate::config::{EdgeConfig, EdgeCredential, Limits};
use crate::connection;
use crate::observe::traces::Followed;
use crate::request::admit::Fault;
use crate::request::refuse::Refusal;
use crate::request::visit::Visit;
use crate::request::write::SLOWEST;
use crate::request::{Answer, Parts, answer, write};
use crate::tls;

/// The longest that the control plane may think: a sync that is waited for takes 300 s at most.
const UPSTREAM_SILENCE: Duration = Duration::from_secs(330);

/// The edge as Pingora sees it.
pub(crate) struct EdgeProxy {
    pub(crate) parts: Arc<Parts>,
    stopping: ShutdownWatch,
    limits: Limits,
    trusted_proxies: Vec<IpNet>,
    upstreams: Vec<Url>,
    /// The one that could be reached last.
    preferred: AtomicUsize,
    credential: EdgeCredential,
}

impl EdgeProxy {
    pub(crate) fn new(config: &EdgeConfig, parts: Arc<Parts>, stopping: ShutdownWatch) -> Self {
        Self {
            parts,
            stopping,
            limits: config.limits.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            upstreams: config.control_plane.public_urls.clone(),
            preferred: AtomicUsize::new(0),
            credential: config.control_plane.credential.clone(),
        }
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

#[async_trait]
impl ProxyHttp for EdgeProxy {
    type CTX = Visit;

    fn new_ctx(&self) -> Visit {
        Visit::new(Instant::now(), (self.parts.now)(), *self.stopping.borrow())
    }

    /// None: answers are compressed beforehand, and the default module would cost an allocation per request.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, visit: &mut Visit) -> Result<()> {
        // Parsing a request resets the time an idle connection has to "for ever"; where it is off it stays off.
        if session.get_keepalive().is_some() {
            let keep = (!self.is_stopping()).then_some(self.limits.keep_alive.as_secs());
            session.set_keepalive(keep);
        }
        session.set_read_timeout(Some(self.limits.stall));
        session.set_write_timeout(Some(self.limits.stall));
        session.set_min_send_rate(Some(SLOWEST));
        let tls = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        let peer = session.client_addr().and_then(|address| address.as_inet());
        visit.client = connection::client(peer, tls, &session.req_header().headers, &self.trusted_proxies);
        let proxy = session.digest().and_then(|digest| digest.proxy_digest.as_deref());
        visit.asked_for = tls::asked(proxy).cloned();
        visit.listener = session.server_addr().and_then(|address| address.as_inet()).copied();
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, visit: &mut Visit) -> Result<bool> {
        match answer(&self.parts, visit, session).await {
            Answer::PassThrough(tenant) => {
                visit.passed_to = Some(tenant);
                Ok(false)
            }
            Answer::Reply(mut reply) => {
                // Asked before the stop, answered after it.
                reply.close |= self.is_stopping();
                if let Err(error) = write::write(session, reply).await {
                    write::abandon(session, &error).await;
                }
                Ok(true)
            }
        }
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut Visit) -> Result<Box<HttpPeer>> {
        let unknown = || Error::explain(ErrorType::ConnectError, "the control plane's address is unknown").into_up();
        let upstream = self.preferred.load(Ordering::Relaxed) % self.upstreams.len().max(1);
        let upstream = self.upstreams.get(upstream).ok_or_else(unknown)?;
        let (host, port) = upstream.host_str().zip(upstream.port_or_known_default()).ok_or_else(unknown)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let mut addresses = tokio::net::lookup_host((bare, port)).await.map_err(|_| unknown())?;
        let address = addresses.next().ok_or_else(unknown)?;
        let mut peer = Box::new(HttpPeer::new(address, upstream.scheme() == "https", host.to_owned()));
        peer.options.connection_timeout = Some(Duration::from_secs(3));
        peer.options.total_connection_timeout = Some(Duration::from_secs(5));
        peer.options.read_timeout = Some(UPSTREAM_SILENCE);
        peer.options.write_timeout = Some(self.limits.stall);
        peer.options.idle_timeout = Some(Duration::from_secs(50));
        Ok(peer)
    }

    /// Nothing was sent yet: the next instance is as good.
    fn fail_to_connect(&self, _: &mut Session, _: &HttpPeer, visit: &mut Visit, mut error: Box<Error>) -> Box<Error> {
        visit.upstreams_tried += 1;
        if visit.upstreams_tried < self.upstreams.len() {
            self.preferred.fetch_add(1, Ordering::Relaxed);
            error.set_retry(true);
        }
        error
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        visit: &mut Visit,
    ) -> Result<()> {
        strip_internal(request);
        let (Some(tenant), Some(admitted)) = (visit.passed_to, visit.request()) else {
            return Error::e_explain(ErrorType::InternalError, "a request without a tenant must not be passed on");
        };
        let host = admitted.host.to_authority();
        let mut credential =
            HeaderValue::try_from(self.credential.expose()).or_err(ErrorType::InternalError, "credential")?;
        credential.set_sensitive(true);
        request.insert_header(EDGE_CREDENTIAL_HEADER, credential)?;
        request.insert_header(EDGE_TENANT_HEADER, tenant.to_string())?;
        for (name, value) in visit.followed.iter().flat_map(Followed::fields) {
            request.insert_header(name, value)?;
        }
        request.insert_header(header::HOST, host.as_str())?;
        request.insert_header("x-forwarded-host", host)?;
        request.remove_header("forwarded");
        request.remove_header("x-forwarded-for");
        request.remove_header("x-forwarded-proto");
        if let Some(client) = visit.client {
            request.insert_header("x-forwarded-for", client.address.to_string())?;
            request.insert_header("x-forwarded-proto", if client.secure { "https" } else { "http" })?;
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        visit: &mut Visit,
    ) -> Result<()> {
        if self.is_stopping() {
            session.set_keepalive(None);
        }
        if let Some(changes) = visit.changes(&self.parts.plugins, session.req_header(), response.status) {
            for (name, value) in &changes.set {
                response.insert_header(name.clone(), value.clone())?;
            }
        }
        Ok(())
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, visit: &mut Visit) -> FailToProxy {
        let by_client = *error.esource() == ErrorSource::Downstream;
        let broken =
            matches!(error.etype(), ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed);
        if (by_client && broken) || session.response_written().is_some() {
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        }
        let refusal = match error.etype() {
            ErrorType::ReadTimedout if by_client => Refusal::BodyLate,
            _ if by_client => Refusal::Fault(Fault::Body),
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => Refusal::UpstreamUnavailable { timed_out: true },
            _ => Refusal::UpstreamUnavailable { timed_out: false },
        };
        let mut reply = refusal.reply();
        reply.close = true;
        visit.adjust(&self.parts.plugins, session.req_header(), &mut reply);
        if let Err(error) = write::write(session, reply).await {
            write::abandon(session, &error).await;
        }
        FailToProxy { error_code: refusal.status().as_u16(), can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, visit: &mut Visit) {
        let status = session.response_written().map(|response| response.status);
        let bytes = session.body_bytes_sent() as u64;
        visit.done(&self.parts, session.req_header(), status, bytes);
    }

    fn suppress_error_log(&self, _: &Session, _: &Visit, error: &Error) -> bool {
        *error.esource() == ErrorSource::Downstream
    }
}

/// Names that only we may use: a client's `X-Cargoman-…` goes no further.
fn strip_internal(request: &mut RequestHeader) {
    let internal = |name: &&HeaderName| name.as_str().starts_with("x-cargoman-");
    let names: Vec<HeaderName> = request.headers.keys().filter(internal).cloned().collect();
    for name in names {
        request.remove_header(&name);
    }
}
