//! Packages that are made by the sync of another one.

use cargoman_composer::name::PackageName;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::id::PackageId;
use crate::store::{StoreError, TenantTransaction};

/// A package of a monorepo.
#[derive(Debug, Clone, Serialize)]
pub struct Child {
    /// Id.
    pub id: PackageId,
    /// `vendor/name`.
    pub name: String,
    /// Its folder, where it was last.
    pub path: String,
    /// How many versions are published.
    pub versions: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The packages that the sync of `parent` makes, by name.
///
/// # Errors
/// When the database refuses.
pub async fn children(transaction: &mut TenantTransaction, parent: PackageId) -> Result<Vec<Child>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query!(
        r#"select id, name, coalesce(path, '') as "path!", created_at
                , (select count(*) from version v where v.tenant_id = p.tenant_id and v.package_id = p.id) as "versions!"
         from package p where tenant_id = $1 and parent_id = $2 order by name collate "C""#,
        tenant,
        parent.0
    )
    .fetch_all(transaction.connection())
    .await?;
    let child = |row: (uuid::Uuid, String, String, i64, DateTime<Utc>)| Child {
        id: PackageId(row.0),
        name: row.1,
        path: row.2,
        versions: row.3,
        created_at: row.4,
    };
    Ok(rows.into_iter().map(|row| child((row.id, row.name, row.path, row.versions, row.created_at))).collect())
}

/// The names of the tenant's packages that `parent` does not make.
///
/// # Errors
/// When the database refuses.
pub async fn other_names(transaction: &mut TenantTransaction, parent: PackageId) -> Result<Vec<String>, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_scalar!(
        "select name from package where tenant_id = $1 and id <> $2 and parent_id is distinct from $2",
        tenant,
        parent.0
    )
    .fetch_all(transaction.connection())
    .await?)
}

/// Makes a package of a monorepo. Conflicts with `package_name_taken`.
///
/// # Errors
/// When the name is taken or the database refuses.
pub async fn insert(
    transaction: &mut TenantTransaction,
    parent: PackageId,
    name: &PackageName,
    path: &str,
) -> Result<PackageId, StoreError> {
    let tenant = transaction.tenant().0;
    let id = PackageId::new();
    sqlx::query!(
        "insert into package (tenant_id, id, name, repository_type, fork, source, releases, release_delay_hours, parent_id, path)
         select tenant_id, $3, $4, repository_type, fork, source, releases, release_delay_hours, id, $5 from package where tenant_id = $1 and id = $2",
        tenant,
        parent.0,
        id.0,
        name.as_str(),
        path
    )
    .execute(transaction.connection())
    .await?;
    Ok(id)
}

/// Notes where a package lies now.
///
/// # Errors
/// When the database refuses.
pub async fn moved(transaction: &mut TenantTransaction, child: PackageId, path: &str) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!("update package set path = $3 where tenant_id = $1 and id = $2", tenant, child.0, path)
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// Lets the packages of a monorepo stay as they are, and belong to nothing.
///
/// # Errors
/// When the database refuses.
pub async fn release(transaction: &mut TenantTransaction, parent: PackageId) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update package set parent_id = null, path = null, repository_type = 'artifact' where tenant_id = $1 and parent_id = $2",
        tenant,
        parent.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Notes that a whole sync of `parent` ended, in which nothing was new.
///
/// # Errors
/// When the database refuses.
pub async fn children_synced(
    transaction: &mut TenantTransaction,
    parent: PackageId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update package set synced_at = $3, sync_error = null where tenant_id = $1 and parent_id = $2",
        tenant,
        parent.0,
        at
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
