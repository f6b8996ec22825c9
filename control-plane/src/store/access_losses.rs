//! Who took something from which customer lately: what the brake counts.

use uuid::Uuid;

use crate::domain::id::CustomerId;
use crate::store::{StoreError, System, TenantTransaction};

/// Lets one call of an actor at a time pass until the end of its transaction: of two at once the second counts what the first
/// one took.
///
/// # Errors
/// When the database refuses.
pub async fn take_turns(transaction: &mut TenantTransaction) -> Result<(), StoreError> {
    let (tenant, actor) = (transaction.tenant().0, transaction.actor().to_string());
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('access_loss ' || $1::uuid::text || ' ' || $2, 0))",
        tenant,
        actor
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(())
}

/// How many customers the actor took something from within the last hour, those of `losing` counted in, each once.
///
/// # Errors
/// When the database refuses.
pub async fn count_with(transaction: &mut TenantTransaction, losing: &[CustomerId]) -> Result<i64, StoreError> {
    let (tenant, actor) = (transaction.tenant().0, transaction.actor().to_string());
    let losing: Vec<Uuid> = losing.iter().map(|customer| customer.0).collect();
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "count!" from (
             select customer_id from access_loss where tenant_id = $1 and actor = $2 and at > now() - interval '1 hour'
             union select unnest($3::uuid[])) as them"#,
        tenant,
        actor,
        &losing
    )
    .fetch_one(transaction.connection())
    .await?)
}

/// Notes whom the actor took something from.
///
/// # Errors
/// When the database refuses.
pub async fn note(transaction: &mut TenantTransaction, losing: &[CustomerId]) -> Result<(), StoreError> {
    let (tenant, actor) = (transaction.tenant().0, transaction.actor().to_string());
    let losing: Vec<Uuid> = losing.iter().map(|customer| customer.0).collect();
    sqlx::query!(
        "insert into access_loss (tenant_id, actor, customer_id) select $1, $2, unnest($3::uuid[])",
        tenant,
        actor,
        &losing
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

impl System {
    /// Forgets losses that count no more, in every tenant; how many there were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn purge_access_losses(&self) -> Result<u64, StoreError> {
        let done =
            sqlx::query!("delete from access_loss where at <= now() - interval '1 hour'").execute(&self.pool).await?;
        Ok(done.rows_affected())
    }
}
