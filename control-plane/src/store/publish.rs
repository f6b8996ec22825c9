//! How versions come into being: what a sync found, or somebody uploaded, is written here, each piece whole.
//!
//! A version row always points to a stored dist, so that metadata and bytes cannot disagree. The bytes of a reference and the
//! time of its first sight never change once written.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::domain::id::{PackageId, VersionId};
use crate::store::{StoreError, TenantTransaction, releases};

/// A version that a sync found.
#[derive(Debug, Clone)]
pub struct FoundVersion {
    /// As compared.
    pub normalized: String,
    /// As written.
    pub pretty: String,
    /// Its stability.
    pub stability: String,
    /// From a branch, whose reference may move; else from a tag, whose reference may not.
    pub branch: bool,
    /// The ref it comes from.
    pub ref_name: String,
    /// Whether it is the default branch.
    pub default_branch: bool,
    /// Further normalized names.
    pub aliases: Vec<String>,
    /// The version object of the p2 file.
    pub metadata: Value,
    /// The commit.
    pub reference: String,
    /// When the reference counts as published, unless it was seen before.
    pub published_at: DateTime<Utc>,
    /// SHA-256 of the stored dist.
    pub dist_sha256: String,
}

/// What became of a found version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It is new.
    Added,
    /// It shows another commit, or other metadata, than before.
    Updated,
    /// It shows another commit than before, which nobody had: an owner said that it may.
    Replaced,
    /// It was there already.
    Same,
    /// It is a stable version that would move to another commit: refused, the old bytes stay.
    Moved,
    /// It was uploaded: refused, the upload stays.
    Uploaded,
}

/// A version as it is published now.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Id.
    pub id: VersionId,
    /// As written.
    pub pretty: String,
    /// The commit shown.
    pub reference: String,
    /// From a branch.
    pub branch: bool,
    /// The ref it comes from.
    pub ref_name: String,
    /// Uploaded: it comes from no ref.
    pub uploaded: bool,
    /// Its tag is known to be gone.
    pub gone: bool,
}

/// What is published of a package, by normalized version.
///
/// # Errors
/// When the database refuses.
pub async fn standing(
    transaction: &mut TenantTransaction,
    package: PackageId,
) -> Result<BTreeMap<String, Standing>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query!(
        "select id, normalized, pretty, reference, kind, ref_name, gone_at from version where tenant_id = $1 and package_id = $2",
        tenant,
        package.0
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let standing = Standing {
                id: VersionId(row.id),
                pretty: row.pretty,
                reference: row.reference,
                branch: row.kind == "branch",
                ref_name: row.ref_name,
                uploaded: row.kind == UPLOAD,
                gone: row.gone_at.is_some(),
            };
            (row.normalized, standing)
        })
        .collect())
}

/// Writes one found version. The package must have been touched in this transaction, and the dist be stored.
///
/// # Errors
/// When the database refuses.
pub async fn version(
    transaction: &mut TenantTransaction,
    package: PackageId,
    name: &str,
    found: &FoundVersion,
) -> Result<Published, StoreError> {
    let tenant = transaction.tenant().0;
    let kind = if found.branch { "branch" } else { "tag" };
    let before = sqlx::query!(
        "select id, reference, kind, metadata, replaceable, held_at from version where tenant_id = $1 and package_id = $2 and normalized = $3",
        tenant,
        package.0,
        found.normalized
    )
    .fetch_optional(transaction.connection())
    .await?;
    let earlier = before.as_ref().map(|row| row.reference.clone());
    let replaceable = match &before {
        Some(row) if row.replaceable == Some(true) => {
            // It may have been downloaded since somebody said that it may change.
            row.held_at.is_some() || releases::served(transaction, name, &found.normalized).await? == 0
        }
        _ => false,
    };
    let (id, outcome) = match before {
        Some(row) if row.kind == UPLOAD => return Ok(Published::Uploaded),
        Some(row) if row.kind == "tag" && row.reference != found.reference && replaceable => {
            (row.id, Published::Replaced)
        }
        Some(row) if row.kind == "tag" && row.reference != found.reference => return Ok(Published::Moved),
        Some(row) if row.reference == found.reference && row.metadata == found.metadata => (row.id, Published::Same),
        Some(row) => (row.id, Published::Updated),
        None if !found.branch && had_another(transaction, name, found).await? => return Ok(Published::Moved),
        None => (VersionId::new().0, Published::Added),
    };
    sqlx::query!(
        "insert into version (tenant_id, id, package_id, normalized, pretty, stability, kind, ref_name, default_branch, aliases, metadata, reference)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::json, $12)
         on conflict (tenant_id, id) do update
         set pretty = $5, stability = $6, kind = $7, ref_name = $8, default_branch = $9, aliases = $10, metadata = excluded.metadata, reference = $12
           , updated_at = now(), gone_at = null, replaceable = null",
        tenant,
        id,
        package.0,
        found.normalized,
        found.pretty,
        found.stability,
        kind,
        found.ref_name,
        found.default_branch,
        &found.aliases,
        text(&found.metadata),
        found.reference
    )
    .execute(transaction.connection())
    .await?;
    reference(transaction, VersionId(id), name, found).await?;
    match (outcome, earlier) {
        (Published::Added, _) if !found.branch => releases::hold(transaction, package, VersionId(id)).await?,
        (Published::Replaced, Some(earlier)) => {
            releases::forget_replaced(transaction, VersionId(id), (name, &found.normalized, &earlier)).await?;
        }
        _ => {}
    }
    Ok(outcome)
}

const UPLOAD: &str = "upload";

/// JSON as text: the driver would hand it over as `jsonb`, which forgets the order of keys, and Composer compares maps in order.
fn text(metadata: &Value) -> String {
    metadata.to_string()
}

/// What became of an uploaded version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uploaded {
    /// It is new.
    Added,
    /// The very same was uploaded before.
    Same,
    /// It was uploaded before with other bytes.
    OtherBytes,
    /// It was uploaded before with the same bytes, but a composer.json beside them that said something else.
    OtherMetadata,
    /// It comes from the repository.
    FromRepository,
}

/// Writes one uploaded version, which never changes afterwards. The package must be locked in this transaction, and the dist be
/// stored. `metadata_given`: the composer.json came beside the zip, so that equal bytes do not say that it is equal.
///
/// # Errors
/// When the database refuses.
pub async fn upload(
    transaction: &mut TenantTransaction,
    package: PackageId,
    name: &str,
    found: &FoundVersion,
    metadata_given: bool,
) -> Result<Uploaded, StoreError> {
    let tenant = transaction.tenant().0;
    let before = sqlx::query!(
        "select reference, kind, metadata from version where tenant_id = $1 and package_id = $2 and normalized = $3",
        tenant,
        package.0,
        found.normalized
    )
    .fetch_optional(transaction.connection())
    .await?;
    if let Some(row) = before {
        return Ok(match row {
            _ if row.kind != UPLOAD => Uploaded::FromRepository,
            _ if row.reference != found.reference => Uploaded::OtherBytes,
            _ if metadata_given && !same_but_for_time(&row.metadata, &found.metadata) => Uploaded::OtherMetadata,
            _ => Uploaded::Same,
        });
    }
    let id = VersionId::new();
    sqlx::query!(
        "insert into version (tenant_id, id, package_id, normalized, pretty, stability, kind, ref_name, aliases, metadata, reference)
         values ($1, $2, $3, $4, $5, $6, 'upload', $7, $8, $9::text::json, $10)",
        tenant,
        id.0,
        package.0,
        found.normalized,
        found.pretty,
        found.stability,
        found.ref_name,
        &found.aliases,
        text(&found.metadata),
        found.reference
    )
    .execute(transaction.connection())
    .await?;
    reference(transaction, id, name, found).await?;
    releases::hold(transaction, package, id).await?;
    Ok(Uploaded::Added)
}

/// `time` is that of the upload where the manifest says none.
fn same_but_for_time(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one == other };
    let without = |map: &serde_json::Map<String, Value>| {
        let mut map = map.clone();
        map.shift_remove("time");
        map
    };
    without(one) == without(other)
}

async fn reference(
    transaction: &mut TenantTransaction,
    version: VersionId,
    name: &str,
    found: &FoundVersion,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    let published_at = sqlx::query_scalar!(
        "insert into publication (tenant_id, package_name, normalized, reference, published_at) values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, package_name, normalized, reference) do update set published_at = publication.published_at
         returning published_at",
        tenant,
        name,
        found.normalized,
        found.reference,
        found.published_at
    )
    .fetch_one(transaction.connection())
    .await?;
    sqlx::query!(
        "insert into version_reference (tenant_id, version_id, reference, published_at, dist_sha256) values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, version_id, reference) do nothing",
        tenant,
        version.0,
        found.reference,
        published_at,
        found.dist_sha256
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Whether the same release was another commit once: whoever has that one in a lock must never get other bytes under its name (G-L4).
async fn had_another(
    transaction: &mut TenantTransaction,
    name: &str,
    found: &FoundVersion,
) -> Result<bool, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_scalar!(
        r#"select exists (select from publication where tenant_id = $1 and package_name = $2 and normalized = $3)
              and not exists (select from publication where tenant_id = $1 and package_name = $2 and normalized = $3 and reference = $4) as "had!""#,
        tenant,
        name,
        found.normalized,
        found.reference
    )
    .fetch_one(transaction.connection())
    .await?)
}

/// Notes that the tag of a version is gone; what was released stays.
///
/// # Errors
/// When the database refuses.
pub async fn tag_gone(transaction: &mut TenantTransaction, version: VersionId) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!("update version set gone_at = now() where tenant_id = $1 and id = $2", tenant, version.0)
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// Takes a version away whose branch is gone.
///
/// # Errors
/// When the database refuses.
pub async fn remove(transaction: &mut TenantTransaction, version: VersionId) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!("delete from version where tenant_id = $1 and id = $2", tenant, version.0)
        .execute(transaction.connection())
        .await?;
    Ok(())
}
