//! A tenant: one isolated registry.

use cargoman_edge_protocol::{Source, TenantId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A tenant as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Tenant {
    /// Id.
    #[serde(serialize_with = "display")]
    pub id: TenantId,
    /// Short name; the first label of its host in the zone.
    pub slug: String,
    /// For people.
    pub name: String,
    /// Whether it answers on hosts that are no one else's.
    pub is_default: bool,
    /// `active` or `suspended`.
    pub status: String,
    /// Why it is suspended.
    pub status_reason: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

fn display<S: serde::Serializer>(id: &TenantId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("ten_{id}"))
}

/// Choices of a tenant. Every field has a default, so that an older row reads well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether metadata shows where the source lies.
    pub source: Source,
}

/// A vendor of the tenant, as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Vendor {
    /// The part before the slash.
    pub name: String,
    /// Whether every name under it is the tenant's.
    pub exclusive: bool,
    /// Names under it that install from packagist.org.
    pub public_names: Vec<String>,
}
