//! Releases that wait before anybody sees them, and those that may be made anew because nobody ever had them.

use cargoman_edge_protocol::TenantId;

use crate::domain::id::{PackageId, VersionId};
use crate::store::{StoreError, System, TenantTransaction};

/// Has a new release wait, if its package's releases do.
///
/// # Errors
/// When the database refuses.
pub async fn hold(
    transaction: &mut TenantTransaction,
    package: PackageId,
    version: VersionId,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update version v set held_at = now(), release_at = now() + make_interval(hours => p.release_delay_hours)
         from package p where p.tenant_id = $1 and p.id = $2 and p.releases is not null and v.tenant_id = $1 and v.id = $3",
        tenant,
        package.0,
        version.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Which of those that wait are released.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// The one with this normalized version.
    One(&'a str),
    /// Those whose time has come.
    Due,
}

/// Makes visible what waits; what it was. It counts as published now, unless it is much older than its first sight here: then it is
/// history, which a first sync has dated by its tag.
///
/// # Errors
/// When the database refuses.
pub async fn release(
    transaction: &mut TenantTransaction,
    package: PackageId,
    which: Which<'_>,
) -> Result<Vec<String>, StoreError> {
    let tenant = transaction.tenant().0;
    let one = match which {
        Which::One(normalized) => Some(normalized),
        Which::Due => None,
    };
    Ok(sqlx::query_scalar!(
        "with released as (
             update version set held_at = null, release_at = null
             where tenant_id = $1 and package_id = $2 and held_at is not null
               and case when $3::text is null then release_at <= now() else normalized = $3 end
             returning id, normalized, pretty, reference, created_at
         ), dated as (
             update version_reference r set published_at = now() from released v
             where r.tenant_id = $1 and r.version_id = v.id and r.reference = v.reference
               and r.published_at > v.created_at - interval '1 hour'
             returning v.normalized, r.reference
         ), kept as (
             insert into publication (tenant_id, package_name, normalized, reference, published_at)
             select $1, p.name, d.normalized, d.reference, now() from dated d join package p on p.tenant_id = $1 and p.id = $2
             on conflict (tenant_id, package_name, normalized, reference) do update set published_at = excluded.published_at
         )
         select pretty from released order by pretty",
        tenant,
        package.0,
        one
    )
    .fetch_all(transaction.connection())
    .await?)
}

impl System {
    /// Packages with releases whose time has come, `most` at once.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn due_releases(&self, most: i64) -> Result<Vec<(TenantId, PackageId)>, StoreError> {
        let rows = sqlx::query!(
            "select distinct tenant_id, package_id from version where release_at <= now() order by tenant_id, package_id limit $1",
            most
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (TenantId(row.tenant_id), PackageId(row.package_id))).collect())
    }
}

/// How often a release is known to have been served: downloads and reports of installations.
///
/// # Errors
/// When the database refuses.
pub async fn served(transaction: &mut TenantTransaction, name: &str, normalized: &str) -> Result<i64, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_scalar!(
        r#"select (coalesce((select sum(downloads) from download_count where tenant_id = $1 and package_name = $2 and normalized = $3), 0)
                 + coalesce((select sum(installs) from install_count where tenant_id = $1 and package_name = $2 and normalized = $3), 0))::bigint as "served!""#,
        tenant,
        name,
        normalized
    )
    .fetch_one(transaction.connection())
    .await?)
}

/// Lets a release follow its tag to another commit, once; the next sync of the package that is returned looks at the tag anew.
///
/// # Errors
/// When the database refuses.
pub async fn allow_replacement(
    transaction: &mut TenantTransaction,
    package: PackageId,
    normalized: &str,
) -> Result<PackageId, StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update version set replaceable = true where tenant_id = $1 and package_id = $2 and normalized = $3",
        tenant,
        package.0,
        normalized
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!(
        "delete from git_ref using version v where git_ref.tenant_id = $1 and git_ref.package_id = $2 and git_ref.name = v.ref_name
           and v.tenant_id = $1 and v.package_id = $2 and v.normalized = $3",
        tenant,
        package.0,
        normalized
    )
    .execute(transaction.connection())
    .await?;
    let read = sqlx::query_scalar!(
        "update package p set refs_digest = null, rereads = coalesce(rereads, 0) + 1
         where p.tenant_id = $1 and p.id = (select coalesce(c.parent_id, c.id) from package c where c.tenant_id = $1 and c.id = $2)
         returning p.id",
        tenant,
        package.0
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(PackageId(read))
}

/// Forgets the commit that a replaced release had: nobody had it, and nobody shall.
///
/// # Errors
/// When the database refuses.
pub async fn forget_replaced(
    transaction: &mut TenantTransaction,
    version: VersionId,
    (name, normalized, reference): (&str, &str, &str),
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "delete from version_reference where tenant_id = $1 and version_id = $2 and reference = $3",
        tenant,
        version.0,
        reference
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!(
        "delete from publication where tenant_id = $1 and package_name = $2 and normalized = $3 and reference = $4",
        tenant,
        name,
        normalized,
        reference
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
