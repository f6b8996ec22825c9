//! Step 2: host to tenant. The tenant comes from what the control plane says of the canonical host, never from anything else.

use cargoman_edge_protocol::{Host, Tenant};

use super::refuse::Refusal;

/// Whose registry is asked.
pub(crate) fn of(host: Option<&Host>) -> Result<&Tenant, Refusal> {
    match host {
        Some(Host::Tenant(tenant)) => Ok(tenant),
        // Answers like any wrong token, so that names of tenants cannot be found by trying.
        Some(Host::ZoneWithoutTenant) => Err(Refusal::Unauthorized),
        None => Err(Refusal::NoSuchHost),
    }
}
