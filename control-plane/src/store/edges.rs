//! Edges as people see them: join tokens, credentials of their own, fences. They belong to no tenant; their audit entries stand
//! with the default one.

use cargoman_credential::{Digest, Secret};
use cargoman_edge_protocol::link::Seq;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::id::{EdgeId, JoinTokenId};
use crate::store::{Actor, StoreError, System};

/// Edges of one name that are told apart by a number.
const MOST_OF_ONE_NAME: usize = 1_000;

/// An edge in a list.
#[derive(Debug, Clone, Serialize)]
pub struct EdgeInList {
    /// Its id.
    pub id: EdgeId,
    /// What people call it.
    pub name: String,
    /// Whether it has a credential of its own.
    pub joined: bool,
    /// Whether it has a stream to a control plane.
    pub connected: bool,
    /// The last event that it applied; null while it has applied none.
    pub seq: Option<Seq>,
    /// Events that it has not applied yet.
    pub lag: Option<Seq>,
    /// Until when it may answer from what it knows, if it hears nothing more; null when it never was here.
    pub lease_ends_at: Option<DateTime<Utc>>,
    /// Until when it may go on after that, for tenants who want it.
    pub may_serve_until: Option<DateTime<Utc>>,
    /// Its release.
    pub version: Option<String>,
    /// The instance that it has a stream to.
    pub control_plane: Option<Uuid>,
    /// Since when its credential is dead.
    pub fenced_at: Option<DateTime<Utc>>,
}

/// A join token.
#[derive(Debug, Clone, Serialize)]
pub struct JoinToken {
    /// Its id.
    pub id: JoinTokenId,
    /// Of the edge that joins with it.
    pub name: Option<String>,
    /// Its last four characters.
    pub last_four: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// From then on it is no good.
    pub expires_at: DateTime<Utc>,
}

/// What became of an edge that was fenced.
#[derive(Debug, Clone, Serialize)]
pub struct Fenced {
    /// Its id.
    pub id: EdgeId,
    /// What people call it.
    pub name: String,
    /// Until when it may answer if it does not hear of it; null when it cannot be answering.
    pub may_serve_until: Option<DateTime<Utc>>,
}

/// An edge with a credential of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentialed {
    /// Which.
    pub id: EdgeId,
    /// Whether its credential is dead.
    pub fenced: bool,
}

impl System {
    /// Keeps a new join token.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn insert_join_token(
        &self,
        name: Option<&str>,
        expires_at: DateTime<Utc>,
        secret: &Secret,
        actor: &Actor,
    ) -> Result<JoinToken, StoreError> {
        let mut transaction = crate::store::database::begin(&self.pool, None).await?;
        let id = JoinTokenId::new();
        let created_at = sqlx::query_scalar!(
            "insert into edge_join_token (id, name, digest, last_four, expires_at) values ($1, $2, $3, $4, $5) returning created_at",
            id.0,
            name,
            secret.digest().to_hex(),
            secret.last_four(),
            expires_at
        )
        .fetch_one(&mut *transaction)
        .await?;
        let detail = json!({"name": name, "expires_at": expires_at});
        audit(&mut transaction, actor, "edge.join_token", &id.to_string(), detail).await?;
        sqlx::query!("delete from edge_join_token where expires_at < now() - interval '1 day'")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let name = name.map(str::to_owned);
        Ok(JoinToken { id, name, last_four: secret.last_four().to_owned(), created_at, expires_at })
    }

    /// Lets an edge in with a join token, which is then used up, and keeps its new credential. Its name: the token's, else `name`, with a
    /// number when another edge has it. None when the token is no good.
    ///
    /// # Errors
    /// When the database refuses; then the token is not used up.
    pub async fn join_edge(
        &self,
        token: Digest,
        name: &str,
        credential: &Secret,
    ) -> Result<Option<String>, StoreError> {
        let mut transaction = crate::store::database::begin(&self.pool, None).await?;
        let token = sqlx::query!(
            "update edge_join_token set used_at = now()
             where digest = $1 and used_at is null and expires_at > now() returning id, name",
            token.to_hex()
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(token) = token else { return Ok(None) };
        let wanted = token.name.unwrap_or_else(|| name.to_owned());
        let id = EdgeId::new();
        for number in 1..=MOST_OF_ONE_NAME {
            let name = if number == 1 { wanted.clone() } else { format!("{wanted}-{number}") };
            let made = sqlx::query!(
                "insert into edge (id, name, digest, last_four) values ($1, $2, $3, $4)
                 on conflict (name) where fenced_at is null do nothing",
                id.0,
                name,
                credential.digest().to_hex(),
                credential.last_four()
            )
            .execute(&mut *transaction)
            .await?;
            if made.rows_affected() > 0 {
                let by = Actor::JoinToken(JoinTokenId(token.id));
                audit(&mut transaction, &by, "edge.join", &id.to_string(), json!({"name": name})).await?;
                transaction.commit().await?;
                return Ok(Some(name));
            }
        }
        Err(StoreError::Conflict { constraint: "edge_name_taken".to_owned() })
    }

    /// Whose credential that is, and whether it is dead.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn edge_of_digest(&self, digest: Digest) -> Result<Option<Credentialed>, StoreError> {
        let row = sqlx::query!(
            r#"select id, fenced_at is not null as "fenced!" from edge where digest = $1"#,
            digest.to_hex()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| Credentialed { id: EdgeId(row.id), fenced: row.fenced }))
    }

    /// Every edge that may be answering or may come.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn edges(&self) -> Result<Vec<EdgeInList>, StoreError> {
        let rows = sqlx::query!(
            r#"select coalesce(e.id, m.state) as "id!", coalesce(m.name, e.name) as "name!", e.digest is not null as "joined!"
                    , coalesce(m.connected and m.lease_ends_at > now() - interval '10 seconds', false) as "connected!"
                    , m.acked_seq as "acked_seq?", m.epoch as "epoch?", l.epoch as head_epoch, l.seq as head
                    , m.lease_ends_at as "lease_ends_at?", m.stale_until as "stale_until?"
                    , m.software as "software?", m.control_plane as "control_plane?", e.fenced_at as "fenced_at?"
               from link_state l
               left join (edge e full join edge_member m on coalesce(m.edge_id, m.state) = e.id) on true
               where coalesce(e.id, m.state) is not null and (e.fenced_at is null or m.incarnation is not null)
               order by 2, 1"#
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                // What it applied in an earlier epoch counts for nothing.
                let seq = row.acked_seq.filter(|_| row.epoch == Some(row.head_epoch));
                EdgeInList {
                    id: EdgeId(row.id),
                    name: row.name,
                    joined: row.joined,
                    connected: row.connected,
                    seq,
                    lag: seq.map(|seq| (row.head - seq).max(0)),
                    lease_ends_at: row.lease_ends_at,
                    may_serve_until: row.stale_until,
                    version: row.software,
                    control_plane: row.control_plane,
                    fenced_at: row.fenced_at,
                }
            })
            .collect())
    }

    /// Kills an edge's credential, or, when it has none of its own, shuts its state folder out; and tells every instance. None when
    /// there is no such edge. `gone`: the operator vouches that it does not run and never will again: then nobody waits for it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn fence_edge(&self, id: EdgeId, gone: bool, actor: &Actor) -> Result<Option<Fenced>, StoreError> {
        let mut transaction = crate::store::database::begin(&self.pool, None).await?;
        let name = sqlx::query_scalar!(
            "insert into edge as e (id, name, fenced_at)
             select id, name, now() from (
                 select id, name, 0 as place from edge where id = $1
                 union all select state, name, 1 from edge_member where state = $1 and edge_id is null
             ) as found order by place limit 1
             on conflict (id) do update set fenced_at = coalesce(e.fenced_at, now())
             returning name",
            id.0
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(name) = name else { return Ok(None) };
        // Taken from its instance: a lease that is being noted there at this moment, and did not see the fence, is noted before this
        // and counts, or not at all.
        let may_serve_until = sqlx::query_scalar!(
            r#"with taken as (
                 update edge_member set control_plane = $2, connected = false where edge_id = $1 or state = $1
                 returning greatest(stale_until, lease_ends_at) as until
             )
             select max(until) as until from taken where until > now()"#,
            id.0,
            Uuid::nil()
        )
        .fetch_one(&mut *transaction)
        .await?;
        if gone {
            sqlx::query!("delete from edge_member where edge_id = $1 or state = $1", id.0)
                .execute(&mut *transaction)
                .await?;
        }
        let may_serve_until = may_serve_until.filter(|_| !gone);
        audit(&mut transaction, actor, "edge.fence", &id.to_string(), json!({"name": name, "gone": gone})).await?;
        sqlx::query!("select pg_notify('cargoman_edges', $1)", id.0.to_string()).fetch_one(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Some(Fenced { id, name, may_serve_until }))
    }
}

async fn audit(
    connection: &mut PgConnection,
    actor: &Actor,
    action: &str,
    subject: &str,
    detail: Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into audit (tenant_id, actor, action, subject, detail) select id, $1, $2, $3, $4 from tenant where is_default",
        actor.to_string(),
        action,
        subject,
        detail
    )
    .execute(connection)
    .await?;
    Ok(())
}
