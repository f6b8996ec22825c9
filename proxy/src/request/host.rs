//! Part of step 1: the one form of a host name.
//!
//! Lower-case, without port and trailing dot. An address counts as a host too (it belongs to the default tenant), in its own one
//! form; anything that some other program might read as an address, or as another name, is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host in canonical form: `t1.example`, `127.0.0.1`, `::1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HostName(String);

impl HostName {
    /// Reads a `Host` field or an `:authority`.
    pub(crate) fn parse(authority: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(authority).ok()?.trim_matches([' ', '\t']).to_ascii_lowercase();
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            return port_or_nothing(port).then(|| Self(address.to_string()));
        }
        let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        let name = name.strip_suffix('.').unwrap_or(name);
        if !port_or_nothing(port) {
            return None;
        }
        // An address that can be read has one form only: four numbers without leading zeros.
        (name.parse::<Ipv4Addr>().is_ok() || is_name(name)).then(|| Self(name.to_owned()))
    }

    /// As sent to the control plane: without brackets.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As written in a `Host` field.
    pub(crate) fn to_authority(&self) -> String {
        match self.0.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.0.clone(),
        }
    }
}

fn port_or_nothing(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else { return text.is_empty() };
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
            // Only `xn--` may have hyphens there; that it decodes to something is checked below.
            && (label.get(2..4) != Some("--") || label.starts_with("xn--"))
    };
    // A last label that begins like a number is read as an address by some programs: `127.1`, `0x7f.1`.
    let numeric = |label: &str| label.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) && is_number(label);
    let encoded = name.split('.').any(|label| label.starts_with("xn--"));
    name.len() <= 253
        && name.split('.').all(label)
        && !name.rsplit('.').next().is_some_and(numeric)
        && (!encoded || matches!(url::Host::parse(name), Ok(url::Host::Domain(same)) if same == name))
}

fn is_number(label: &str) -> bool {
    let digits = label.strip_prefix("0x");
    digits.map_or_else(
        || label.bytes().all(|byte| byte.is_ascii_digit()),
        |hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<String> {
        HostName::parse(text.as_bytes()).map(|host| host.as_str().to_owned())
    }

    /// E-H1.
    #[test]
    fn one_form() {
        for text in ["t1.example", "T1.EXAMPLE", "t1.example.", "t1.example:443", "\tt1.example ", "T1.example.:80"] {
            assert_eq!(parse(text).as_deref(), Some("t1.example"), "{text:?}");
        }
        assert_eq!(parse("localhost:8080").as_deref(), Some("localhost"));
        assert_eq!(parse("xn--bcher-kva.example").as_deref(), Some("xn--bcher-kva.example"));
    }

    /// E-H4, but for addresses, which belong to the default tenant.
    #[test]
    fn addresses() {
        assert_eq!(parse("127.0.0.1:8080").as_deref(), Some("127.0.0.1"));
        assert_eq!(parse("[::1]:80").as_deref(), Some("::1"));
        assert_eq!(parse("[0:0::1]").as_deref(), Some("::1"));
        assert_eq!(HostName::parse(b"[::1]:80").unwrap().to_authority(), "[::1]");
    }

    /// E-H2, E-H4, E-H5.
    #[test]
    fn refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "a.".repeat(124));
        for text in [
            "",
            ".",
            ":80",
            "a.example, b.example",
            "a b",
            "a/../x",
            "u@a",
            "a\0",
            "é.example",
            "[::1",
            "::1",
            "a:abc",
            "a:99999",
            "a:0",
            "a:",
            "a..example",
            ".a",
            "-a.example",
            "a-.example",
            "t_1.example",
            "127.1",
            "0x7f.1",
            "12345",
            "1.2.3.4.5",
            "256.1.1.1",
            "a.1",
            "a.0x1",
            "ab--c.example",
            "xn--a-.example",
            "xn--.example",
            "xn--example-.com",
            "xn--zzzzzzz99999.example",
            "[::1]x",
            "[127.0.0.1]",
            "*.example",
            &long_label,
            &long_name,
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(HostName::parse(b"\xff.example"), None);
    }
}
