//! Whose a connection is.
//!
//! The client's address is the peer's, unless the peer is a proxy that the configuration trusts; then it is the right-most address
//! that no trusted proxy has. Nothing else a client sends can change it.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// Who is behind a connection, and whether he speaks TLS to the first machine of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) secure: bool,
    /// Whether a proxy that is trusted stands between.
    pub(crate) proxied: bool,
}

/// The client of a request that came over a connection from `peer`.
pub(crate) fn client(peer: Option<&SocketAddr>, tls: bool, headers: &HeaderMap, trusted: &[IpNet]) -> Option<Client> {
    let peer = peer?.ip().to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&peer) {
        return Some(Client { address: peer, secure: tls, proxied: false });
    }
    let secure = headers.get("x-forwarded-proto").map_or(tls, |proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
    Some(Client { address: forwarded_for(headers, is_trusted).unwrap_or(peer), secure, proxied: true })
}

/// None when the list is missing, malformed, or of trusted addresses only.
fn forwarded_for(headers: &HeaderMap, is_trusted: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
    let mut addresses = Vec::new();
    for value in headers.get_all("x-forwarded-for") {
        for part in value.to_str().ok()?.split(',') {
            addresses.push(part.trim().parse::<IpAddr>().ok()?.to_canonical());
        }
    }
    addresses.into_iter().rev().find(|address| !is_trusted(address))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(peer: &str, fields: &[(&'static str, &str)]) -> (String, bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let client = client(Some(&SocketAddr::new(peer.parse().unwrap(), 1)), false, &headers, &trusted).unwrap();
        (client.address.to_string(), client.secure)
    }

    /// E-L1, E-L2.
    #[test]
    fn addresses() {
        const FOR: &str = "x-forwarded-for";
        for (peer, fields, expected) in [
            ("192.0.2.1", vec![], "192.0.2.1"),
            ("192.0.2.1", vec![(FOR, "198.51.100.1")], "192.0.2.1"),
            ("192.0.2.1", vec![("forwarded", "for=198.51.100.1"), ("x-real-ip", "198.51.100.1")], "192.0.2.1"),
            ("10.0.0.1", vec![(FOR, "198.51.100.1")], "198.51.100.1"),
            ("::ffff:10.0.0.1", vec![(FOR, "198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", vec![(FOR, "127.0.0.1, 198.51.100.1, 10.0.0.2")], "198.51.100.1"),
            ("10.0.0.1", vec![(FOR, "203.0.113.9"), (FOR, "198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", vec![(FOR, "198.51.100.1, nonsense")], "10.0.0.1"),
            ("10.0.0.1", vec![(FOR, "10.0.0.3, 10.0.0.2")], "10.0.0.1"),
            ("fd00::1", vec![(FOR, "2001:db8::1")], "2001:db8::1"),
        ] {
            assert_eq!(of(peer, &fields).0, expected, "{peer} {fields:?}");
        }
    }

    #[test]
    fn schemes() {
        assert!(!of("192.0.2.1", &[("x-forwarded-proto", "https")]).1);
        assert!(of("10.0.0.1", &[("x-forwarded-proto", "https")]).1);
        assert!(!of("10.0.0.1", &[("x-forwarded-proto", "http")]).1);
    }
}
