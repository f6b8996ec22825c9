//! Decides to which addresses a host name may lead. Every answer is checked, and the connection goes to a checked address:
//! there is no second look-up between check and connect.

use std::io;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::super::address::AllowedHosts;

/// The message's mark that the client's caller finds in the chain of errors.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0} leads to the address {1}, which may not be reached")]
pub(crate) struct ForbiddenAddress(pub(crate) String, pub(crate) std::net::IpAddr);

/// Resolves through the system and refuses names any of whose addresses may not be reached.
#[derive(Clone)]
pub(crate) struct CheckedResolver {
    pub(crate) allowed: AllowedHosts,
    /// Whether loopback addresses are what is wanted: plain http where local repositories are allowed.
    pub(crate) loopback: bool,
    /// Host of the proxy that everything goes through: the operator's choice, wherever it is.
    pub(crate) proxy: Option<String>,
}

impl CheckedResolver {
    /// Whether all of these may be reached under that name.
    pub(crate) fn check(&self, host: &str, addresses: &[SocketAddr]) -> Result<(), ForbiddenAddress> {
        let acceptable = |address: &SocketAddr| {
            if self.loopback {
                address.ip().is_loopback()
            } else {
                self.proxy.as_deref() == Some(host) || self.allowed.name(host) || self.allowed.address(address.ip())
            }
        };
        match addresses.iter().find(|address| !acceptable(address)) {
            Some(address) => Err(ForbiddenAddress(host.to_owned(), address.ip())),
            None => Ok(()),
        }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let checker = self.clone();
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if addresses.is_empty() {
                return Err(io::Error::other(format!("{host} has no address")).into());
            }
            checker.check(&host, &addresses)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G-N1, G-N3: one private answer among public ones is enough.
    #[test]
    fn every_answer_counts() {
        let resolver = CheckedResolver {
            allowed: AllowedHosts::parse(&["git.internal", "10.1.0.0/16"]).unwrap(),
            loopback: false,
            proxy: None,
        };
        let addresses =
            |list: &[&str]| list.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect::<Vec<_>>();
        for (host, list, good) in [
            ("h.example", &["8.8.8.8"][..], true),
            ("h.example", &["8.8.8.8", "127.0.0.1"], false),
            ("h.example", &["8.8.8.8", "fd00::1"], false),
            ("h.example", &["10.1.2.3"], true),
            ("h.example", &["10.2.2.3"], false),
            ("git.internal", &["192.168.0.9"], true),
        ] {
            assert_eq!(resolver.check(host, &addresses(list)).is_ok(), good, "{host} {list:?}");
        }
        let proxied = CheckedResolver { proxy: Some("proxy.internal".into()), ..resolver };
        assert!(proxied.check("proxy.internal", &addresses(&["192.168.0.9"])).is_ok());
        assert!(proxied.check("h.example", &addresses(&["192.168.0.9"])).is_err());
        let local = CheckedResolver { allowed: AllowedHosts::default(), loopback: true, proxy: None };
        assert!(local.check("localhost", &addresses(&["127.0.0.1", "::1"])).is_ok());
        assert!(local.check("localhost", &addresses(&["8.8.8.8"])).is_err());
    }
}
