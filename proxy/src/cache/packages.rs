//! Packages with all their versions, by (tenant, name): the raw material of views.

use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::{Package, TenantId};

use super::{Facts, json_size};

/// Packages, by tenant and name.
pub(crate) type Packages = Facts<(TenantId, PackageName), Package>;

/// Room for `bytes`. Parsed JSON takes about three times the room of its text.
pub(crate) fn packages(bytes: u64) -> Packages {
    Facts::new(bytes, |package| 512 + json_size(package).saturating_mul(3))
}
