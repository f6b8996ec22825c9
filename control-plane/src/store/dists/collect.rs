//! What may be taken away from the storage. The rule stands in the database (`dist_is_needed`), and whoever takes something away holds
//! the lock that announcing it takes: between the look and the removal nobody can begin to need it.

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use uuid::Uuid;

use crate::store::{StoreError, System};

/// A dist that no version has needed for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unneeded {
    /// Whose.
    pub tenant: TenantId,
    /// Its digest.
    pub sha256: Digest,
    /// In bytes.
    pub size: i64,
}

/// Holds a dist that no row names: while it is held, nobody can begin to store it.
#[derive(Debug)]
pub struct Unlisted {
    transaction: sqlx::Transaction<'static, sqlx::Postgres>,
}

impl Unlisted {
    /// Lets go of it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn release(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }
}

impl System {
    /// Whether the storage is to be gone through now, by whoever asks first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim_dist_collection(&self, every_hours: i32) -> Result<bool, StoreError> {
        let claimed = sqlx::query!(
            "update dist_collection set begun_at = now() where begun_at < now() - make_interval(hours => $1)",
            every_hours
        );
        Ok(claimed.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Notes since when dists are not needed, and forgets it of those that are again.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn mark_unneeded_dists(&self) -> Result<(), StoreError> {
        sqlx::query!(
            "update dist set unneeded_since = null where unneeded_since is not null and dist_is_needed(tenant_id, sha256)"
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "update dist set unneeded_since = now() where unneeded_since is null and not dist_is_needed(tenant_id, sha256)"
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!("delete from dist_coming where announced_at < now() - interval '2 days'")
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Dists that have not been needed for `days`, after the last of the page before.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn unneeded_dists(&self, days: i32, after: Option<Unneeded>) -> Result<Vec<Unneeded>, StoreError> {
        let (tenant, sha256) = after.map(|last| (last.tenant.0, last.sha256.to_hex())).unwrap_or_default();
        let rows = sqlx::query!(
            "select tenant_id, sha256, size from dist
             where unneeded_since < now() - make_interval(days => $1) and (tenant_id, sha256) > ($2, $3) and not dist_is_needed(tenant_id, sha256)
             order by tenant_id, sha256 limit 500",
            days,
            tenant,
            sha256
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let sha256 = row.sha256.parse().map_err(|error| StoreError::inconsistent("dist", error))?;
                Ok(Unneeded { tenant: TenantId(row.tenant_id), sha256, size: row.size })
            })
            .collect()
    }

    /// Removes the row of a dist, if it has still not been needed for `days`; whether it went. Its bytes come after it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn remove_unneeded_dist(&self, dist: &Unneeded, days: i32) -> Result<bool, StoreError> {
        let mut transaction = crate::store::database::begin(&self.pool, None).await?;
        let sha256 = dist.sha256.to_hex();
        sqlx::query!("select from lock_dist($1, $2)", dist.tenant.0, sha256).execute(&mut *transaction).await?;
        let gone = sqlx::query!(
            "delete from dist where tenant_id = $1 and sha256 = $2 and unneeded_since < now() - make_interval(days => $3)
             and not dist_is_needed(tenant_id, sha256)",
            dist.tenant.0,
            sha256,
            days
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(gone.rows_affected() > 0)
    }

    /// Of these digests of one tenant those that have a row.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn listed_dists(&self, tenant: TenantId, digests: &[String]) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar!("select sha256 from dist where tenant_id = $1 and sha256 = any($2)", tenant.0, digests)
            .fetch_all(&self.pool)
            .await?)
    }

    /// Ids of all tenants.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tenant_ids(&self) -> Result<Vec<Uuid>, StoreError> {
        Ok(sqlx::query_scalar!("select id from tenant").fetch_all(&self.pool).await?)
    }

    /// Holds a dist, if no row names it and nobody is about to store it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn hold_unlisted_dist(&self, tenant: TenantId, sha256: Digest) -> Result<Option<Unlisted>, StoreError> {
        let mut transaction = crate::store::database::begin(&self.pool, None).await?;
        let sha256 = sha256.to_hex();
        // The storage is asked while the lock is held; it may take its time.
        sqlx::query!("set local idle_in_transaction_session_timeout = '2min'").execute(&mut *transaction).await?;
        sqlx::query!("select from lock_dist($1, $2)", tenant.0, sha256).execute(&mut *transaction).await?;
        let wanted = sqlx::query_scalar!(
            r#"select exists (select from dist where tenant_id = $1 and sha256 = $2) or dist_is_needed($1, $2) as "wanted!""#,
            tenant.0,
            sha256
        )
        .fetch_one(&mut *transaction)
        .await?;
        Ok((!wanted).then_some(Unlisted { transaction }))
    }
}
