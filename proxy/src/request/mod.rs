//! What happens to a request: [`answer`] is the steps as one straight function, one file each.

pub(crate) mod admit;
mod authenticate;
pub(crate) mod authorize;
mod host;
pub(crate) mod refuse;
pub(crate) mod reply;
pub(crate) mod route;
mod target;
mod tenant;
pub(crate) mod visit;
pub(crate) mod write;

use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::{Access, Tenant, TenantId};
use chrono::{DateTime, Utc};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use self::authenticate::Credential;
use self::refuse::Refusal;
use self::reply::Reply;
use self::route::Route;
use self::visit::Visit;
use crate::cache::dists::Dists;
use crate::cache::views::Views;
use crate::link::installs::Installs;
use crate::link::reading::{Found, Reading};
use crate::observe::health;
use crate::plugin::Plugins;

/// What answers are made from; one per edge.
pub(crate) struct Parts {
    pub(crate) reading: Reading,
    pub(crate) views: Views,
    pub(crate) dists: Dists,
    pub(crate) installs: Installs,
    pub(crate) plugins: Plugins,
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

/// Answers a request, or says that the control plane will.
pub(crate) async fn answer(parts: &Parts, visit: &mut Visit, session: &mut Session) -> Answer {
    let mut answer = match steps(parts, visit, session).await {
        Ok(answer) => answer,
        Err(refusal) => Answer::Reply(refusal.reply()),
    };
    if let Answer::Reply(reply) = &mut answer {
        visit.adjust(&parts.plugins, session.req_header(), reply);
    }
    answer
}

async fn steps(parts: &Parts, visit: &mut Visit, session: &mut Session) -> Result<Answer, Refusal> {
    if let Some(reply) = health(parts, visit, session.req_header()).await {
        return Ok(Answer::Reply(reply));
    }
    // 1 Grammar.
    let request = visit.admitted(admit::admit(session.req_header()).map_err(Refusal::Fault)?);
    let credential = Credential::read(request.authorization.as_ref());
    visit.digest = credential.digest();
    if let Some(reply) = visit.arrive(&parts.plugins, session.req_header()) {
        return Ok(Answer::Reply(reply));
    }
    let route = Route::of(&request.target);
    if let Some(allow) = route.allow().filter(|_| !route.takes(&request.method)) {
        return Err(Refusal::Method { allow });
    }
    // Without a token the host's being ours is all there is to know.
    if credential == Credential::None && route != Route::PassThrough && parts.reading.has_seen(request.host.as_str()) {
        return Err(Refusal::Unauthorized);
    }
    // 2 to 4 Whose registry, which route, whose token: from one read that began after the request came in.
    let digest = credential.digest().filter(|_| route != Route::PassThrough);
    let needed = |tenant: &Tenant, access: Option<&Access>| needed(&route, tenant, access);
    let found = parts.reading.read(request.host.as_str(), digest, &needed).await.map_err(|error| {
        tracing::warn!(target: "cargoman::edge", %error, "facts could not be read");
        Refusal::Unavailable
    })?;
    let tenant = match tenant::of(found.host.as_deref()) {
        // The control plane refuses it as it refuses a bad credential on a tenant's host: names of tenants cannot be found by
        // trying, and the two take the same way.
        Err(Refusal::Unauthorized) if route == Route::PassThrough => return Ok(Answer::PassThrough(NO_TENANT)),
        tenant => tenant?,
    };
    visit.tenant = Some(tenant.slug.clone());
    if let Some(reply) = visit.enter_tenant(&parts.plugins, session.req_header()) {
        return Ok(Answer::Reply(reply));
    }
    if route == Route::PassThrough {
        return Ok(Answer::PassThrough(tenant.id));
    }
    let now = (parts.now)();
    let access = authenticate::access(found.access.as_deref(), now)?;
    visit.customer = Some(access.customer.id.clone());
    visit.token = Some(access.token.id.clone());
    // 5 and 6 Whether he may, and what he gets.
    authorize::enter(tenant, access, now)?;
    let body = match route {
        Route::Installs => write::read_body(session, reply::installs::MOST_BYTES).await?,
        _ => bytes::Bytes::new(),
    };
    reply(parts, &request, &route, (tenant, access), &found, &body, now).await.map(Answer::Reply)
}

async fn reply(
    parts: &Parts,
    request: &admit::Admitted,
    route: &Route,
    who: (&Tenant, &Access),
    found: &Found,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Reply, Refusal> {
    let (tenant, access) = who;
    Ok(match route {
        Route::Root => reply::root::answer(request, tenant, access, &found.all(), now),
        Route::Package { name, file } => {
            reply::package::answer(request, who, (name, *file), found.package(name), &parts.views, now).await?
        }
        Route::Dist { name, version, reference } => {
            let package = found.package(name).map(|known| &*known.value);
            reply::dist::answer(request, who, package, (version, reference), &parts.dists, now).await?
        }
        Route::List => reply::list::answer(request, tenant, access, &found.all(), now),
        Route::Search => reply::search::answer(request, tenant, access, &found.all(), now),
        Route::Providers { name } => reply::providers::answer(request, who, name, &found.all(), now),
        Route::Installs => reply::installs::answer(tenant, access, body, &parts.installs)?,
        Route::Nowhere | Route::PassThrough => return Err(Refusal::NotFound),
    })
}

/// The packages that an answer is made from.
fn needed(route: &Route, tenant: &Tenant, access: Option<&Access>) -> Vec<PackageName> {
    match route {
        Route::Package { name, .. } | Route::Dist { name, .. } => vec![name.clone()],
        // Exclusive vendors stand there as patterns, whatever is under them.
        Route::Root => {
            let mut names = access.map(authorize::covered).unwrap_or_default();
            names.retain(|name| !reply::root::is_exclusive(tenant, name.vendor()));
            names
        }
        Route::List | Route::Search | Route::Providers { .. } => access.map(authorize::covered).unwrap_or_default(),
        Route::Installs | Route::Nowhere | Route::PassThrough => Vec::new(),
    }
}

async fn health(parts: &Parts, visit: &Visit, head: &RequestHeader) -> Option<Reply> {
    let target = admit::target(head)?;
    health::answer(&head.method, target.path(), &parts.reading, visit.draining).await
}
