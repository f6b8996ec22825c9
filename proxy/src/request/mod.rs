//! What happens to a request: [`answer`] is the steps as one straight function, one file each.

pub(crate) mod admit;
pub(crate) mod authenticate;
pub(crate) mod authorize;
pub(crate) mod bearer;
mod host;
pub(crate) mod refuse;
pub(crate) mod reply;
pub(crate) mod route;
pub(crate) mod secure;
pub(crate) mod segment;
pub(crate) mod target;
mod tenant;
pub(crate) mod visit;
pub(crate) mod write;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::{Access, TenantId};
use chrono::{DateTime, Utc};
use http::header::CONTENT_ENCODING;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use self::authenticate::Credential;
use self::bearer::Bearer;
use self::refuse::Refusal;
use self::reply::Reply;
use self::route::Route;
use self::secure::Redirect;
use self::visit::Visit;
use crate::cache::dists::Dists;
use crate::cache::roots::{Chosen, Roots};
use crate::cache::stamps::{Stamp, Stamps};
use crate::cache::views::Views;
use crate::link::reading::{Found, Needed, Reading, SoFar, WhichPackages};
use crate::link::spool::Spool;
use crate::link::token_uses::TokenUses;
use crate::link::usage::Meter;
use crate::observe::access_log::AccessLog;
use crate::observe::counters::{Counters, Event, Resource};
use crate::observe::health;
use crate::observe::traces::{Followed, Traces};
use crate::plugin::Plugins;

/// What answers are made from; one per edge.
pub(crate) struct Parts {
    pub(crate) reading: Reading,
    pub(crate) views: Arc<Views>,
    pub(crate) dists: Dists,
    pub(crate) spool: Arc<Spool>,
    pub(crate) uses: Arc<TokenUses>,
    pub(crate) plugins: Plugins,
    pub(crate) access_log: Arc<AccessLog>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) traces: Option<Arc<Traces>>,
    pub(crate) now: fn() -> DateTime<Utc>,
}

/// Named to the control plane for a host of the zone that has no tenant; no tenant has this id.
const NO_TENANT: TenantId = TenantId(uuid::Uuid::nil());

/// What becomes of a request.
pub(crate) enum Answer {
    /// The edge answers.
    Reply(Reply),
    /// The control plane answers, for this tenant.
    PassThrough(TenantId),
}

/// A request as it is asked, over whichever protocol.
pub(crate) trait Asking: Send {
    /// Its head.
    fn head(&self) -> &RequestHeader;

    /// Its body, of at most so many bytes.
    fn body(&mut self, most: usize) -> impl Future<Output = Result<bytes::Bytes, Refusal>> + Send;
}

impl Asking for Session {
    fn head(&self) -> &RequestHeader {
        self.req_header()
    }

    async fn body(&mut self, most: usize) -> Result<bytes::Bytes, Refusal> {
        write::read_body(self, most).await
    }
}

/// Answers a request, or says that the control plane will.
pub(crate) async fn answer(parts: &Parts, visit: &mut Visit, asked: &mut impl Asking) -> Answer {
    let followed = parts.traces.as_ref().and_then(|traces| traces.begin(visit, asked.head()));
    visit.followed.clone_from(&followed);
    let stepped = {
        let mut steps = pin!(steps(parts, visit, asked));
        poll_fn(|cx| {
            let _within = followed.as_ref().map(Followed::enter);
            caught(|| steps.as_mut().poll(cx)).map_or(Poll::Ready(Err(Refusal::Failed)), |polled| polled)
        })
        .await
    };
    let mut answer = stepped.unwrap_or_else(|refusal| Answer::Reply(refusal.reply()));
    if let Answer::Reply(reply) = &mut answer
        && caught(|| visit.adjust(&parts.plugins, asked.head(), reply)).is_none()
    {
        *reply = Refusal::Failed.reply();
    }
    answer
}

/// None when it panics: nothing was sent yet, so that a fault of a plugin's or of ours can be answered. It was counted and logged where
/// it arose (E-R16). What it left behind goes with the request; what requests share is behind locks that forgive it.
pub(crate) fn caught<T>(doing: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(doing)).ok()
}

async fn steps(parts: &Parts, visit: &mut Visit, asked: &mut impl Asking) -> Result<Answer, Refusal> {
    if let Some(reply) = health(parts, visit, asked.head()).await {
        (visit.about_health, visit.resource) = (true, Resource::Health);
        return Ok(Answer::Reply(reply));
    }
    // 1 Grammar.
    let request = visit.admitted(admit::admit(asked.head()).map_err(Refusal::Fault)?);
    if let Some(reply) = secure::redirect(parts.redirect, visit.client, &request) {
        return Ok(Answer::Reply(reply));
    }
    if secure::is_misdirected(visit.asked_for.as_ref(), visit.client, &request) {
        return Err(Refusal::Misdirected);
    }
    let credential = Credential::read(request.authorization.as_ref());
    visit.digest = credential.digest();
    if let Some(reply) = visit.arrive(&parts.plugins, asked.head()) {
        return Ok(Answer::Reply(reply));
    }
    let route = Route::of(&request.target);
    visit.resource = route.resource();
    if let Some(allow) = route.allow().filter(|_| !route.takes(&request.method)) {
        return Err(Refusal::Method { allow });
    }
    // Without a token the host's being ours is all there is to know.
    if credential == Credential::None && route != Route::PassThrough && parts.reading.has_seen(request.host.as_str()) {
        return Err(Refusal::Unauthorized);
    }
    // 2 to 4 Whose registry, which route, whose token: from one read that began after the request came in.
    let digest = credential.digest().filter(|_| route != Route::PassThrough);
    let began = visit.began;
    let chosen = Chosen::default();
    let packages = |so_far: SoFar<'_>| packages(&route, so_far, began, (&parts.views.roots, &chosen));
    // Before anything is read: what comes later is no part of what is made from it.
    let reached = parts.reading.reached();
    let needed = needed(&route, &packages);
    let found = parts.reading.read(began, request.host.as_str(), digest, needed).await.map_err(|error| {
        tracing::warn!(target: "cargoman::edge", %error, "facts could not be read");
        Refusal::Unavailable
    })?;
    parts.counters.count(if found.waited { Event::FactsAsked } else { Event::FactsKnown });
    let tenant = match tenant::of(found.host.as_deref()) {
        // The control plane refuses it as it refuses a bad credential on a tenant's host: names of tenants cannot be found by
        // trying, and the two take the same way.
        Err(Refusal::Unauthorized) if route == Route::PassThrough => return Ok(Answer::PassThrough(NO_TENANT)),
        tenant => tenant?,
    };
    visit.host.clone_from(&found.host);
    if let Some(reply) = visit.enter_tenant(&parts.plugins, asked.head()) {
        return Ok(Answer::Reply(reply));
    }
    if route == Route::PassThrough {
        return Ok(Answer::PassThrough(tenant.id));
    }
    // Facts may have been waited for, and a token may have come to its end meanwhile.
    let now = if found.waited { (parts.now)() } else { began };
    let holding = found.access.as_ref().map(|known| &*known.value);
    let holding = authenticate::access(holding, now)?;
    let access: &Access = holding;
    visit.holding = found.access.as_ref().map(|known| Arc::clone(&known.value));
    let address = visit.client.map(|client| client.address);
    if holding.is_news(now, address) {
        parts.uses.note(tenant.id, holding.token_id(), now, address);
    }
    // 5 and 6 Whether he may, and what he gets.
    let (token_id, rights) = (holding.token_id(), holding.rights(now));
    let bearer = Bearer { tenant, access, held: &found.held, token_id, rights, now };
    authorize::enter(&bearer)?;
    if route == Route::Root {
        // The rights of a token that is new here have their name only now.
        let so_far = SoFar { tenant, holding: Some(holding), held: &found.held, stamps: parts.reading.stamps_held() };
        if let Some(root) = chosen.take().or_else(|| reply::root::kept(so_far, now, &parts.views.roots)) {
            return root.reply(&request.conditions, &parts.views).await.map(Answer::Reply);
        }
    }
    let body = match route {
        Route::Installs if asked.head().headers.contains_key(CONTENT_ENCODING) => return Err(Refusal::BodyCoded),
        Route::Installs => Box::pin(asked.body(reply::installs::MOST_BYTES)).await?,
        _ => bytes::Bytes::new(),
    };
    let meter = Meter { spool: &parts.spool, address, headers: &asked.head().headers };
    let kept_as = reached.zip(parts.reading.stamps_held());
    reply(parts, &request, &route, &bearer, (&found, kept_as), (&body, meter)).await.map(Answer::Reply)
}

async fn reply(
    parts: &Parts,
    request: &admit::Admitted,
    route: &Route,
    bearer: &Bearer<'_>,
    (found, reached): (&Found, Option<(Stamp, &Stamps)>),
    (body, meter): (&[u8], Meter<'_>),
) -> Result<Reply, Refusal> {
    Ok(match route {
        Route::Root => {
            parts.counters.count(Event::RootMade);
            reply::root::answer(request, bearer, (found, reached), &parts.views).await?
        }
        Route::Package { name, file } => {
            reply::package::answer(request, bearer, (name, *file), found.package(name), &parts.views).await?
        }
        Route::Dist { name, version, reference } => {
            let package = found.package(name).map(|known| &*known.value);
            let from = (&parts.dists, meter);
            Box::pin(reply::dist::answer(request, bearer, package, (version, reference), from)).await?
        }
        Route::List => reply::list::answer(request, bearer, &found.all()),
        Route::Search => reply::search::answer(request, bearer, &found.all()),
        Route::Providers { name } => reply::providers::answer(request, bearer, name, &found.all()),
        Route::Installs => Box::pin(reply::installs::answer(bearer, body, meter)).await?,
        Route::Nowhere | Route::PassThrough => return Err(Refusal::NotFound),
    })
}

/// What an answer is made from.
fn needed<'a>(route: &Route, packages: &'a WhichPackages<'a>) -> Needed<'a> {
    let collections = !matches!(route, Route::Nowhere | Route::PassThrough);
    let directory = matches!(route, Route::Root | Route::List | Route::Search | Route::Providers { .. });
    Needed { collections, directory, packages }
}

/// The packages among it.
fn packages(
    route: &Route,
    so_far: SoFar<'_>,
    now: DateTime<Utc>,
    (roots, chosen): (&Roots, &Chosen),
) -> Vec<PackageName> {
    let SoFar { holding, held, .. } = so_far;
    match (route, holding.map(|holding| &**holding)) {
        // What is not his is not looked up: a name that is there would be answered sooner than one that is not (E-E4).
        (Route::Package { name, .. } | Route::Dist { name, .. }, Some(access))
            if !bearer::has_grant(access, held, name) =>
        {
            Vec::new()
        }
        (Route::Package { name, .. } | Route::Dist { name, .. }, _) => vec![name.clone()],
        (Route::Root, Some(access)) => {
            let root = reply::root::kept(so_far, now, roots);
            let is_there = root.is_some();
            chosen.set(root);
            if is_there { Vec::new() } else { reply::root::packages(so_far.tenant, access, held, now) }
        }
        (Route::List | Route::Search | Route::Providers { .. }, Some(access)) => bearer::under(access, held, |_| true),
        _ => Vec::new(),
    }
}

async fn health(parts: &Parts, visit: &Visit, head: &RequestHeader) -> Option<Reply> {
    // Nearly every request is about something else, and that is plain to see.
    if !health::PATHS.iter().any(|path| head.raw_path().starts_with(path.as_bytes())) {
        return None;
    }
    let target = admit::target(head)?;
    health::answer(&head.method, target.path(), &parts.reading, visit.draining).await
}
