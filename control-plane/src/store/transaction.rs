//! The one way in which a tenant's facts are read and written.
//!
//! It names the tenant to the database, so that row level security shows that tenant's rows and no others, and it takes along
//! what must never be forgotten: the outbox entry for the edges and the audit entry. It must never be opened without a tenant.

use cargoman_edge_protocol::{Change, TenantId};
use serde_json::Value;
use sqlx::PgConnection;

use crate::domain::id::{CredentialId, EdgeId, HookId, JoinTokenId, TokenId};
use crate::store::{Database, StoreError, Written};

/// Who does something, for the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// The holder of the `ADMIN_TOKEN`.
    Root,
    /// An operator.
    Credential(CredentialId),
    /// A customer, by his token.
    Token(TokenId),
    /// The registry itself: a job.
    Job(String),
    /// The program at its start: the demo tenant.
    Setup,
    /// A forge, by its hook.
    Hook(HookId),
    /// An edge that joins.
    JoinToken(JoinTokenId),
    /// An edge, by the id of its state folder: what it remembers of a database that was restored.
    Edge(EdgeId),
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Credential(id) => write!(f, "credential:{id}"),
            Self::Token(id) => write!(f, "token:{id}"),
            Self::Job(id) => write!(f, "job:{id}"),
            Self::Setup => f.write_str("setup"),
            Self::Hook(id) => write!(f, "hook:{id}"),
            Self::JoinToken(id) => write!(f, "join_token:{id}"),
            Self::Edge(id) => write!(f, "edge:{id}"),
        }
    }
}

/// An open transaction of one tenant. Dropped without [`commit`](Self::commit), it changes nothing.
#[derive(Debug)]
pub struct TenantTransaction {
    inner: sqlx::Transaction<'static, sqlx::Postgres>,
    tenant: TenantId,
    actor: Actor,
    rehearsed: bool,
    /// Whether there is something for the edges in it already.
    told: bool,
    /// What the edges are to hear.
    changes: Vec<Change>,
    /// What the audit trail is to say.
    deeds: Vec<Deed>,
}

#[derive(Debug)]
struct Deed {
    action: String,
    subject: String,
    detail: Value,
}

impl TenantTransaction {
    /// Opens a transaction as `tenant`.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn begin(database: &Database, tenant: TenantId, actor: Actor) -> Result<Self, StoreError> {
        // In one go. What is put in is an id and nothing else.
        let begin = format!("begin; set local cargoman.tenant = '{}'", tenant.0);
        let inner = super::database::begin(&database.app, Some(begin)).await?;
        Ok(Self { inner, tenant, actor, rehearsed: false, told: false, changes: Vec::new(), deeds: Vec::new() })
    }

    /// Whose rows it sees.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Who is at work.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Lets it wait for a minute between two statements, for work that is long and rare.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn be_patient(&mut self) -> Result<(), StoreError> {
        sqlx::query!("select set_config('idle_in_transaction_session_timeout', '60s', true) as set")
            .fetch_one(&mut *self.inner)
            .await?;
        Ok(())
    }

    /// From now on it can only be dropped: what is done in it is looked at and never kept.
    #[must_use]
    pub fn rehearsed(self) -> Self {
        Self { rehearsed: true, ..self }
    }

    /// Makes everything done visible, all at once.
    ///
    /// # Errors
    /// When the database refuses or it is only rehearsed; then nothing was done.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        if self.rehearsed {
            return Err(StoreError::Rehearsed);
        }
        self.write_down().await?;
        self.inner.commit().await?;
        if self.told {
            Written::note(self.tenant);
        }
        Ok(())
    }

    /// Notes for the edges what changed; written down with the commit and numbered after it.
    pub fn changed(&mut self, change: &Change) {
        self.changes.push(change.clone());
    }

    /// Notes who did what to whom; written down with the commit. `detail` must hold no secret.
    pub fn audit(&mut self, action: &str, subject: &str, detail: Value) {
        self.deeds.push(Deed { action: action.to_owned(), subject: subject.to_owned(), detail });
    }

    /// Notes for the edges that something changed, at once; its row.
    ///
    /// # Errors
    /// When the database refuses.
    pub(super) async fn changed_now(&mut self, change: &Change) -> Result<i64, StoreError> {
        let keys = serde_json::to_value(change).map_err(|error| StoreError::inconsistent("outbox", error))?;
        self.told = true;
        Ok(sqlx::query_scalar!(
            "insert into outbox (tenant_id, kind, keys) values ($1, $2, $3) returning id",
            self.tenant.0,
            change.kind(),
            keys
        )
        .fetch_one(&mut *self.inner)
        .await?)
    }

    /// All of it in one statement: each one more is a way to the database and back, while others wait for its locks.
    async fn write_down(&mut self) -> Result<(), StoreError> {
        let (changes, deeds) = (std::mem::take(&mut self.changes), std::mem::take(&mut self.deeds));
        let keys = changes.iter().map(serde_json::to_value).collect::<Result<Vec<Value>, _>>();
        let keys = keys.map_err(|error| StoreError::inconsistent("outbox", error))?;
        let kinds: Vec<String> = changes.iter().map(|change| change.kind().to_owned()).collect();
        let actions: Vec<String> = deeds.iter().map(|deed| deed.action.clone()).collect();
        let subjects: Vec<String> = deeds.iter().map(|deed| deed.subject.clone()).collect();
        let details: Vec<Value> = deeds.into_iter().map(|deed| deed.detail).collect();
        if !changes.is_empty() {
            self.told = true;
            sqlx::query!(
                "with told as (
                     insert into outbox (tenant_id, kind, keys)
                     select $1, given.kind, given.keys
                     from unnest($2::text[], $3::json[]) with ordinality as given (kind, keys, place)
                     order by given.place
                 )
                 insert into audit (tenant_id, actor, action, subject, detail)
                 select $1, $4, given.action, given.subject, given.detail
                 from unnest($5::text[], $6::text[], $7::json[]) with ordinality as given (action, subject, detail, place)
                 order by given.place",
                self.tenant.0,
                &kinds,
                &keys,
                self.actor.to_string(),
                &actions,
                &subjects,
                &details
            )
            .execute(&mut *self.inner)
            .await?;
        } else if !actions.is_empty() {
            // Apart: an insert into the outbox, even of nothing, wakes everybody.
            sqlx::query!(
                "insert into audit (tenant_id, actor, action, subject, detail)
                 select $1, $2, given.action, given.subject, given.detail
                 from unnest($3::text[], $4::text[], $5::json[]) with ordinality as given (action, subject, detail, place)
                 order by given.place",
                self.tenant.0,
                self.actor.to_string(),
                &actions,
                &subjects,
                &details
            )
            .execute(&mut *self.inner)
            .await?;
        }
        Ok(())
    }

    /// The connection, for the files of this folder alone.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}
