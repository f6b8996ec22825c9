//! When tokens were last used: noted in memory as edges and callers show them, written every few seconds in one statement, so
//! that reading costs no write. What was not written yet when the program ends is lost, which is no harm.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::domain::id::TokenId;
use crate::store::token_uses::Uses;
use crate::store::{StoreError, System};

/// How often uses are written.
const EVERY: Duration = Duration::from_secs(5);
/// Tokens that are remembered until the next write; an edge asks for made-up ones too.
const MOST: usize = 20_000;

/// What a token is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Known {
    Digest(Digest),
    Id(TokenId),
}

/// Uses that are not written yet.
#[derive(Debug, Default)]
pub struct TokenUses {
    waiting: Mutex<HashMap<(TenantId, Known), DateTime<Utc>>>,
}

impl TokenUses {
    /// Notes that somebody showed the token of this digest, if there is one.
    pub fn note(&self, tenant: TenantId, digest: Digest, at: DateTime<Utc>) {
        self.insert(tenant, Known::Digest(digest), at);
    }

    /// Notes that somebody showed this token.
    pub fn note_id(&self, tenant: TenantId, token: TokenId, at: DateTime<Utc>) {
        self.insert(tenant, Known::Id(token), at);
    }

    fn insert(&self, tenant: TenantId, known: Known, at: DateTime<Utc>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST || waiting.contains_key(&(tenant, known)) {
            waiting.insert((tenant, known), at);
        }
    }

    fn take(&self) -> Uses {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let mut uses = Uses::default();
        for ((tenant, known), at) in waiting {
            match known {
                Known::Digest(digest) => uses.by_digest.push((tenant, digest, at)),
                Known::Id(id) => uses.by_id.push((tenant, id, at)),
            }
        }
        uses
    }

    /// Writes what is waiting.
    ///
    /// # Errors
    /// When the database refuses; then these uses are forgotten.
    pub async fn write(&self, system: &System) -> Result<(), StoreError> {
        let uses = self.take();
        if uses.by_digest.is_empty() && uses.by_id.is_empty() {
            return Ok(());
        }
        system.tokens_used(&uses).await
    }

    /// Writes every few seconds until the stop, and once more then.
    pub async fn run(&self, system: &System, mut stop: watch::Receiver<bool>) {
        loop {
            let stopped = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => true,
                () = tokio::time::sleep(EVERY) => false,
            };
            if let Err(error) = self.write(system).await {
                tracing::warn!(%error, "cannot note when tokens were last used");
            }
            if stopped {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_use_counts_and_memory_is_bounded() {
        let uses = TokenUses::default();
        let tenant = TenantId(uuid::Uuid::from_u128(1));
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let digest = Digest::of(b"first");
        uses.note(tenant, digest, at(1));
        for number in 0..MOST {
            uses.note(tenant, Digest::of(&number.to_le_bytes()), at(2));
        }
        uses.note(tenant, digest, at(3));
        let taken = uses.take();
        assert_eq!(taken.by_digest.len(), MOST);
        assert!(taken.by_digest.contains(&(tenant, digest, at(3))));
        assert!(uses.take().by_digest.is_empty());
    }
}
