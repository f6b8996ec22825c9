//! The queue, as those see it who do the work: taking a job, keeping it, ending it, and taking it from a worker that died.

use std::time::Duration;

use cargoman_edge_protocol::TenantId;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::id::JobId;
use crate::domain::job::{AGE, Priority};
use crate::store::{StoreError, System};

/// A job is put back for a reason that passes by itself; one that never passes must not go on for ever.
const MOST_POSTPONED: i32 = 30;
/// A job that kills its worker is not begun for ever.
const MOST_ATTEMPTS: i32 = 5;
/// Two that want the same job at once: so often the later one looks for another.
const MOST_LOOKS: usize = 4;

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
    /// How many jobs about the same failed one after the other before this one.
    pub retries: u32,
}

/// What became of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// It goes on.
    Ours,
    /// It goes on, and the job is to end.
    ToEnd,
    /// The job is somebody else's.
    Lost,
}

/// How a job ends.
#[derive(Debug, Clone, Copy)]
pub enum Ending<'a> {
    /// It did what it was to do.
    Succeeded(&'a Value),
    /// It failed, with what it found out all the same.
    Failed {
        /// For the operator.
        error: &'a str,
        /// What it found out.
        result: Option<&'a Value>,
        /// It is tried again then; none: never by itself.
        again: Option<Duration>,
        /// Whether that is because it was tried often enough.
        dead: bool,
    },
    /// Somebody wanted it to end.
    Cancelled,
}

impl System {
    /// Takes a job that is due and about whose subject nothing runs, of `most` or more urgent; none when there is none. Of several that
    /// are as urgent the one goes first whose tenant has the fewest running.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim_job(&self, owner: Uuid, lease: Duration, most: Priority) -> Result<Option<Claimed>, StoreError> {
        for _ in 0..MOST_LOOKS {
            match self.look_for_job(owner, lease, most).await {
                // Another worker began a job on the same subject between the look and the update.
                Err(error) if error.is_conflict("job_one_running") => {}
                found => return found,
            }
        }
        Ok(None)
    }

    async fn look_for_job(&self, owner: Uuid, lease: Duration, most: Priority) -> Result<Option<Claimed>, StoreError> {
        let row = sqlx::query!(
            "with busy as (select tenant_id, count(*) as running from job where state = 'running' group by tenant_id)
                , waiting as (select distinct tenant_id from job where state = 'queued' and run_after <= now() and priority <= $3)
                , best as materialized (
                    select q.tenant_id, q.id, q.urgency, coalesce(busy.running, 0) as running, q.run_after
                    from waiting left join busy using (tenant_id) cross join lateral (
                        select j.tenant_id, j.id, j.run_after, j.priority - floor(extract(epoch from now() - j.run_after)::float8 / $4::float8) as urgency
                        from job j
                        where j.tenant_id = waiting.tenant_id and j.state = 'queued' and j.run_after <= now() and j.priority <= $3
                          and not exists (select 1 from job r where r.tenant_id = j.tenant_id and r.kind = j.kind and r.subject = j.subject and r.state = 'running')
                        order by urgency, j.run_after, j.id limit 16) q)
                , next as materialized (
                    select j.tenant_id, j.id from job j join best on best.tenant_id = j.tenant_id and best.id = j.id
                    where j.state = 'queued'
                    order by best.urgency, best.running, best.run_after, best.id limit 1
                    for update of j skip locked)
             update job j set state = 'running', attempt = attempt + 1, lease_owner = $1, leased_until = now() + make_interval(secs => $2)
                  , started_at = now(), progress = null
             from next where j.tenant_id = next.tenant_id and j.id = next.id
             returning j.tenant_id, j.id, j.kind, j.subject, j.retries",
            owner,
            lease.as_secs_f64(),
            most.number(),
            AGE.as_secs_f64()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| Claimed {
            tenant: TenantId(row.tenant_id),
            id: JobId(row.id),
            kind: row.kind,
            subject: row.subject,
            retries: u32::try_from(row.retries).unwrap_or(u32::MAX),
        }))
    }

    /// Renews the lease.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn renew_job(&self, job: &Claimed, owner: Uuid, lease: Duration) -> Result<Renewed, StoreError> {
        let row = sqlx::query_scalar!(
            r#"update job set leased_until = now() + make_interval(secs => $4)
             where tenant_id = $1 and id = $2 and lease_owner = $3 and state = 'running'
             returning cancel_asked_at is not null as "to_end!""#,
            job.tenant.0,
            job.id.0,
            owner,
            lease.as_secs_f64()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(match row {
            Some(true) => Renewed::ToEnd,
            Some(false) => Renewed::Ours,
            None => Renewed::Lost,
        })
    }

    /// Notes how far a job is. Of one that is no longer ours nothing is noted.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn note_progress(&self, job: &Claimed, progress: &Value) -> Result<(), StoreError> {
        sqlx::query!(
            "update job set progress = $3 where tenant_id = $1 and id = $2 and state = 'running'",
            job.tenant.0,
            job.id.0,
            progress
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Ends a job; false when it is no longer ours. One that is tried again is followed by another one, unless that waits already.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn finish_job(&self, job: &Claimed, owner: Uuid, ending: Ending<'_>) -> Result<bool, StoreError> {
        let (state, result, error, again, dead) = match ending {
            Ending::Succeeded(result) => ("succeeded", Some(result), None, None, false),
            Ending::Failed { error, result, again, dead } => ("failed", result, Some(error), again, dead),
            Ending::Cancelled => ("cancelled", None, None, None, false),
        };
        let ended = sqlx::query_scalar!(
            r#"with ended as (
                   update job set state = $4, result = $5, error = $6, dead = $7, finished_at = now(), leased_until = null, lease_owner = null
                   where tenant_id = $1 and id = $2 and lease_owner = $3 and state = 'running'
                   returning tenant_id, kind, subject, retries)
                , followed as (
                   insert into job (tenant_id, id, kind, subject, priority, retries, run_after)
                   select tenant_id, $8, kind, subject, $9, retries + 1, now() + make_interval(secs => $10::float8)
                   from ended where $10::float8 is not null
                   on conflict (tenant_id, kind, subject) where state = 'queued' do nothing)
               select count(*) as "count!" from ended"#,
            job.tenant.0,
            job.id.0,
            owner,
            state,
            result,
            error,
            dead,
            JobId::new().0,
            Priority::Again.number(),
            again.map(|delay| delay.as_secs_f64())
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(ended > 0)
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
        let ended = sqlx::query!(
            "update job set state = 'cancelled', finished_at = now(), leased_until = null, lease_owner = null
             where state = 'running' and leased_until < now() and cancel_asked_at is not null"
        )
        .execute(&self.pool)
        .await?;
        let dead = sqlx::query!(
            "update job j set state = 'failed', dead = attempt >= $1, finished_at = now(), leased_until = null, lease_owner = null
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
        Ok(ended.rows_affected() + dead.rows_affected() + back.rows_affected())
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
