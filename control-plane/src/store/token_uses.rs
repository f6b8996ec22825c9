//! When tokens were last used.

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use chrono::{DateTime, Utc};

use crate::domain::id::TokenId;
use crate::store::{StoreError, System};

/// Uses of tokens, ready to be written.
#[derive(Debug, Default)]
pub struct Uses {
    /// By digest.
    pub by_digest: Vec<(TenantId, Digest, DateTime<Utc>)>,
    /// By id.
    pub by_id: Vec<(TenantId, TokenId, DateTime<Utc>)>,
}

impl System {
    /// Notes uses. Digests and ids that are no tokens count for nothing, and no use is ever moved back.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tokens_used(&self, uses: &Uses) -> Result<(), StoreError> {
        let all = uses.by_digest.iter().map(|(tenant, digest, at)| (tenant.0, Some(digest.to_hex()), None, *at));
        let all = all.chain(uses.by_id.iter().map(|(tenant, id, at)| (tenant.0, None, Some(id.0), *at)));
        let (mut tenants, mut digests, mut ids, mut times) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (tenant, digest, id, at) in all {
            tenants.push(tenant);
            digests.push(digest);
            ids.push(id);
            times.push(at);
        }
        // Locked in one order, so that two instances do not wait for each other.
        sqlx::query!(
            r#"with used as (
                 select t.tenant_id, t.id, max(u.at) as at
                 from unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[]) as u (tenant_id, digest, id, at)
                 join token t on t.tenant_id = u.tenant_id and (t.digest = u.digest or t.id = u.id)
                 group by t.tenant_id, t.id
               ), locked as (
                 select t.tenant_id, t.id, used.at
                 from token t join used on used.tenant_id = t.tenant_id and used.id = t.id
                 order by t.tenant_id, t.id for no key update of t
               )
               update token set last_used_at = greatest(token.last_used_at, locked.at)
               from locked where token.tenant_id = locked.tenant_id and token.id = locked.id"#,
            &tenants,
            &digests as &[Option<String>],
            &ids as &[Option<uuid::Uuid>],
            &times
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
