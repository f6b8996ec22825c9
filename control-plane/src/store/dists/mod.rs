//! Which dists are stored. Rows come after the bytes, and go before them.

mod collect;
mod reread;
mod scrub;

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;

pub use self::collect::{Unlisted, Unneeded};
pub use self::reread::reread;
pub use self::scrub::{DistRow, User};
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
    /// Says that a dist is about to be stored. Bytes that are there already stay for the next 24 hours, whatever is known of them;
    /// whoever takes them away at this moment is waited for.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn announce_dist(&self, tenant: TenantId, sha256: Digest) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into dist_coming (tenant_id, sha256) select $1, $2 from lock_dist($1, $2)
             on conflict (tenant_id, sha256) do update set announced_at = now()",
            tenant.0,
            sha256.to_hex()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

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
