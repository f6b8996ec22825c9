//! Takes away what nobody needs: dists whose last version went long ago, row first; and bytes that no row names, once they are a day old.
//!
//! Bytes of tenants whom this database does not know are left alone: they may be another registry's, in the same place by mistake.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use cargoman_edge_protocol::TenantId;
use chrono::TimeDelta;
use futures::TryStreamExt;
use serde::Serialize;

use super::StoreDistError;
use crate::clock::now;
use crate::state::State;
use crate::storage::{Storage, Stored};
use crate::store::System;

/// Whoever stores something has so long to write its row.
pub const GRACE: TimeDelta = TimeDelta::hours(24);

/// How often the storage is gone through, by one of all control planes.
const EVERY_HOURS: i32 = 6;
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// Dists and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// How many.
    pub dists: u64,
    /// In all.
    pub bytes: u64,
}

impl Counted {
    /// One more.
    pub(super) fn add(&mut self, bytes: u64) {
        self.dists += 1;
        self.bytes += bytes;
    }
}

/// What was taken away, or would have been.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Dists that no version had needed for `storage.retention_days`.
    pub unneeded: Counted,
    /// Stored bytes that no row names.
    pub orphans: Counted,
    /// Bytes that no row names yet: somebody may be about to write it.
    pub young: u64,
    /// Bytes of tenants that are not in this database: left alone.
    pub of_strangers: u64,
    /// What writes left behind that a crash cut.
    pub unfinished: u64,
}

/// Goes through the storage now and then, for as long as the program runs.
pub(crate) async fn run(state: State) {
    loop {
        let system = state.database.system();
        match system.claim_dist_collection(EVERY_HOURS).await {
            Ok(false) => {}
            Ok(true) => match once(system, &state.storage, state.config.storage.retention_days, false).await {
                Ok(found) if found == Collected::default() => {}
                Ok(found) => tracing::info!(
                    unneeded = found.unneeded.dists,
                    orphans = found.orphans.dists,
                    bytes = found.unneeded.bytes + found.orphans.bytes,
                    young = found.young,
                    of_strangers = found.of_strangers,
                    "went through the storage"
                ),
                Err(error) => tracing::warn!(%error, "cannot go through the storage; trying again later"),
            },
            Err(error) => tracing::warn!(%error, "cannot ask when the storage was gone through; trying again later"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Goes through the storage once. `dry_run`: takes nothing away and says what would go.
///
/// # Errors
/// When database or storage fail; what was taken away until then is gone.
pub async fn once(
    system: &System,
    storage: &Storage,
    retention_days: u32,
    dry_run: bool,
) -> Result<Collected, StoreDistError> {
    let mut collected = Collected::default();
    system.mark_unneeded_dists().await?;
    unneeded(system, storage, retention_days, dry_run, &mut collected).await?;
    unlisted(system, storage, dry_run, &mut collected).await?;
    if !dry_run {
        let before = std::time::SystemTime::from(now() - GRACE);
        collected.unfinished = storage.remove_unfinished(before).await?;
    }
    Ok(collected)
}

async fn unneeded(
    system: &System,
    storage: &Storage,
    retention_days: u32,
    dry_run: bool,
    collected: &mut Collected,
) -> Result<(), StoreDistError> {
    let days = i32::try_from(retention_days).unwrap_or(i32::MAX);
    let mut last = None;
    loop {
        let page = system.unneeded_dists(days, last).await?;
        let Some(end) = page.last() else { return Ok(()) };
        last = Some(*end);
        for dist in &page {
            if dry_run || system.remove_unneeded_dist(dist, days).await? {
                collected.unneeded.add(u64::try_from(dist.size).unwrap_or_default());
            }
            if !dry_run {
                take(system, storage, Stored { tenant: dist.tenant, sha256: dist.sha256 }).await?;
            }
        }
    }
}

/// How many keys are compared with the rows at a time.
const PAGE: usize = 1_000;

async fn unlisted(
    system: &System,
    storage: &Storage,
    dry_run: bool,
    collected: &mut Collected,
) -> Result<(), StoreDistError> {
    let known: HashSet<TenantId> = system.tenant_ids().await?.into_iter().map(TenantId).collect();
    let mut stored = storage.list().await?.try_chunks(PAGE);
    while let Some(page) = stored.try_next().await.map_err(|error| error.1)? {
        for orphan in without_row(system, &page).await? {
            if !known.contains(&orphan.tenant) {
                collected.of_strangers += 1;
                continue;
            }
            let Some((size, written)) = storage.look(orphan).await? else { continue };
            if written > now() - GRACE {
                collected.young += 1;
            } else if dry_run || take(system, storage, orphan).await? {
                collected.orphans.add(size);
            }
        }
    }
    Ok(())
}

/// Those that no row names.
pub(super) async fn without_row(system: &System, page: &[Stored]) -> Result<Vec<Stored>, StoreDistError> {
    let mut by_tenant: BTreeMap<TenantId, Vec<String>> = BTreeMap::new();
    for one in page {
        by_tenant.entry(one.tenant).or_default().push(one.sha256.to_hex());
    }
    let mut listed = HashSet::new();
    for (tenant, digests) in by_tenant {
        let rows = system.listed_dists(tenant, &digests).await?;
        listed.extend(rows.into_iter().map(|digest| (tenant, digest)));
    }
    Ok(page.iter().copied().filter(|one| !listed.contains(&(one.tenant, one.sha256.to_hex()))).collect())
}

/// Takes bytes away that no row names and nobody is about to store; whether they went.
async fn take(system: &System, storage: &Storage, stored: Stored) -> Result<bool, StoreDistError> {
    let Some(held) = system.hold_unlisted_dist(stored.tenant, stored.sha256).await? else { return Ok(false) };
    storage.remove(stored).await?;
    held.release().await?;
    Ok(true)
}
