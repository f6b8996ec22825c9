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

/// Sets a vendor, known before or not.
///
/// # Errors
/// When the database refuses.
pub async fn put(
    transaction: &mut TenantTransaction,
    name: &str,
    exclusive: bool,
    public_names: &[String],
) -> Result<Vendor, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_as!(
        Vendor,
        "insert into vendor (tenant_id, name, exclusive, public_names) values ($1, $2, $3, $4)
         on conflict (tenant_id, name) do update set exclusive = $3, public_names = $4, updated_at = now()
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
