//! Decides what a git worker may reach, and on which way: what the operator of the registry sets for all repositories alike.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

/// The network as a git worker sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Whether local paths, `file://` and plain http to loopback addresses may be used.
    pub allow_local: bool,
    /// Host names, addresses and networks (CIDR) that may be reached although their addresses are not public.
    pub allowed_hosts: Vec<String>,
    /// Ports that may be reached.
    pub allowed_ports: Vec<u16>,
    /// A file of host keys in OpenSSH's form, absolute; beside it those count that were seen first.
    pub known_hosts: Option<PathBuf>,
    /// Further root certificates as PEM text, for hosts with a private authority.
    pub root_certificates: Option<String>,
    /// What https goes through, but for the hosts in `allowed_hosts`.
    pub proxy: Option<ProxyUrl>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            allow_local: false,
            allowed_hosts: Vec::new(),
            allowed_ports: vec![443, 22],
            known_hosts: None,
            root_certificates: None,
            proxy: None,
        }
    }
}

/// Address of an HTTP proxy. It may hold a password, so it cannot be printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProxyUrl(Url);

/// What is wrong with the address; never the address.
const SHAPE: &str = "must be http:// or https:// with a host and at most a port: http://proxy.internal:3128";

impl ProxyUrl {
    /// The address itself: for the HTTP client and nothing else.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// The proxy's host.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl TryFrom<String> for ProxyUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let url = Url::parse(&text).map_err(|_| SHAPE)?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let named = url.host_str().is_some_and(|host| !host.is_empty());
        if matches!(url.scheme(), "http" | "https") && bare && named { Ok(Self(url)) } else { Err(SHAPE) }
    }
}

impl From<ProxyUrl> for String {
    fn from(proxy: ProxyUrl) -> Self {
        proxy.0.into()
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({}…)", self.0.scheme())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies() {
        let parse = |text: &str| ProxyUrl::try_from(text.to_owned());
        for good in ["http://proxy.internal:3128", "https://proxy.internal/", "http://user:s3cret@10.0.0.1:8080"] {
            let proxy = parse(good).unwrap();
            assert!(!format!("{proxy:?}").contains("s3cret"), "{proxy:?}");
            assert_eq!(parse(&String::from(proxy.clone())), Ok(proxy));
        }
        for bad in
            ["", "proxy:3128", "socks5://proxy", "http://", "http://proxy/path", "http://proxy?x", "http://proxy#x"]
        {
            assert_eq!(parse(bad), Err(SHAPE), "{bad}");
        }
    }
}
