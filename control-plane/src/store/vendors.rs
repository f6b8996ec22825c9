//! Vendors of a tenant.

use crate::domain::tenant::Vendor;
use crate::store::{StoreError, TenantTransaction};

/// All vendors, by name.
///
/// # Errors
/// When the database refuses.
pub async fn list(transaction: &mut TenantTransaction) -> Result<Vec<Vendor>, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_as!(
        Vendor,
        "select name, exclusive, public_names from vendor where tenant_id = $1 order by name",
        tenant
    )
    .fetch_all(transaction.connection())
    .await?)
}

/// Sets a vendor, known before or not; what is not given stays. A new one is exclusive and has no public names.
///
/// # Errors
/// When the database refuses.
pub async fn put(
    transaction: &mut TenantTransaction,
    name: &str,
    exclusive: Option<bool>,
    public_names: Option<&[String]>,
) -> Result<Vendor, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_as!(
        Vendor,
        "insert into vendor (tenant_id, name, exclusive, public_names) values ($1, $2, coalesce($3::bool, true), coalesce($4::text[], '{}'))
         on conflict (tenant_id, name) do update
         set exclusive = coalesce($3, vendor.exclusive), public_names = coalesce($4, vendor.public_names), updated_at = now()
         returning name, exclusive, public_names",
        tenant,
        name,
        exclusive,
        public_names
    )
    .fetch_one(transaction.connection())
    .await?)
}

/// Makes a vendor known as exclusive, unless someone already decided about it.
/// True when it was new.
///
/// # Errors
/// When the database refuses.
pub async fn claim(transaction: &mut TenantTransaction, name: &str) -> Result<bool, StoreError> {
    let tenant = transaction.tenant().0;
    let done = sqlx::query!(
        "insert into vendor (tenant_id, name, exclusive) values ($1, $2, true) on conflict do nothing",
        tenant,
        name
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() > 0)
}
