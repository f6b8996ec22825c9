//! What the bearer of a token may do, by (tenant, digest). Tokens themselves are never kept.

use cargoman_credential::Digest;
use cargoman_edge_protocol::{Access, TenantId};

use super::{Facts, json_size};

/// Accesses, by tenant and digest of the token.
pub(crate) type Accesses = Facts<(TenantId, Digest), Access>;

/// Room for `bytes`.
pub(crate) fn accesses(bytes: u64) -> Accesses {
    Facts::new(bytes, |access| 256 + json_size(access))
}
