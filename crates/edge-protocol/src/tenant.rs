use std::collections::BTreeSet;

use cargoman_composer::name::{PackageName, VendorName};
use cargoman_licence::TenantPolicy;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Messages;

/// Identifies a tenant; part of every key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(pub Uuid);

impl std::fmt::Display for TenantId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_simple().fmt(f)
    }
}

/// Whose a host is. A host that is no one's is [`crate::Answer::Absent`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "host", content = "tenant", rename_all = "snake_case")]
pub enum Host {
    /// A tenant's.
    Tenant(Tenant),
    /// It lies in the zone, but no tenant has that name: it answers like any wrong token.
    ZoneWithoutTenant,
}

/// What an edge knows of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its short name.
    pub slug: String,
    /// Where Composer reaches it, without a trailing slash: `https://acme.registry.example`. Every absolute URL in an answer
    /// starts with it; none is ever built from a request.
    pub canonical_url: String,
    /// Set while the tenant is suspended: what its users read.
    #[serde(default)]
    pub suspended: Option<String>,
    /// Vendors of the tenant.
    pub vendors: Vec<Vendor>,
    /// Whether metadata shows `source`.
    #[serde(default)]
    pub source: Source,
    /// What holds for all his customers. Travels here and not with each access, so that changing it changes one fact; whoever
    /// decides puts it into [`cargoman_licence::Access::policy`].
    #[serde(default)]
    pub policy: TenantPolicy,
    /// His words to customers.
    #[serde(default)]
    pub messages: Messages,
    /// What becomes of his customers while an edge hears nothing.
    #[serde(default)]
    pub outage: Outage,
    /// Whether his customers are sent to the storage itself for dists, once they may have them.
    #[serde(default)]
    pub dist_redirects: bool,
}

/// What an edge does for a tenant when its lease is over and cannot be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outage {
    /// Whether it goes on at all.
    pub mode: OutageMode,
    /// For how long, in seconds; without it as long as the lease grants. It can only shorten that.
    pub grace_seconds: Option<u64>,
}

/// Whether an edge goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutageMode {
    /// From what it knows.
    #[default]
    ServeStale,
    /// No: 503 once the lease is over. Revocations are certain within seconds, whatever breaks.
    FailClosed,
}

/// Whether metadata shows where the source lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// No: it would show internal addresses, and older clients clone it when a dist is refused.
    #[default]
    Hide,
    /// Yes.
    Show,
}

/// A vendor of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vendor {
    /// The part before the slash.
    pub name: VendorName,
    /// Whether every name under it is the tenant's: then an absent one answers an empty list, which keeps Composer from
    /// taking a public package of that name.
    pub exclusive: bool,
    /// Names under it that the vendor publishes on packagist.org: 404, so that they install from there.
    pub public_names: BTreeSet<PackageName>,
}
