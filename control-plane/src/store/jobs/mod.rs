//! Jobs, as those see them who ask for them. One queued and one running job per subject; a queued one serves everyone who asks before
//! it begins.

mod queue;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

pub use self::queue::{Claimed, Ending, Renewed};
use crate::domain::id::{JobId, PackageId};
use crate::domain::job::{Job, Priority};
use crate::store::{Page, StoreError, TenantTransaction};

struct Row {
    id: Uuid,
    kind: String,
    package: Option<String>,
    group: Option<String>,
    state: String,
    priority: i16,
    attempt: i32,
    retries: i32,
    dead: bool,
    cancel_asked: bool,
    progress: Option<Value>,
    run_after: DateTime<Utc>,
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
            group: row.group,
            state: row.state,
            priority: Priority::of_number(row.priority),
            attempt: row.attempt,
            retries: row.retries,
            dead: row.dead,
            cancel_asked: row.cancel_asked,
            progress: row.progress,
            run_after: row.run_after,
            result: row.result,
            error: row.error,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

/// Asks for a job about a package; a queued one that is there already serves this caller too, and sooner if he is in more of a hurry.
///
/// # Errors
/// When the database refuses.
pub async fn enqueue(
    transaction: &mut TenantTransaction,
    kind: &str,
    subject: PackageId,
    priority: Priority,
) -> Result<JobId, StoreError> {
    enqueue_about(transaction, kind, subject.0, priority).await
}

/// The same about anything.
///
/// # Errors
/// When the database refuses.
pub async fn enqueue_about(
    transaction: &mut TenantTransaction,
    kind: &str,
    subject: Uuid,
    priority: Priority,
) -> Result<JobId, StoreError> {
    let tenant = transaction.tenant().0;
    let id = sqlx::query_scalar!(
        "insert into job (tenant_id, id, kind, subject, priority) values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, kind, subject) where state = 'queued' do update set priority = least(job.priority, excluded.priority)
             , run_after = least(job.run_after, excluded.run_after), retries = 0
         returning id",
        tenant,
        JobId::new().0,
        kind,
        subject,
        priority.number()
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
        r#"select j.id, j.kind, p.name as "package?", g.url as "group?", j.state, j.priority, j.attempt, j.retries, j.dead, j.cancel_asked_at is not null as "cancel_asked!", j.progress
              , j.run_after, j.result, j.error, j.created_at, j.started_at, j.finished_at
         from job j left join package p on p.tenant_id = j.tenant_id and p.id = j.subject
         left join forge_group g on g.tenant_id = j.tenant_id and g.id = j.subject
         where j.tenant_id = $1 and j.id = $2"#,
        tenant,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(Into::into))
}

/// Which jobs are listed; those of all kinds where nothing is said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which<'a> {
    /// In this state.
    pub state: Option<&'a str>,
    /// Whether they are dead.
    pub dead: Option<bool>,
    /// About this package.
    pub package: Option<&'a str>,
}

/// Jobs, newest first; and how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    transaction: &mut TenantTransaction,
    which: Which<'_>,
    page: Page,
) -> Result<(Vec<Job>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query_as!(
        Row,
        r#"select j.id, j.kind, p.name as "package?", g.url as "group?", j.state, j.priority, j.attempt, j.retries, j.dead, j.cancel_asked_at is not null as "cancel_asked!", j.progress
              , j.run_after, j.result, j.error, j.created_at, j.started_at, j.finished_at
         from job j left join package p on p.tenant_id = j.tenant_id and p.id = j.subject
         left join forge_group g on g.tenant_id = j.tenant_id and g.id = j.subject
         where j.tenant_id = $1 and ($2::text is null or j.state = $2) and ($3::bool is null or j.dead = $3) and ($4::text is null or p.name = $4)
         order by j.created_at desc, j.id desc limit $5 offset $6"#,
        tenant,
        which.state,
        which.dead,
        which.package,
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from job j left join package p on p.tenant_id = j.tenant_id and p.id = j.subject
         where j.tenant_id = $1 and ($2::text is null or j.state = $2) and ($3::bool is null or j.dead = $3) and ($4::text is null or p.name = $4)"#,
        tenant,
        which.state,
        which.dead,
        which.package
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok((rows.into_iter().map(Into::into).collect(), total))
}

/// Ends a job that waits, and asks one that runs to end; false when it is over.
///
/// # Errors
/// When the database refuses.
pub async fn cancel(transaction: &mut TenantTransaction, id: JobId) -> Result<bool, StoreError> {
    let tenant = transaction.tenant().0;
    let done = sqlx::query!(
        "update job set cancel_asked_at = now()
              , state = case state when 'queued' then 'cancelled' else state end
              , finished_at = case state when 'queued' then now() end
         where tenant_id = $1 and id = $2 and state in ('queued', 'running')",
        tenant,
        id.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// What a job is about, locked until the end of the transaction.
///
/// # Errors
/// When the database refuses.
pub async fn lock(transaction: &mut TenantTransaction, id: JobId) -> Result<Option<(String, Uuid)>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query!("select kind, subject from job where tenant_id = $1 and id = $2 for update", tenant, id.0)
        .fetch_optional(transaction.connection())
        .await?;
    Ok(row.map(|row| (row.kind, row.subject)))
}

/// Asks for a sync of every package that has a repository; how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn enqueue_all(
    transaction: &mut TenantTransaction,
    kind: &str,
    priority: Priority,
) -> Result<i64, StoreError> {
    let tenant = transaction.tenant().0;
    let count = sqlx::query_scalar!(
        r#"with asked as (
               insert into job (tenant_id, id, kind, subject, priority)
               select tenant_id, gen_random_uuid(), $2, id, $3 from package where tenant_id = $1 and repository_url is not null
               order by id
               on conflict (tenant_id, kind, subject) where state = 'queued' do update set priority = least(job.priority, excluded.priority)
                   , run_after = least(job.run_after, excluded.run_after), retries = 0
               returning 1)
           select count(*) as "count!" from asked"#,
        tenant,
        kind,
        priority.number()
    )
    .fetch_one(transaction.connection())
    .await?;
    sqlx::query!("select pg_notify('cargoman_jobs', $1)", kind).fetch_one(transaction.connection()).await?;
    Ok(count)
}
