//! Lets only named networks ask. It looks at the client's address as the edge found it, never at a header itself.

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use ipnet::IpNet;
use serde::Deserialize;
use toml::Table;

use crate::plugin::{Context, Plugin, PluginRefusal, RequestView, Verdict, settings};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    networks: Vec<IpNet>,
}

struct IpAllowList {
    networks: Vec<IpNet>,
}

/// Makes the plugin.
///
/// # Errors
/// When a network cannot be read, or there is none.
pub fn build(table: &Table) -> Result<Arc<dyn Plugin>, String> {
    let Settings { networks } = settings(table)?;
    if networks.is_empty() {
        return Err("networks must name at least one network, for example \"10.0.0.0/8\"".to_owned());
    }
    Ok(Arc::new(IpAllowList { networks }))
}

impl IpAllowList {
    fn allows(&self, client: IpAddr) -> bool {
        // A dual-stack listener shows IPv4 clients as mapped addresses.
        let client = client.to_canonical();
        self.networks.iter().any(|network| network.contains(&client))
    }
}

impl Plugin for IpAllowList {
    fn on_request(&self, request: &RequestView<'_>, _: &mut Context) -> Verdict {
        if self.allows(request.client) {
            return Verdict::Continue;
        }
        let words = "This registry does not answer to your network address.".to_owned();
        Verdict::Refuse(PluginRefusal { status: StatusCode::FORBIDDEN, words, retry_after: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let list = IpAllowList { networks: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()] };
        for (client, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("2001:db8::1", true),
            ("11.0.0.1", false),
            ("2001:db9::1", false),
        ] {
            assert_eq!(list.allows(client.parse().unwrap()), expected, "{client}");
        }
    }

    #[test]
    fn settings_are_checked() {
        for bad in ["", "networks = []", "networks = [\"x\"]", "networks = [\"10.0.0.0/8\"]\nmore = 1"] {
            assert!(build(&toml::from_str(bad).unwrap()).is_err(), "{bad}");
        }
    }
}
