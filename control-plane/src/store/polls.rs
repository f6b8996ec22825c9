//! When repositories are looked at by the clock.

use std::time::Duration;

use crate::domain::job::{Priority, SYNC_PACKAGE};
use crate::store::{StoreError, System};

/// How often a repository is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// Where no hook tells us.
    pub every: Duration,
    /// Where one does.
    pub with_hook: Duration,
    /// One that was heard within this counts.
    pub heard: Duration,
}

impl System {
    /// Asks for a sync of the packages whose time has come, `most` at once; how many there were. The next time is anywhere from four to
    /// six fifths of the rhythm away, so that what was added together is not asked for together for ever.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn queue_polls(&self, rhythm: Rhythm, most: i64) -> Result<i64, StoreError> {
        let count = sqlx::query_scalar!(
            r#"with due as (
                   select p.tenant_id, p.id from package p join tenant t on t.id = p.tenant_id
                   where p.repository_url is not null and (p.poll_after is null or p.poll_after <= now()) and t.status = 'active'
                     and p.frozen_reason is null
                   order by p.poll_after nulls first limit $1 for update of p skip locked)
                , polled as (
                   update package p set poll_after = now() + (0.8 + 0.4 * random())
                       * make_interval(secs => case when p.hook_seen_at > now() - make_interval(secs => $4) then $3::float8 else $2::float8 end)
                   from due where p.tenant_id = due.tenant_id and p.id = due.id
                   returning p.tenant_id, p.id)
                , asked as (
                   insert into job (tenant_id, id, kind, subject, priority)
                   select tenant_id, gen_random_uuid(), $5, id, $6 from polled order by tenant_id, id
                   on conflict (tenant_id, kind, subject) where state = 'queued' do nothing)
               select count(*) as "count!" from polled"#,
            most,
            rhythm.every.as_secs_f64(),
            rhythm.with_hook.as_secs_f64(),
            rhythm.heard.as_secs_f64(),
            SYNC_PACKAGE,
            Priority::Polled.number()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(count)
    }
}
