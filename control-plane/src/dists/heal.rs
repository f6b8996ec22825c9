//! A dist whose bytes are missing or wrong: its package is read again, which writes it anew with the same bytes, for a zip is made of
//! a commit alone. What no repository gives, an upload or an earlier commit of a branch, only a backup can bring back.

use std::time::Duration;

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use moka::sync::Cache;

use crate::store::{Actor, Database, StoreError, TenantTransaction, dists};

/// A package is not read again and again for a dist that does not come back.
const AGAIN: Duration = Duration::from_secs(300);
const MOST_REMEMBERED: u64 = 10_000;

/// Asks for what is broken to be made anew, each dist once in a while.
#[derive(Debug, Clone)]
pub struct Healer {
    asked: Cache<(TenantId, Digest), ()>,
}

impl Default for Healer {
    fn default() -> Self {
        Self { asked: Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(AGAIN).build() }
    }
}

impl Healer {
    /// Notes that a dist is broken. Does not wait for what comes of it.
    pub fn note(&self, database: &Database, tenant: TenantId, sha256: Digest, what: &'static str) {
        let new = self.asked.entry((tenant, sha256)).or_insert(()).is_fresh();
        if !new {
            return;
        }
        let database = database.clone();
        tokio::spawn(async move {
            match ask(&database, tenant, sha256).await {
                Ok(packages) if packages.is_empty() => tracing::error!(
                    %tenant, %sha256,
                    "a dist is {what}, and no repository gives it again: restore it from a backup; `cargoman storage verify` names its versions"
                ),
                Ok(packages) => {
                    tracing::error!(%tenant, %sha256, ?packages, "a dist is {what}: its packages are read again to make it anew");
                }
                Err(error) => {
                    tracing::error!(%error, %tenant, %sha256, "a dist is {what}, and its packages cannot be read again")
                }
            }
        });
    }
}

/// Asks for a dist to be made anew; the packages that are read again for it.
///
/// # Errors
/// When the database refuses.
pub async fn ask(database: &Database, tenant: TenantId, sha256: Digest) -> Result<Vec<String>, StoreError> {
    let mut transaction = TenantTransaction::begin(database, tenant, Actor::Job("heal".to_owned())).await?;
    let packages = dists::reread(&mut transaction, sha256).await?;
    transaction.commit().await?;
    Ok(packages)
}
