//! Decides the way to a server: over which addresses, through which proxy, and whose certificates count. One way for git and for the
//! APIs of forges, so that neither leads where the other may not go.

use std::net::{SocketAddr, ToSocketAddrs};

use url::Url;

use super::super::address::AllowedHosts;
use super::super::network::{Network, ProxyUrl};
use super::resolver::{CheckedResolver, ForbiddenAddress};
use crate::trust::{self, TrustError};

/// How a server is reached.
pub(crate) struct Route {
    /// Checks what the server's name leads to.
    pub(crate) resolver: CheckedResolver,
    /// What everything goes through.
    pub(crate) proxy: Option<ProxyUrl>,
    /// Whom is believed.
    pub(crate) tls: rustls::ClientConfig,
}

/// There is no way to a server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouteError {
    #[error(transparent)]
    Forbidden(#[from] ForbiddenAddress),
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl Route {
    /// The way to the server of `base`, which has passed the rules for addresses. Asks for the name's addresses where a proxy is set,
    /// and waits for the answer.
    pub(crate) fn to(base: &Url, network: &Network, allowed: AllowedHosts) -> Result<Self, RouteError> {
        let proxy = network.proxy.as_ref().filter(|_| goes_through_proxy(base, &allowed));
        let resolver = CheckedResolver {
            allowed,
            loopback: base.scheme() == "http",
            proxy: proxy.map(|proxy| proxy.host().to_owned()),
        };
        if let (Some(_), Some(url::Host::Domain(host))) = (proxy, base.host()) {
            resolver.check(host, &known_here(host))?;
        }
        let tls = trust::client_config(network.root_certificates.as_deref())?;
        Ok(Self { resolver, proxy: proxy.cloned(), tls })
    }
}

/// What the operator has listed is inside; the proxy leads out.
fn goes_through_proxy(base: &Url, allowed: &AllowedHosts) -> bool {
    let listed = |found: &[SocketAddr]| !found.is_empty() && found.iter().all(|found| allowed.lists(found.ip()));
    let inside = match base.host() {
        Some(url::Host::Domain(host)) => allowed.name(host) || listed(&known_here(host)),
        Some(url::Host::Ipv4(address)) => allowed.lists(address.into()),
        Some(url::Host::Ipv6(address)) => allowed.lists(address.into()),
        None => true,
    };
    base.scheme() == "https" && !inside
}

/// Where this machine thinks a name leads that only the proxy will connect to; nothing where it cannot tell. A proxy that reaches
/// inside must have rules of its own: what it finds may differ.
fn known_here(host: &str) -> Vec<SocketAddr> {
    (host, 0).to_socket_addrs().map_or_else(|_| Vec::new(), Iterator::collect)
}
