//! Whose a host is, by host name.

use cargoman_edge_protocol::Host;

use super::{Facts, json_size};

/// Hosts, by canonical name.
pub(crate) type Tenants = Facts<String, Host>;

/// Room for `bytes`.
pub(crate) fn tenants(bytes: u64) -> Tenants {
    Facts::new(bytes, |host| 128 + json_size(host))
}
