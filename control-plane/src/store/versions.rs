//! Versions as the API shows and changes them. How they come into being stands in `publish`.

use chrono::{DateTime, Utc};

use crate::domain::id::PackageId;
use crate::domain::package::Version;
use crate::store::{StoreError, TenantTransaction};

/// All versions of a package, unordered: the order is Composer's, which SQL does not know.
///
/// # Errors
/// When the database refuses.
pub async fn list(transaction: &mut TenantTransaction, package: PackageId) -> Result<Vec<Version>, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_as!(
        Version,
        "select v.pretty as version, v.normalized as version_normalized, v.stability, v.kind, v.reference, r.published_at, v.yanked_at
              , d.sha1 as dist_sha1, d.sha256 as dist_sha256, d.size as dist_size
         from version v
         join version_reference r on r.tenant_id = v.tenant_id and r.version_id = v.id and r.reference = v.reference
         join dist d on d.tenant_id = r.tenant_id and d.sha256 = r.dist_sha256
         where v.tenant_id = $1 and v.package_id = $2",
        tenant,
        package.0
    )
    .fetch_all(transaction.connection())
    .await?)
}

/// Takes a version out of metadata, or puts it back. False when there is no such version.
///
/// # Errors
/// When the database refuses.
pub async fn set_yanked(
    transaction: &mut TenantTransaction,
    package: PackageId,
    normalized: &str,
    at: Option<DateTime<Utc>>,
) -> Result<bool, StoreError> {
    let tenant = transaction.tenant().0;
    let done = sqlx::query!(
        "update version set yanked_at = $4 where tenant_id = $1 and package_id = $2 and normalized = $3",
        tenant,
        package.0,
        normalized,
        at
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() > 0)
}
