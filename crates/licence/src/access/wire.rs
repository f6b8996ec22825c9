//! How an access travels between programs of different releases.
//!
//! A reader of the first release knows only `grants`, each of them a package's and in force. What such a reader would misread as
//! more than it is (a suspended grant, any grant of a frozen customer) or could not read at all (a collection's) travels in
//! `further_grants`, which it skips: it then shows too little, never too much.

use serde::{Deserialize, Serialize};

use crate::{Customer, Grant, GrantStatus, Target, TenantPolicy, Token};

#[derive(Serialize, Deserialize)]
pub(super) struct Access {
    token: Token,
    customer: Customer,
    grants: Vec<Grant>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    further_grants: Vec<Grant>,
    #[serde(default)]
    policy: TenantPolicy,
}

impl From<super::Access> for Access {
    fn from(access: super::Access) -> Self {
        let frozen = access.customer.frozen.is_some();
        let plain = |grant: &Grant| {
            !frozen && matches!(grant.target, Target::Package(_)) && grant.status == GrantStatus::Active
        };
        let (grants, further_grants) = access.grants.into_iter().partition(plain);
        Self { token: access.token, customer: access.customer, grants, further_grants, policy: access.policy }
    }
}

impl From<Access> for super::Access {
    fn from(mut access: Access) -> Self {
        access.grants.append(&mut access.further_grants);
        Self { token: access.token, customer: access.customer, grants: access.grants, policy: access.policy }
    }
}
