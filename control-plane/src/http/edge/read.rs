//! Answers an edge's questions: whose host, what access, which package; each only when the edge's revision is old.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State as FromState;
use cargoman_edge_protocol::{Answer, Entry, Host, Key, KnownKey, ReadReply, ReadRequest, Revision, TenantId};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::Edge;
use crate::error::ApiError;
use crate::state::State;
use crate::store::edge_reads::Fact;

const MOST_KEYS: usize = 500;
/// Keys of one request that are looked up at once.
const AT_ONCE: usize = 4;

pub(crate) async fn read(
    FromState(state): FromState<State>,
    _: Edge,
    Json(request): Json<ReadRequest>,
) -> Result<Json<ReadReply>, ApiError> {
    if request.keys.len() > MOST_KEYS {
        return Err(ApiError::field("keys", format!("at most {MOST_KEYS}")));
    }
    if request.keys.is_empty() {
        // An edge asks whether it could be answered.
        state.database.ping().await?;
    }
    // Before anything is read: what comes after it may be missing in the answers.
    let as_of = state.link.as_of();
    let answers = stream::iter(request.keys.into_iter().map(|known| answer(&state, known)));
    let answers = answers.buffered(AT_ONCE).try_collect().await?;
    Ok(Json(ReadReply { answers, as_of }))
}

async fn answer(state: &State, KnownKey { key, revision }: KnownKey) -> Result<Answer, ApiError> {
    let system = state.database.system();
    if let Key::Access { tenant, digest } = key {
        state.token_uses.note(tenant, digest, crate::clock::now());
    }
    Ok(match key {
        Key::Host { host } => answer_host(state, &host, revision).await?,
        Key::Access { tenant, digest } => of(system.edge_access(tenant, digest, revision).await?, Entry::Access),
        Key::Package { tenant, name } => of(system.edge_package(tenant, &name, revision).await?, Entry::Package),
        Key::Collection { tenant, collection } => match collection.0.parse() {
            Ok(id) => of(system.edge_collection(tenant, id, revision).await?, Entry::Collection),
            Err(_) => Answer::Absent,
        },
        Key::Directory { tenant } => of(system.edge_directory(tenant, revision).await?, Entry::Directory),
    })
}

fn of<T>(fact: Option<Fact<T>>, entry: impl FnOnce(T) -> Entry) -> Answer {
    match fact {
        None => Answer::Absent,
        Some(Fact::Unchanged) => Answer::Unchanged,
        Some(Fact::Found(revision, value)) => Answer::Found { revision, entry: entry(value) },
    }
}

/// Whose a host is, by name alone.
#[derive(Debug, PartialEq, Eq)]
enum Owner<'a> {
    Default,
    Slug(&'a str),
    NoOne,
}

/// Addresses and loopback belong to the default tenant, and so does every host while there is no zone.
fn owner<'a>(host: &'a str, zone: Option<&str>, public_host: Option<&str>) -> Owner<'a> {
    let address = host.parse::<IpAddr>().is_ok() || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    if address || host == "localhost" || Some(host) == public_host {
        return Owner::Default;
    }
    let Some(zone) = zone else { return Owner::Default };
    match host.strip_suffix(zone).and_then(|rest| rest.strip_suffix('.')) {
        Some(slug) if !slug.is_empty() && !slug.contains('.') => Owner::Slug(slug),
        _ => Owner::NoOne,
    }
}

async fn answer_host(state: &State, host: &str, known: Option<Revision>) -> Result<Answer, ApiError> {
    let public = state.config.server.public_url.as_deref().and_then(|url| url::Url::parse(url).ok());
    let public_host = public.as_ref().and_then(|url| url.host_str());
    let system = state.database.system();
    let tenant = match owner(host, state.config.tenancy.zone.as_deref(), public_host) {
        Owner::NoOne => return Ok(Answer::Absent),
        Owner::Default => match system.default_tenant().await? {
            Some(tenant) => tenant,
            None => return Ok(Answer::Absent),
        },
        Owner::Slug(slug) => match system.tenant_by_slug(slug).await? {
            Some(tenant) => tenant,
            None => return Ok(Answer::Found { revision: Revision(0), entry: Entry::Host(Host::ZoneWithoutTenant) }),
        },
    };
    answer_tenant(state, tenant.id, known).await
}

async fn answer_tenant(state: &State, tenant: TenantId, known: Option<Revision>) -> Result<Answer, ApiError> {
    let address =
        |slug: &str, is_default: bool| state.config.server.canonical_url(&state.config.tenancy, slug, is_default);
    let fact = state.database.system().edge_tenant(tenant, known, address).await?;
    Ok(of(fact, |mut tenant| {
        // The choice may be from a time when dists lay elsewhere.
        tenant.dist_redirects &= state.storage.gives_addresses();
        Entry::Host(Host::Tenant(tenant))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners() {
        for (host, zone, expected) in [
            ("127.0.0.1", Some("registry.example"), Owner::Default),
            ("::1", Some("registry.example"), Owner::Default),
            ("localhost", Some("registry.example"), Owner::Default),
            ("repo.example", Some("registry.example"), Owner::Default),
            ("acme.registry.example", Some("registry.example"), Owner::Slug("acme")),
            ("a.b.registry.example", Some("registry.example"), Owner::NoOne),
            ("registry.example", Some("registry.example"), Owner::NoOne),
            (".registry.example", Some("registry.example"), Owner::NoOne),
            ("acmeregistry.example", Some("registry.example"), Owner::NoOne),
            ("other.example", Some("registry.example"), Owner::NoOne),
            ("other.example", None, Owner::Default),
        ] {
            assert_eq!(owner(host, zone, Some("repo.example")), expected, "{host}");
        }
    }
}
