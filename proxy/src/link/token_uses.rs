//! When tokens were last shown, and from where: noted in memory, within five minutes ([`crate::cache::access::Holding::is_news`]), and
//! in the spool every ten seconds. What was not handed over when the process is killed is lost, which is no harm: a download says it
//! too.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ahash::RandomState;
use cargoman_edge_protocol::{TenantId, TokenUsed, UsageEvent};
use chrono::{DateTime, Utc};

use super::spool::Spool;

/// How often uses go to the spool.
const EVERY: Duration = Duration::from_secs(10);

/// So many locks, so that requests seldom meet at one.
const SHARDS: usize = 32;

/// Most tokens of one lock; further ones have to wait for the next ten seconds.
const MOST: usize = 4_096;

type Shard = Mutex<HashMap<String, Last, RandomState>>;

/// Uses that are not handed over yet.
#[derive(Debug, Default)]
pub(crate) struct TokenUses {
    hasher: RandomState,
    shards: [Shard; SHARDS],
}

#[derive(Debug, Clone, Copy)]
struct Last {
    tenant: TenantId,
    at: DateTime<Utc>,
    address: Option<IpAddr>,
}

impl TokenUses {
    /// Notes that a token was shown and is good.
    pub(crate) fn note(&self, tenant: TenantId, token: &str, at: DateTime<Utc>, address: Option<IpAddr>) {
        let shard = usize::try_from(self.hasher.hash_one(token) % SHARDS as u64).unwrap_or(0);
        let Some(shard) = self.shards.get(shard) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let last = Last { tenant, at, address };
        if let Some(known) = shard.get_mut(token) {
            *known = last;
        } else if shard.len() < MOST {
            shard.insert(token.to_owned(), last);
        }
    }

    /// Writes what is noted into the spool, and forgets it.
    pub(crate) fn hand_over(&self, spool: &Spool) {
        for shard in &self.shards {
            let noted = std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
            for (token, Last { tenant, at, address }) in noted {
                spool.append(&UsageEvent::TokenUsed(TokenUsed { tenant, token, at, address }));
            }
        }
    }

    /// Hands over every ten seconds, for as long as the edge runs.
    pub(crate) async fn run(self: Arc<Self>, spool: Arc<Spool>) {
        loop {
            tokio::time::sleep(EVERY).await;
            let (uses, spool) = (Arc::clone(&self), Arc::clone(&spool));
            let _ = tokio::task::spawn_blocking(move || uses.hand_over(&spool)).await;
        }
    }
}
