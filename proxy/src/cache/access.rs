//! What the bearer of a token may do, by (tenant, digest). Tokens themselves are never kept.
//!
//! Of many tokens few differ in anything but their names: what is equal is kept once, so that half a million tokens find room.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ahash::RandomState;
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
    Facts::new(bytes, Holding::bytes)
}

/// An access, and beside it which others have the same rights. It reads as [`Access`], but for the token's id and last four
/// characters, which stand here alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Access")]
pub(crate) struct Holding {
    token_id: Box<str>,
    last_four: Box<str>,
    shared: Arc<Shared>,
    noted: Noted,
    /// Whether its room is that of the shared part too: of one that shares with others it is not.
    first: bool,
}

/// What many tokens have in common.
#[derive(Debug)]
struct Shared {
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
    /// The token's id.
    pub(crate) fn token_id(&self) -> &str {
        &self.token_id
    }

    /// The token's last four characters.
    pub(crate) fn last_four(&self) -> &str {
        &self.last_four
    }

    /// The collections that its grants name, once each and in order.
    pub(crate) fn collections(&self) -> &[CollectionId] {
        &self.shared.collections
    }

    /// The name of its rights at `now`, if it was worked out.
    pub(crate) fn rights(&self, now: DateTime<Utc>) -> Option<Digest> {
        self.shared.rights.filter(|rights| rights.holds(now)).map(|rights| rights.digest)
    }

    /// The same access under `policy`, with its rights named at `now`; none when it is so already.
    pub(crate) fn under(&self, policy: TenantPolicy, now: DateTime<Utc>) -> Option<Self> {
        if self.policy == policy && self.rights(now).is_some() {
            return None;
        }
        let access = Access { policy, ..self.shared.access.clone() };
        // What cannot be written down has no name, and is worked out at each request.
        let written = serde_json::to_vec(&Rights::of(&access, now)).ok();
        let digest = written.map(|written| Digest::of(&written));
        let until = access.unchanged_until(now);
        let rights = digest.map(|digest| WorkedOut { digest, from: now, until });
        let shared = Arc::new(Shared { rights, ..Shared::of(access) });
        Some(Self { shared, first: true, ..self.clone() })
    }

    /// Whether a use of the token now is worth noting: it is the first for a while, or from another address.
    pub(crate) fn is_news(&self, now: DateTime<Utc>, address: Option<IpAddr>) -> bool {
        self.noted.differs(now, address)
    }

    fn bytes(&self) -> usize {
        let own = 112 + self.token_id.len() + self.last_four.len();
        // Counted as JSON, which it is close to.
        let shared = || size_of::<Shared>() + json_size(&self.shared.access);
        own + if self.first { shared() } else { 0 }
    }
}

impl Shared {
    fn of(access: Access) -> Self {
        let mut ids: Vec<CollectionId> =
            access.grants.iter().filter_map(|grant| grant.target.collection()).cloned().collect();
        ids.sort_unstable();
        ids.dedup();
        Self { access, collections: ids.into(), rights: None }
    }

    /// Whether it can take the other's place at `now`: equal, under the same name or under none.
    fn stands_for(&self, other: &Self, now: DateTime<Utc>) -> bool {
        let name = |shared: &Self| shared.rights.filter(|rights| rights.holds(now)).map(|rights| rights.digest);
        self.access == other.access && name(self) == name(other)
    }
}

impl From<Access> for Holding {
    fn from(mut access: Access) -> Self {
        let (token_id, last_four) = (std::mem::take(&mut access.token.id), std::mem::take(&mut access.token.last_four));
        let shared = Arc::new(Shared::of(access));
        Self { token_id: token_id.into(), last_four: last_four.into(), shared, noted: Noted::default(), first: true }
    }
}

impl Deref for Holding {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.shared.access
    }
}

impl Serialize for Holding {
    /// As [`Access`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut access = self.shared.access.clone();
        (access.token.id, access.token.last_four) = (self.token_id.to_string(), self.last_four.to_string());
        access.serialize(serializer)
    }
}

/// When a use was last noted, and from where: in one number, so that nobody waits for anybody.
#[derive(Debug, Default)]
struct Noted(AtomicU64);

/// How long a use says for all that follow.
const SAYS_FOR: i64 = 300;

impl Noted {
    /// Whether it was longer ago, or from elsewhere; then this one is it from now on.
    fn differs(&self, now: DateTime<Utc>, address: Option<IpAddr>) -> bool {
        // Equal for different addresses once in four billion times, and then for five minutes.
        let from = ELSEWHERE.hash_one(address) & u64::from(u32::MAX);
        let period = now.timestamp().div_euclid(SAYS_FOR).unsigned_abs() + 1;
        let this = period << 32 | from;
        self.0.load(Ordering::Relaxed) != this && self.0.swap(this, Ordering::Relaxed) != this
    }
}

/// No secret: it only has to be the same all the time.
static ELSEWHERE: RandomState = RandomState::with_seeds(1, 2, 3, 4);

impl Clone for Noted {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

/// Which shared parts there are. Holds none of them alive.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    hasher: RandomState,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_customer: HashMap<u64, Vec<Weak<Shared>>>,
    /// With so many customers those without any token left are cleared away.
    clear_at: usize,
}

/// Below this nothing is cleared away.
const FEW: usize = 1_024;

impl Sharing {
    /// The same holding, with what equals another's in common with it.
    pub(crate) fn share(&self, holding: Holding, now: DateTime<Utc>) -> Holding {
        let customer = self.hasher.hash_one(&holding.customer.id);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.by_customer.len() >= known.clear_at {
            known.by_customer.retain(|_, parts| parts.iter().any(|part| part.strong_count() > 0));
            known.clear_at = FEW.max(2 * known.by_customer.len());
        }
        let parts = known.by_customer.entry(customer).or_default();
        parts.retain(|part| part.strong_count() > 0);
        let there = parts.iter().filter_map(Weak::upgrade).find(|part| part.stands_for(&holding.shared, now));
        if let Some(shared) = there {
            return Holding { shared, first: false, ..holding };
        }
        parts.push(Arc::downgrade(&holding.shared));
        holding
    }
}

#[cfg(test)]
mod tests {
    use cargoman_composer::name::PackageName;
    use cargoman_licence::{Customer, Grant, Token};
    use chrono::TimeDelta;

    use super::*;

    fn access(token: &str, customer: &str, grants: usize) -> Access {
        let grant = |number| Grant::on(format!("grant_{number}"), PackageName::parse("acme/pay").unwrap());
        Access {
            token: Token { id: token.to_owned(), last_four: "1234".to_owned(), ..Token::of_no_one() },
            customer: serde_json::from_value::<Customer>(serde_json::json!({
                "id": customer, "name": "Shop", "status": {"status": "active"}, "expires_at": null, "minimum_stability": null,
            }))
            .unwrap(),
            grants: (0..grants).map(grant).collect(),
            policy: TenantPolicy::default(),
        }
    }

    fn now() -> DateTime<Utc> {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn reads_and_writes_as_it_came() {
        let holding = Holding::from(access("tok_id_1", "cust_1", 2));
        assert_eq!((holding.token_id(), holding.last_four()), ("tok_id_1", "1234"));
        let written = serde_json::to_string(&holding).unwrap();
        assert_eq!(written, serde_json::to_string(&access("tok_id_1", "cust_1", 2)).unwrap());
        let read: Holding = serde_json::from_str(&written).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), written);
    }

    #[test]
    fn what_is_equal_is_kept_once() {
        let sharing = Sharing::default();
        let named = |token, customer, grants| {
            let holding = Holding::from(access(token, customer, grants));
            sharing.share(holding.under(TenantPolicy::default(), now()).unwrap(), now())
        };
        let one = named("tok_id_1", "cust_1", 1);
        let other = named("tok_id_2", "cust_1", 1);
        assert!(Arc::ptr_eq(&one.shared, &other.shared));
        assert_eq!((one.token_id(), other.token_id()), ("tok_id_1", "tok_id_2"));
        assert!(other.bytes() < one.bytes() / 2, "{} {}", other.bytes(), one.bytes());
        for different in [named("tok_id_3", "cust_1", 2), named("tok_id_4", "cust_2", 1)] {
            assert!(!Arc::ptr_eq(&one.shared, &different.shared));
        }
        // A part without a name does not stand for one that has one.
        let unnamed = sharing.share(Holding::from(access("tok_id_5", "cust_1", 1)), now());
        assert!(!Arc::ptr_eq(&one.shared, &unnamed.shared));
        assert!(unnamed.under(TenantPolicy::default(), now()).is_some());
        assert!(one.under(TenantPolicy::default(), now() + TimeDelta::days(1)).is_none());
    }

    #[test]
    fn a_use_says_for_those_that_follow() {
        let holding = Holding::from(access("tok_id_1", "cust_1", 1));
        let (here, there) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
        let at = |seconds| now() + TimeDelta::seconds(seconds);
        let news: Vec<bool> = [(0, here), (1, here), (2, there), (299, there), (300, there), (301, None), (302, None)]
            .map(|(seconds, address)| holding.is_news(at(seconds), address))
            .into();
        assert_eq!(news, [true, false, true, false, true, true, false]);
        assert!(!holding.clone().is_news(at(303), None));
    }

    #[test]
    fn what_nobody_has_is_cleared_away() {
        let sharing = Sharing::default();
        for number in 0..10 * FEW {
            sharing.share(Holding::from(access("tok_id_1", &format!("cust_{number}"), 1)), now());
        }
        assert!(sharing.known.lock().unwrap().by_customer.len() <= FEW);
    }
}
