//! What an edge and the control plane say to each other: shapes and rules only, no I/O.
//!
//! An edge reads facts by [`Key`]. A key is also what an invalidation names, so that a cache entry, a read and an event speak
//! of the same thing. Every fact has a [`Revision`]; an edge that knows one sends it along and hears [`Answer::Unchanged`]
//! when it still holds. Everything here crosses a version boundary: fields are only ever added, with a default.

mod change;
mod join;
pub mod link;
mod message;
mod package;
mod read;
mod tenant;
mod usage;

pub use change::Change;
pub use join::{JOIN_PATH, JoinReply, JoinRequest};
pub use message::{Message, Messages, ParseTemplateError, Template, Values};
pub use package::{Abandoned, Dist, Metadata, Package, PastReference, Version};
pub use read::{Answer, AsOf, Directory, Entry, Key, KnownKey, ReadReply, ReadRequest, Revision};
pub use tenant::{Host, Outage, OutageMode, Source, Tenant, TenantId, Vendor};
pub use usage::{Batch, Download, Installed, MOST_USAGE_EVENTS, TokenUsed, USAGE_PATH, UsageEvent};

pub use cargoman_licence::{Access, Collection, CollectionId};

/// Path of the read call on the edge API (POST, [`ReadRequest`] → [`ReadReply`]).
pub const READ_PATH: &str = "/edge/v1/read";

/// Path of a dist on the edge API (GET): `{DISTS_PATH}/{tenant id}/{sha256}` answers the archive's bytes.
pub const DISTS_PATH: &str = "/edge/v1/dists";

/// What follows the path of a dist (GET) where an edge asks for an address of the storage itself: the answer is the address as plain text,
/// good for [`REDIRECT_SECONDS`]; 404 where the storage has none.
pub const DIST_ADDRESS: &str = "address";

/// How long an address of the storage is good: so long after a change somebody may still get what he was sent to before it.
pub const REDIRECT_SECONDS: u64 = 60;

/// Path where edges of the previous release hand in what Composer reported as installed (POST, [`InstallReport`] → 204).
pub const INSTALLS_PATH: &str = "/edge/v1/installs";

/// Header in which an edge proves itself to the public API when it passes a request through: its `cme_…` credential.
pub const EDGE_CREDENTIAL_HEADER: &str = "x-cargoman-edge";

/// Header in which an edge names the tenant whose host was asked, by id. Believed only beside a good credential.
pub const EDGE_TENANT_HEADER: &str = "x-cargoman-edge-tenant";

/// Packages that a customer's Composer says it installed (`notify-batch`).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InstallReport {
    /// Whose registry.
    pub tenant: TenantId,
    /// Id of the token that reported it.
    pub token: String,
    /// Name and normalized version of each package.
    pub installs: Vec<(cargoman_composer::name::PackageName, String)>,
}
