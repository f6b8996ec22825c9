//! Opaque ids: a kind's prefix and 32 hexadecimal digits. An id of one kind is never taken for another's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// The text is no id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind: expected `{prefix}` and 32 hexadecimal digits")]
pub struct ParseIdError {
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta] $name:ident = $prefix:literal;)*) => {$(
        #[$doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new one; ids grow with time, which keeps indexes compact.
            #[must_use]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.as_simple())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let wrong = || ParseIdError { prefix: $prefix };
                let rest = text.strip_prefix($prefix).filter(|rest| rest.len() == 32).ok_or_else(wrong)?;
                Uuid::try_parse(rest).map(Self).map_err(|_| wrong())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

id! {
    /// A customer.
    CustomerId = "cust_";
    /// A token of a customer.
    TokenId = "tok_id_";
    /// An operator's credential.
    CredentialId = "cred_";
    /// What opens a git server.
    GitCredentialId = "gitcred_";
    /// A grant.
    GrantId = "grant_";
    /// A collection.
    CollectionId = "coll_";
    /// A package.
    PackageId = "pkg_";
    /// A version of a package.
    VersionId = "ver_";
    /// A job, which the API calls a task.
    JobId = "task_";
    /// A deletion that may be undone.
    DeletionId = "del_";
    /// An edge that joined; of one with the shared credential, its state folder.
    EdgeId = "edge_";
    /// A hook that a forge calls.
    HookId = "hook_";
    /// A group of projects at a forge.
    ForgeGroupId = "fgrp_";
    /// A delivery of a forge.
    DeliveryId = "dlv_";
    /// A join token of an edge.
    JoinTokenId = "join_";
}

impl From<CollectionId> for cargoman_licence::CollectionId {
    fn from(id: CollectionId) -> Self {
        Self(id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kind_is_not_another() {
        let id = CustomerId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().parse::<TokenId>().is_err());
        for bad in ["", "cust_", "cust_zz", "cust_00000000-0000-0000-0000-000000000000"] {
            assert!(bad.parse::<CustomerId>().is_err(), "{bad}");
        }
    }
}
