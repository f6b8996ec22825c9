//! Which dists are stored. Rows come after the bytes.

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;

use crate::store::{StoreError, System, TenantTransaction};

/// Notes a stored dist.
///
/// # Errors
/// When the database refuses.
pub async fn insert(
    transaction: &mut TenantTransaction,
    sha256: &str,
    sha1: &str,
    size: i64,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "insert into dist (tenant_id, sha256, sha1, size) values ($1, $2, $3, $4) on conflict do nothing",
        tenant,
        sha256,
        sha1,
        size
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

impl System {
    /// Size in bytes of a tenant's dist; none when it has no such dist.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn dist_size(&self, tenant: TenantId, sha256: Digest) -> Result<Option<i64>, StoreError> {
        Ok(sqlx::query_scalar!("select size from dist where tenant_id = $1 and sha256 = $2", tenant.0, sha256.to_hex())
            .fetch_optional(&self.pool)
            .await?)
    }
}
