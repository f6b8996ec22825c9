//! What the bearer of a token may do, by (tenant, digest). Tokens themselves are never kept.

use std::ops::Deref;

use cargoman_credential::Digest;
use cargoman_edge_protocol::{Access, TenantId};
use cargoman_licence::{CollectionId, Rights, TenantPolicy};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};

use super::{Facts, json_size};

/// Accesses, by tenant and digest of the token.
pub(crate) type Accesses = Facts<(TenantId, Digest), Holding>;

/// Room for `bytes`.
pub(crate) fn accesses(bytes: u64) -> Accesses {
    Facts::new(bytes, |access| 384 + json_size(access))
}

/// An access, and beside it which others have the same rights.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Access")]
pub(crate) struct Holding {
    access: Access,
    collections: Box<[CollectionId]>,
    rights: Option<WorkedOut>,
}

/// Equal for accesses of equal rights, from one instant up to another.
#[derive(Debug, Clone, Copy)]
struct WorkedOut {
    digest: Digest,
    from: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
}

impl WorkedOut {
    fn holds(&self, now: DateTime<Utc>) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }
}

impl Holding {
    /// The collections that its grants name, once each and in order.
    pub(crate) fn collections(&self) -> &[CollectionId] {
        &self.collections
    }

    /// The name of its rights at `now`, if it was worked out.
    pub(crate) fn rights(&self, now: DateTime<Utc>) -> Option<Digest> {
        self.rights.filter(|rights| rights.holds(now)).map(|rights| rights.digest)
    }

    /// The same access under `policy`, with its rights named at `now`; none when it is so already.
    pub(crate) fn under(&self, policy: TenantPolicy, now: DateTime<Utc>) -> Option<Self> {
        if self.access.policy == policy && self.rights(now).is_some() {
            return None;
        }
        let access = Access { policy, ..self.access.clone() };
        // What cannot be written down has no name, and is worked out at each request.
        let written = serde_json::to_vec(&Rights::of(&access, now)).ok();
        let digest = written.map(|written| Digest::of(&written));
        let until = access.unchanged_until(now);
        let rights = digest.map(|digest| WorkedOut { digest, from: now, until });
        Some(Self { rights, ..Self::from(access) })
    }
}

impl From<Access> for Holding {
    fn from(access: Access) -> Self {
        let mut ids: Vec<CollectionId> =
            access.grants.iter().filter_map(|grant| grant.target.collection()).cloned().collect();
        ids.sort_unstable();
        ids.dedup();
        Self { access, collections: ids.into(), rights: None }
    }
}

impl Deref for Holding {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.access
    }
}

impl Serialize for Holding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.access.serialize(serializer)
    }
}
