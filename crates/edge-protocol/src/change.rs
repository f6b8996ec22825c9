use cargoman_composer::name::PackageName;
use cargoman_licence::CollectionId;
use serde::{Deserialize, Serialize};

use crate::TenantId;

/// What a write changed, as noted in the outbox for edges. Names facts, never their content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// The tenant itself: status, settings, vendors.
    Tenant {
        /// Which.
        tenant: TenantId,
    },
    /// A customer with his tokens and grants.
    Customer {
        /// Whose.
        tenant: TenantId,
        /// Id of the customer, `cust_…`.
        customer: String,
    },
    /// A package with its versions.
    Package {
        /// Whose.
        tenant: TenantId,
        /// Which.
        name: PackageName,
    },
    /// A collection: its packages or its limits.
    Collection {
        /// Whose.
        tenant: TenantId,
        /// Which.
        collection: CollectionId,
    },
    /// Which packages there are.
    Directory {
        /// Whose.
        tenant: TenantId,
    },
}

impl Change {
    /// The word in `kind`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Tenant { .. } => "tenant",
            Self::Customer { .. } => "customer",
            Self::Package { .. } => "package",
            Self::Collection { .. } => "collection",
            Self::Directory { .. } => "directory",
        }
    }
}
