//! Decides which network addresses a sync may reach: public ones, and those that the operator of the registry has listed.
//! Must be asked for every address of every connection, after resolution.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Hosts and networks that may be reached although their addresses are not public. From the configuration, never from a tenant.
#[derive(Debug, Clone, Default)]
pub struct AllowedHosts {
    names: Vec<String>,
    networks: Vec<IpNet>,
}

/// An entry is no host name, address or network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("allowed_hosts: `{0}` is no host name, IP address or network such as 10.1.0.0/16")]
pub struct AllowedHostError(pub String);

impl AllowedHosts {
    /// Reads the entries.
    ///
    /// # Errors
    /// When an entry is no host name, address or network.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, AllowedHostError> {
        let mut allowed = Self::default();
        for entry in entries.iter().map(AsRef::as_ref) {
            if let Ok(network) = entry.parse::<IpNet>() {
                allowed.networks.push(network);
            } else if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
                allowed.networks.push(address.into());
            } else if is_host_name(entry) {
                allowed.names.push(entry.to_ascii_lowercase());
            } else {
                return Err(AllowedHostError(entry.to_owned()));
            }
        }
        Ok(allowed)
    }

    /// Whether a host name is listed: then any address it resolves to may be reached.
    #[must_use]
    pub fn name(&self, host: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Whether an address may be reached: it is public, or listed.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> bool {
        is_public(address) || self.lists(address)
    }

    /// Whether an address is listed.
    #[must_use]
    pub fn lists(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
        && !text.split('.').next_back().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether an address belongs to the public internet. Addresses that embed another one are refused as a whole.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !PRIVATE_4.iter().any(|(net, bits)| in_4(address, *net, *bits)),
        IpAddr::V6(address) => {
            in_6(address, [0x2000, 0], 3) && !PRIVATE_6.iter().any(|(net, bits)| in_6(address, *net, *bits))
        }
    }
}

/// IANA's special-purpose registry for IPv4, and cloud metadata services inside it.
const PRIVATE_4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 52, 193, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([192, 175, 48, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// Inside 2000::/3, which alone is global unicast: Teredo and other protocol assignments, documentation, 6to4.
const PRIVATE_6: &[([u16; 2], u32)] =
    &[([0x2001, 0], 23), ([0x2001, 0x0db8], 32), ([0x2002, 0], 16), ([0x3fff, 0], 20), ([0x2620, 0x004f], 32)];

fn in_4(address: Ipv4Addr, net: [u8; 4], bits: u32) -> bool {
    let shift = 32 - bits;
    u32::from(address) >> shift == u32::from_be_bytes(net) >> shift
}

fn in_6(address: Ipv6Addr, net: [u16; 2], bits: u32) -> bool {
    let [first, second, ..] = address.segments();
    let shift = 32 - bits;
    let join = |high: u16, low: u16| (u32::from(high) << 16 | u32::from(low)) >> shift;
    join(first, second) == join(net[0], net[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses() {
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:8.8.8.8",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "100::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.1",
            "2606:4700::1",
            "2a00:1450::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn listed_hosts() {
        let allowed = AllowedHosts::parse(&["git.internal", "10.1.0.0/16", "192.168.7.7", "fd00::/8"]).unwrap();
        assert!(allowed.name("GIT.internal") && !allowed.name("internal") && !allowed.name("xgit.internal"));
        for (address, expected) in [
            ("10.1.2.3", true),
            ("10.2.0.1", false),
            ("192.168.7.7", true),
            ("192.168.7.8", false),
            ("fd12::1", true),
            ("::1", false),
        ] {
            assert_eq!(allowed.address(address.parse().unwrap()), expected, "{address}");
        }
        for bad in ["", "a b", "-x", "10.0.0.0/33", "1.2.3", "h/x", "a..b"] {
            assert_eq!(AllowedHosts::parse(&[bad]).unwrap_err(), AllowedHostError(bad.to_owned()), "{bad}");
        }
    }
}
