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
              , v.taken_down_at, v.taken_down_reason, v.gone_at, v.held_at, v.release_at, v.deprecated_at, v.replacement
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

/// The version of that name, pretty or normalized; the normalized one wins.
///
/// # Errors
/// When the database refuses.
pub async fn find(
    transaction: &mut TenantTransaction,
    package: PackageId,
    text: &str,
) -> Result<Option<Version>, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_as!(
        Version,
        "select v.pretty as version, v.normalized as version_normalized, v.stability, v.kind, v.reference, r.published_at, v.yanked_at
              , v.taken_down_at, v.taken_down_reason, v.gone_at, v.held_at, v.release_at, v.deprecated_at, v.replacement
              , d.sha1 as dist_sha1, d.sha256 as dist_sha256, d.size as dist_size
         from version v
         join version_reference r on r.tenant_id = v.tenant_id and r.version_id = v.id and r.reference = v.reference
         join dist d on d.tenant_id = r.tenant_id and d.sha256 = r.dist_sha256
         where v.tenant_id = $1 and v.package_id = $2 and (v.normalized = $3 or v.pretty = $3)
         order by v.normalized = $3 desc limit 1",
        tenant,
        package.0,
        text
    )
    .fetch_optional(transaction.connection())
    .await?)
}

/// What an operator decides about a version.
#[derive(Debug, Clone)]
pub enum Withdrawal {
    /// Left out of metadata since then; or put back.
    Yanked(Option<DateTime<Utc>>),
    /// Given to nobody since then, and why; or put back.
    TakenDown(Option<(DateTime<Utc>, String)>),
    /// Advised against since then, and what to use instead; or not any more.
    Deprecated(Option<(DateTime<Utc>, Option<String>)>),
}

/// Notes what an operator decided about a version.
///
/// # Errors
/// When the database refuses.
pub async fn withdraw(
    transaction: &mut TenantTransaction,
    package: PackageId,
    normalized: &str,
    decided: &Withdrawal,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    let query = match decided {
        Withdrawal::Yanked(at) => sqlx::query!(
            "update version set yanked_at = $4 where tenant_id = $1 and package_id = $2 and normalized = $3",
            tenant,
            package.0,
            normalized,
            *at
        ),
        Withdrawal::TakenDown(taken) => sqlx::query!(
            "update version set taken_down_at = $4, taken_down_reason = $5 where tenant_id = $1 and package_id = $2 and normalized = $3",
            tenant,
            package.0,
            normalized,
            taken.as_ref().map(|(at, _)| *at),
            taken.as_ref().map(|(_, reason)| reason.as_str())
        ),
        Withdrawal::Deprecated(deprecated) => sqlx::query!(
            "update version set deprecated_at = $4, replacement = $5 where tenant_id = $1 and package_id = $2 and normalized = $3",
            tenant,
            package.0,
            normalized,
            deprecated.as_ref().map(|(at, _)| *at),
            deprecated.as_ref().and_then(|(_, replacement)| replacement.as_deref())
        ),
    };
    query.execute(transaction.connection()).await?;
    Ok(())
}

/// Corrects when a reference of a version counts as published, here and beside the package, so that deleting and adding it again
/// keeps the correction. The instant before; none when the version never had that reference.
///
/// # Errors
/// When the database refuses.
pub async fn set_published_at(
    transaction: &mut TenantTransaction,
    package: PackageId,
    normalized: &str,
    reference: &str,
    at: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let tenant = transaction.tenant().0;
    let before = sqlx::query_scalar!(
        "select r.published_at from version v
         join version_reference r on r.tenant_id = v.tenant_id and r.version_id = v.id and r.reference = $4
         where v.tenant_id = $1 and v.package_id = $2 and v.normalized = $3",
        tenant,
        package.0,
        normalized,
        reference
    )
    .fetch_optional(transaction.connection())
    .await?;
    if before.is_none() {
        return Ok(None);
    }
    sqlx::query!(
        "update version_reference r set published_at = $5 from version v
         where v.tenant_id = $1 and v.package_id = $2 and v.normalized = $3
           and r.tenant_id = v.tenant_id and r.version_id = v.id and r.reference = $4",
        tenant,
        package.0,
        normalized,
        reference,
        at
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!(
        "insert into publication (tenant_id, package_name, normalized, reference, published_at)
         select $1, name, $3, $4, $5 from package where tenant_id = $1 and id = $2
         on conflict (tenant_id, package_name, normalized, reference) do update set published_at = excluded.published_at",
        tenant,
        package.0,
        normalized,
        reference,
        at
    )
    .execute(transaction.connection())
    .await?;
    Ok(before)
}
