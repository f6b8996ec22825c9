//! What happened, numbered: the outbox as the edges hear it.

use cargoman_credential::Digest;
use cargoman_edge_protocol::link::{Epoch, Event, Position, Seq};
use cargoman_edge_protocol::{Change, TenantId};
use serde_json::json;
use uuid::Uuid;

use crate::domain::id::TokenId;
use crate::store::{Actor, StoreError, System};

/// So many of the last events stay, however old they are.
const KEPT_EVENTS: i64 = 10_000;

impl System {
    /// Numbers what was committed until now; where the last event stands.
    ///
    /// # Errors
    /// When the database refuses, or others number for too long.
    pub async fn number_outbox(&self) -> Result<Position, StoreError> {
        let row = sqlx::query!(r#"select epoch as "epoch!", seq as "seq!", event as "event!" from number_outbox()"#)
            .fetch_one(&self.pool)
            .await?;
        Ok(Position { epoch: row.epoch, seq: row.seq, event: row.event })
    }

    /// Raises the epoch above `known`, unless it is no longer the one that was `seen`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn raise_epoch(&self, known: Epoch, seen: Epoch) -> Result<(), StoreError> {
        sqlx::query!("select raise_epoch($1, $2) as raised", known, seen).fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Events from number `first` on, in order.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn events_from(&self, first: Seq, most: i64) -> Result<Vec<Event>, StoreError> {
        let rows = sqlx::query!(
            r#"select seq as "seq!", event, keys from outbox where seq >= $1 order by seq limit $2"#,
            first,
            most
        )
        .fetch_all(&self.pool)
        .await?;
        let event = |seq, event, change| Event { seq, event, optional: false, change };
        Ok(rows.into_iter().map(|row| event(row.seq, row.event, row.keys)).collect())
    }

    /// The id of the event with this number, while it is there.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn event_at(&self, seq: Seq) -> Result<Option<Uuid>, StoreError> {
        Ok(sqlx::query_scalar!("select event from outbox where seq = $1", seq).fetch_optional(&self.pool).await?)
    }

    /// Ends the tokens that an edge knows to be revoked, and tells all edges; how many were good here.
    ///
    /// # Errors
    /// When the database refuses; then nothing was done.
    pub async fn revoke_handed_over(&self, tokens: &[(TenantId, Digest)], actor: &Actor) -> Result<usize, StoreError> {
        let tenants: Vec<Uuid> = tokens.iter().map(|(tenant, _)| tenant.0).collect();
        let digests: Vec<String> = tokens.iter().map(|(_, digest)| digest.to_hex()).collect();
        let mut transaction = crate::store::database::begin(&self.pool, None).await?;
        let rows = sqlx::query!(
            "update token t set revoked_at = now(), revision = nextval('revision')
             from unnest($1::uuid[], $2::text[]) as given (tenant_id, digest)
             where t.tenant_id = given.tenant_id and t.digest = given.digest and t.revoked_at is null
             returning t.tenant_id, t.id, t.digest",
            &tenants,
            &digests
        )
        .fetch_all(&mut *transaction)
        .await?;
        for row in &rows {
            let digest = row.digest.parse().map_err(|error| StoreError::inconsistent("token", error))?;
            let change = Change::Token { tenant: TenantId(row.tenant_id), digest, revoked: true };
            let keys = serde_json::to_value(&change).map_err(|error| StoreError::inconsistent("outbox", error))?;
            sqlx::query!(
                "with told as (insert into outbox (tenant_id, kind, keys) values ($1, $2, $3))
                 insert into audit (tenant_id, actor, action, subject, detail) values ($1, $4, 'token.revoke', $5, $6)",
                row.tenant_id,
                change.kind(),
                keys,
                actor.to_string(),
                TokenId(row.id).to_string(),
                json!({"known_to": "an edge from before the database was restored"})
            )
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(rows.len())
    }

    /// Drops events that nobody asks for any more. What tells edges of a tenant's present choice for outages stays: the waiting
    /// for changes asks who has heard it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn prune_outbox(&self) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "delete from outbox o
             where o.seq <= (select seq from link_state) - $1 and o.at < now() - interval '1 hour'
               and not exists (select 1 from tenant t where t.outage_changed = o.id)",
            KEPT_EVENTS
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}
