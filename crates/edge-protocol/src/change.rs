use cargoman_composer::name::PackageName;
use cargoman_credential::Digest;
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
    /// Whose some host is: a tenant was made, or a host went to another one.
    Hosts {
        /// Whose host it is now.
        tenant: TenantId,
    },
    /// A customer with his grants, and every token of his.
    Customer {
        /// Whose.
        tenant: TenantId,
        /// Id of the customer, `cust_…`.
        customer: String,
    },
    /// One token: made, changed or ended.
    Token {
        /// Whose.
        tenant: TenantId,
        /// SHA-256 of the token.
        digest: Digest,
        /// Whether it is ended for good. Edges keep a log of these, so that a restored database cannot bring one back.
        #[serde(default)]
        revoked: bool,
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
            Self::Hosts { .. } => "hosts",
            Self::Customer { .. } => "customer",
            Self::Token { .. } => "token",
            Self::Package { .. } => "package",
            Self::Collection { .. } => "collection",
            Self::Directory { .. } => "directory",
        }
    }
}
