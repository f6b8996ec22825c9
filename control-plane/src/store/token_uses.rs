//! When tokens were last used, and from where.

use std::net::IpAddr;

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

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

/// One use, as an edge saw it.
#[derive(Debug, Clone, Copy)]
pub struct Use {
    /// Whose registry.
    pub tenant: Uuid,
    /// Which token.
    pub token: TokenId,
    /// When.
    pub at: DateTime<Utc>,
    /// From where, if that is known.
    pub address: Option<IpAddr>,
}

/// Notes uses with their addresses. Ids that are no tokens count for nothing, and no use is ever moved back; an address stands
/// against later uses from an unknown place for a minute, because those are noted by another way that may be faster.
pub(super) async fn note(connection: &mut PgConnection, uses: &[Use]) -> Result<(), StoreError> {
    let tenants: Vec<Uuid> = uses.iter().map(|used| used.tenant).collect();
    let tokens: Vec<Uuid> = uses.iter().map(|used| used.token.0).collect();
    let times: Vec<DateTime<Utc>> = uses.iter().map(|used| used.at).collect();
    let addresses: Vec<Option<String>> = uses.iter().map(|used| used.address.map(|at| at.to_string())).collect();
    // Locked in one order, so that two batches do not wait for each other in a circle.
    sqlx::query!(
        "with used as (
           select tenant_id, id, max(at) as at, (array_agg(address order by at desc) filter (where address is not null))[1] as address
           from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[]) as u (tenant_id, id, at, address)
           group by tenant_id, id
         ), locked as (
           select t.tenant_id, t.id, used.at, used.address::inet as address
           from token t join used on used.tenant_id = t.tenant_id and used.id = t.id
           order by t.tenant_id, t.id for no key update of t
         )
         update token
         set last_used_at = greatest(token.last_used_at, locked.at)
           , last_used_ip = case when token.last_used_ip is null or locked.at > token.last_used_at - interval '1 minute'
                                 then coalesce(locked.address, token.last_used_ip) else token.last_used_ip end
         from locked where token.tenant_id = locked.tenant_id and token.id = locked.id",
        &tenants,
        &tokens,
        &times,
        &addresses as &[Option<String>]
    )
    .execute(connection)
    .await?;
    Ok(())
}
