//! What is remembered of one request from its first byte to its line in the log, and the places where plugins join in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use cargoman_credential::Digest;
use cargoman_edge_protocol::{Host, TenantId};
use chrono::{DateTime, Utc};
use http::{HeaderMap, StatusCode};
use pingora::http::RequestHeader;

use super::admit::Admitted;
use super::refuse::Refusal;
use super::reply::{Body, Reply};
use super::{Parts, caught};
use crate::cache::access::Holding;
use crate::connection::Client;
use crate::observe::access_log::Line;
use crate::observe::counters::Resource;
use crate::observe::traces::Followed;
use crate::plugin::{Context, Outcome, Plugins, ReplyHead, RequestView, Stage, Verdict};
use crate::tls::Asked;

/// One request.
pub(crate) struct Visit {
    pub(crate) started: Instant,
    /// The same on the clock of the wall: what is good then is good for this request.
    pub(crate) began: DateTime<Utc>,
    pub(crate) draining: bool,
    /// A question of a balancer, many times a minute: not worth a line in the log.
    pub(crate) about_health: bool,
    pub(crate) resource: Resource,
    pub(crate) client: Option<Client>,
    pub(crate) listener: Option<SocketAddr>,
    /// Which name was asked for in the handshake, where there was one.
    pub(crate) asked_for: Option<Asked>,
    pub(crate) digest: Option<Digest>,
    /// Whose registry is asked.
    pub(crate) host: Option<Arc<Host>>,
    /// Whose token was shown, once it is known to be good.
    pub(crate) holding: Option<Arc<Holding>>,
    /// Set when the control plane answers.
    pub(crate) passed_to: Option<TenantId>,
    /// Instances of the control plane that could not be reached for it.
    pub(crate) upstreams_tried: usize,
    /// Set where it is traced.
    pub(crate) followed: Option<Followed>,
    request: Option<Arc<Admitted>>,
    context: Context,
}

impl Visit {
    pub(crate) fn new(started: Instant, began: DateTime<Utc>, draining: bool) -> Self {
        Self {
            started,
            began,
            draining,
            about_health: false,
            resource: Resource::default(),
            client: None,
            listener: None,
            asked_for: None,
            digest: None,
            host: None,
            holding: None,
            passed_to: None,
            upstreams_tried: 0,
            followed: None,
            request: None,
            context: Context::default(),
        }
    }

    /// Its tenant's short name, once it is known.
    pub(crate) fn tenant(&self) -> Option<&str> {
        match self.host.as_deref()? {
            Host::Tenant(tenant) => Some(&tenant.slug),
            Host::ZoneWithoutTenant => None,
        }
    }

    /// Remembers the canonical form.
    pub(crate) fn admitted(&mut self, request: Admitted) -> Arc<Admitted> {
        let request = Arc::new(request);
        self.request = Some(Arc::clone(&request));
        request
    }

    /// The canonical form, if the request has one.
    pub(crate) fn request(&self) -> Option<&Admitted> {
        self.request.as_deref()
    }

    /// What plugins for every tenant say.
    pub(crate) fn arrive(&mut self, plugins: &Plugins, head: &RequestHeader) -> Option<Reply> {
        self.ask(Stage::Arrival, plugins, head)
    }

    /// What plugins for this tenant say.
    pub(crate) fn enter_tenant(&mut self, plugins: &Plugins, head: &RequestHeader) -> Option<Reply> {
        self.ask(Stage::Tenant, plugins, head)
    }

    fn ask(&mut self, stage: Stage, plugins: &Plugins, head: &RequestHeader) -> Option<Reply> {
        let mut context = std::mem::take(&mut self.context);
        let verdict =
            self.view(plugins, head).map(|view| plugins.on_request(stage, self.listener, &view, &mut context));
        self.context = context;
        match verdict {
            None | Some(Verdict::Continue) => None,
            Some(Verdict::Refuse(refusal)) => Some(Refusal::from(refusal).reply()),
            Some(Verdict::Reply(answer)) => {
                let mut reply = Reply::new(answer.status, Body::Bytes(answer.body));
                reply.headers = fields(answer.headers);
                Some(reply)
            }
        }
    }

    /// Lets plugins change an answer of the edge.
    pub(crate) fn adjust(&mut self, plugins: &Plugins, head: &RequestHeader, reply: &mut Reply) {
        let Some(changes) = self.changes(plugins, head, reply.status) else { return };
        if let Some(refusal) = changes.instead {
            *reply = Refusal::from(refusal).reply();
        }
        for (name, value) in fields(changes.set) {
            reply.set(name, value);
        }
    }

    /// What plugins want changed in an answer of that status.
    pub(crate) fn changes(&mut self, plugins: &Plugins, head: &RequestHeader, status: StatusCode) -> Option<ReplyHead> {
        let mut context = std::mem::take(&mut self.context);
        let mut reply = ReplyHead { status, set: HeaderMap::new(), instead: None };
        let seen =
            self.view(plugins, head).map(|view| plugins.on_reply(self.listener, &view, &mut context, &mut reply));
        self.context = context;
        seen.map(|()| reply)
    }

    /// Tells plugins and the log what came of it.
    pub(crate) fn done(&mut self, parts: &Parts, head: &RequestHeader, status: Option<StatusCode>, bytes: u64) {
        let plugins = &parts.plugins;
        let took = self.started.elapsed();
        parts.counters.request(self.resource, status, bytes, took);
        let mut context = std::mem::take(&mut self.context);
        if let Some(view) = self.view(plugins, head) {
            // Over HTTP/2 the answers of others wait to be sent with this one.
            let told = || plugins.on_done(self.listener, &view, &mut context, &Outcome { status, bytes, took });
            caught(told).unwrap_or_default();
        }
        self.context = context;
        if let Some(followed) = self.followed.take() {
            followed.end(self, head, status, bytes);
        }
        if self.about_health {
            return;
        }
        let agent =
            head.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        parts.access_log.write(&Line {
            at: self.began + took,
            method: head.method.as_str(),
            host: self.request().map_or("", |request| request.host.as_str()),
            path: self.request().map_or("", |request| request.target.path()),
            client: self.client.map(|client| client.address),
            tenant: self.tenant(),
            customer: self.holding.as_ref().map(|holding| holding.customer.id.as_str()),
            token: self.holding.as_ref().map(|holding| holding.token_id()),
            user_agent: agent,
            status: status.map_or(0, |status| status.as_u16()),
            bytes,
            took,
        });
    }

    fn view<'a>(&'a self, plugins: &Plugins, head: &'a RequestHeader) -> Option<RequestView<'a>> {
        if plugins.is_empty() {
            return None;
        }
        let request = self.request()?;
        Some(RequestView {
            method: &request.method,
            host: request.host.as_str(),
            path: request.target.path(),
            client: self.client?.address,
            tenant: self.tenant(),
            token: self.digest.as_ref(),
            headers: &head.headers,
        })
    }
}

/// A map's fields one by one; of those that stand twice the last.
fn fields(map: HeaderMap) -> Vec<(http::HeaderName, http::HeaderValue)> {
    map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}
