//! The queue of jobs. One queued and one running job per subject; a queued one serves everyone who asks before it begins.

use std::time::Duration;

use cargoman_edge_protocol::TenantId;
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::id::{JobId, PackageId};
use crate::domain::job::Job;
use crate::store::{Page, StoreError, System, TenantTransaction};

/// A job is put back for a reason that passes by itself; one that never passes must not go on for ever.
const MOST_POSTPONED: i32 = 30;

struct Row {
    id: Uuid,
    kind: String,
    package: Option<String>,
    state: String,
    attempt: i32,
    result: Option<Value>,
    error: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<Row> for Job {
    fn from(row: Row) -> Self {
        Self {
            id: JobId(row.id),
            kind: row.kind,
            package: row.package,
            state: row.state,
            attempt: row.attempt,
            result: row.result,
            error: row.error,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

/// Asks for a job about a package; a queued one that is there already serves this caller too.
///
/// # Errors
/// When the database refuses.
pub async fn enqueue(transaction: &mut TenantTransaction, kind: &str, subject: PackageId) -> Result<JobId, StoreError> {
    let tenant = transaction.tenant().0;
    let id = sqlx::query_scalar!(
        "insert into job (tenant_id, id, kind, subject) values ($1, $2, $3, $4)
         on conflict (tenant_id, kind, subject) where state = 'queued' do update set kind = excluded.kind
         returning id",
        tenant,
        JobId::new().0,
        kind,
        subject.0
    )
    .fetch_one(transaction.connection())
    .await?;
    sqlx::query!("select pg_notify('cargoman_jobs', $1)", kind).fetch_one(transaction.connection()).await?;
    Ok(JobId(id))
}

/// One job.
///
/// # Errors
/// When the database refuses.
pub async fn find(transaction: &mut TenantTransaction, id: JobId) -> Result<Option<Job>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        r#"select j.id, j.kind, p.name as "package?", j.state, j.attempt, j.result, j.error, j.created_at, j.started_at, j.finished_at
         from job j left join package p on p.tenant_id = j.tenant_id and p.id = j.subject
         where j.tenant_id = $1 and j.id = $2"#,
        tenant,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(Into::into))
}

/// Jobs, newest first, narrowed by state; and how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    transaction: &mut TenantTransaction,
    state: Option<&str>,
    page: Page,
) -> Result<(Vec<Job>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query_as!(
        Row,
        r#"select j.id, j.kind, p.name as "package?", j.state, j.attempt, j.result, j.error, j.created_at, j.started_at, j.finished_at
         from job j left join package p on p.tenant_id = j.tenant_id and p.id = j.subject
         where j.tenant_id = $1 and ($2::text is null or j.state = $2)
         order by j.created_at desc, j.id desc limit $3 offset $4"#,
        tenant,
        state,
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from job where tenant_id = $1 and ($2::text is null or state = $2)"#,
        tenant,
        state
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok((rows.into_iter().map(Into::into).collect(), total))
}

/// A job that is now ours for as long as the lease is renewed.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub id: JobId,
    /// What it does.
    pub kind: String,
    /// What it is about.
    pub subject: Uuid,
}

impl System {
    /// Takes the oldest job that is due and about whose subject nothing runs; none when there is none.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim_job(&self, owner: Uuid, lease: Duration) -> Result<Option<Claimed>, StoreError> {
        let claimed = sqlx::query!(
            "with next as materialized (
                select q.tenant_id, q.id from job q
                where q.state = 'queued' and q.run_after <= now()
                  and not exists (select 1 from job r where r.tenant_id = q.tenant_id and r.kind = q.kind and r.subject = q.subject and r.state = 'running')
                order by q.run_after, q.id limit 1
                for update skip locked)
             update job j set state = 'running', attempt = attempt + 1, lease_owner = $1, leased_until = now() + make_interval(secs => $2)
                  , started_at = now()
             from next where j.tenant_id = next.tenant_id and j.id = next.id
             returning j.tenant_id, j.id, j.kind, j.subject",
            owner,
            lease.as_secs_f64()
        )
        .fetch_optional(&self.pool)
        .await;
        let row = match claimed {
            // Another worker began a job on the same subject between the look and the update.
            Err(error) if StoreError::from_ref(&error, "job_one_running") => return Ok(None),
            other => other?,
        };
        Ok(row.map(|row| Claimed {
            tenant: TenantId(row.tenant_id),
            id: JobId(row.id),
            kind: row.kind,
            subject: row.subject,
        }))
    }

    /// Renews the lease; false when the job is no longer ours.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn renew_job(&self, job: &Claimed, owner: Uuid, lease: Duration) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "update job set leased_until = now() + make_interval(secs => $4)
             where tenant_id = $1 and id = $2 and lease_owner = $3 and state = 'running'",
            job.tenant.0,
            job.id.0,
            owner,
            lease.as_secs_f64()
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Ends a job; false when it is no longer ours.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn finish_job(
        &self,
        job: &Claimed,
        owner: Uuid,
        result: Option<&Value>,
        error: Option<&str>,
    ) -> Result<bool, StoreError> {
        let state = if error.is_none() { "succeeded" } else { "failed" };
        let done = sqlx::query!(
            "update job set state = $4, result = $5, error = $6, finished_at = now(), leased_until = null, lease_owner = null
             where tenant_id = $1 and id = $2 and lease_owner = $3 and state = 'running'",
            job.tenant.0,
            job.id.0,
            owner,
            state,
            result,
            error
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Puts a job back, to be begun again after `delay`; false when it is no longer ours, was begun too often, or another one
    /// about the same subject waits already.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn postpone_job(&self, job: &Claimed, owner: Uuid, delay: Duration) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "update job j set state = 'queued', run_after = now() + make_interval(secs => $4), leased_until = null, lease_owner = null
             where tenant_id = $1 and id = $2 and lease_owner = $3 and state = 'running' and attempt < $5
               and not exists (select 1 from job q where q.tenant_id = j.tenant_id and q.kind = j.kind and q.subject = j.subject and q.state = 'queued')",
            job.tenant.0,
            job.id.0,
            owner,
            delay.as_secs_f64(),
            MOST_POSTPONED
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Puts jobs back whose worker died, and ends those that killed their worker too often; how many there were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn retake_jobs(&self) -> Result<u64, StoreError> {
        const MOST_ATTEMPTS: i32 = 5;
        let dead = sqlx::query!(
            "update job j set state = 'failed', finished_at = now(), leased_until = null, lease_owner = null
                  , error = 'the worker died ' || attempt || ' times while at it; ask for the sync again once the cause is found in the log'
             where state = 'running' and leased_until < now()
               and (attempt >= $1 or exists (select 1 from job q where q.tenant_id = j.tenant_id and q.kind = j.kind and q.subject = j.subject and q.state = 'queued'))",
            MOST_ATTEMPTS
        )
        .execute(&self.pool)
        .await?;
        let back = sqlx::query!(
            "update job set state = 'queued', leased_until = null, lease_owner = null where state = 'running' and leased_until < now()"
        )
        .execute(&self.pool)
        .await?;
        Ok(dead.rows_affected() + back.rows_affected())
    }

    /// Puts back every running job of owners that are known to be dead: at the start of a program that owns the database alone.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn retake_all_jobs(&self) -> Result<(), StoreError> {
        sqlx::query!("update job set leased_until = now() - interval '1 second' where state = 'running'")
            .execute(&self.pool)
            .await?;
        self.retake_jobs().await?;
        Ok(())
    }
}

impl StoreError {
    /// Whether the driver's error is the refusal of the named constraint.
    fn from_ref(error: &sqlx::Error, constraint: &str) -> bool {
        matches!(error, sqlx::Error::Database(database) if database.constraint() == Some(constraint))
    }
}
