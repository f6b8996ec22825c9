//! What a sync has to know of a package before it begins, and what it leaves behind when it is over.

use cargoman_composer::name::PackageName;
use chrono::{DateTime, Utc};

use crate::domain::id::PackageId;
use crate::store::{StoreError, TenantTransaction};

/// What a sync has to know of a package before it begins.
#[derive(Debug, Clone)]
pub struct SyncState {
    /// Its name.
    pub name: PackageName,
    /// Where it is read from.
    pub repository_url: Option<String>,
    /// The default branch at the last whole sync.
    pub default_branch: Option<String>,
    /// Digest of the ref listing at the last whole sync.
    pub refs_digest: Option<String>,
    /// How often that was to be forgotten.
    pub rereads: i64,
    /// Whether a whole sync has ever ended: then what is new is dated now.
    pub synced_before: bool,
    /// Why it must not be read.
    pub frozen_reason: Option<String>,
    /// Patterns of the folders that are packages of their own.
    pub monorepo: Option<Vec<String>>,
    /// How the tags of those are written.
    pub tag_pattern: Option<String>,
    /// Patterns of the branches that are versions; none: all.
    pub branches: Option<Vec<String>>,
    /// What becomes of a release whose tag is gone: `keep` or `remove`.
    pub deleted_tags: String,
}

/// What a sync has to know of a package before it begins; none when it is gone.
///
/// # Errors
/// When the database refuses.
pub async fn sync_state(transaction: &mut TenantTransaction, id: PackageId) -> Result<Option<SyncState>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query!(
        "select name, repository_url, default_branch, refs_digest, rereads, first_synced_at, frozen_reason, monorepo, tag_pattern, branches, deleted_tags from package where tenant_id = $1 and id = $2",
        tenant,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(SyncState {
        name: PackageName::parse(&row.name).map_err(|error| StoreError::inconsistent("package", error))?,
        repository_url: row.repository_url,
        default_branch: row.default_branch,
        refs_digest: row.refs_digest,
        rereads: row.rereads.unwrap_or(0),
        synced_before: row.first_synced_at.is_some(),
        frozen_reason: row.frozen_reason,
        monorepo: row.monorepo,
        tag_pattern: row.tag_pattern,
        branches: row.branches,
        deleted_tags: row.deleted_tags.unwrap_or_else(|| "keep".to_owned()),
    }))
}

/// Notes that a whole sync ended. The digest of the refs it read is kept unless somebody asked meanwhile, that is since there were
/// `rereads`, for them to be read as if never seen.
///
/// # Errors
/// When the database refuses.
pub async fn synced(
    transaction: &mut TenantTransaction,
    id: PackageId,
    default_branch: Option<&str>,
    refs_digest: Option<(&str, i64)>,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update package set default_branch = coalesce($3, default_branch)
              , refs_digest = case when coalesce(rereads, 0) = $6 then coalesce($4, refs_digest) else refs_digest end
              , first_synced_at = coalesce(first_synced_at, $5), synced_at = $5, sync_error = null
         where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        default_branch,
        refs_digest.map(|(digest, _)| digest),
        at,
        refs_digest.map(|(_, rereads)| rereads)
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Notes why a sync failed.
///
/// # Errors
/// When the database refuses.
pub async fn sync_failed(transaction: &mut TenantTransaction, id: PackageId, error: &str) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!("update package set sync_error = $3 where tenant_id = $1 and id = $2", tenant, id.0, error)
        .execute(transaction.connection())
        .await?;
    Ok(())
}
