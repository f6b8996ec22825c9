//! Requests with an `Idempotency-Key`: who is at work on one, and the answers given, kept for a day.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::store::{StoreError, TenantTransaction};

/// An answer given before.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Digest of target and body then.
    pub request_digest: String,
    /// HTTP status.
    pub status: u16,
    /// The body, without secrets.
    pub response: Value,
}

/// What became of the wish to use a key.
#[derive(Debug, Clone)]
pub enum Claim {
    /// The key is ours until the hold is over.
    Ours,
    /// It was used within the last day.
    Kept(Kept),
    /// Another request is at work with it.
    UnderWay {
        /// Digest of that request.
        request_digest: String,
    },
}

/// Claims a key for `hold`, unless it is used or in use. A claim that its holder let lapse goes to the next same request.
///
/// # Errors
/// When the database refuses.
pub async fn claim(
    transaction: &mut TenantTransaction,
    key: &str,
    request_digest: &str,
    holder: Uuid,
    hold: Duration,
) -> Result<Claim, StoreError> {
    let tenant = transaction.tenant().0;
    let claimed = sqlx::query!(
        "insert into idempotency as i (tenant_id, key, request_digest, holder, held_until)
         values ($1, $2, $3, $4, now() + make_interval(secs => $5))
         on conflict (tenant_id, key) do update
         set request_digest = excluded.request_digest, holder = excluded.holder, held_until = excluded.held_until
           , status = null, response = null, at = now()
         where i.at <= now() - interval '24 hours'
            or (i.status is null and i.held_until < now() and i.request_digest = excluded.request_digest)",
        tenant,
        key,
        request_digest,
        holder,
        hold.as_secs_f64()
    )
    .execute(transaction.connection())
    .await?;
    if claimed.rows_affected() > 0 {
        return Ok(Claim::Ours);
    }
    let row = sqlx::query!(
        "select request_digest, status, response from idempotency where tenant_id = $1 and key = $2",
        tenant,
        key
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(match row.map(|row| (row.request_digest, row.status, row.response)) {
        Some((request_digest, Some(status), Some(response))) => {
            Claim::Kept(Kept { request_digest, status: u16::try_from(status).unwrap_or(500), response })
        }
        Some((request_digest, ..)) => Claim::UnderWay { request_digest },
        // Given back this very moment: the caller tries again.
        None => Claim::UnderWay { request_digest: request_digest.to_owned() },
    })
}

/// Holds a claim for longer.
///
/// # Errors
/// When the database refuses.
pub async fn renew(
    transaction: &mut TenantTransaction,
    key: &str,
    holder: Uuid,
    hold: Duration,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update idempotency set held_until = now() + make_interval(secs => $4)
         where tenant_id = $1 and key = $2 and holder = $3 and status is null",
        tenant,
        key,
        holder,
        hold.as_secs_f64()
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Gives a claim back: the request was refused and may be tried again.
///
/// # Errors
/// When the database refuses.
pub async fn release(transaction: &mut TenantTransaction, key: &str, holder: Uuid) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "delete from idempotency where tenant_id = $1 and key = $2 and holder = $3 and status is null",
        tenant,
        key,
        holder
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Keeps the answer to a claimed key, and drops what is older than a day.
///
/// # Errors
/// When the database refuses.
pub async fn keep(transaction: &mut TenantTransaction, key: &str, holder: Uuid, kept: &Kept) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update idempotency set status = $4, response = $5 where tenant_id = $1 and key = $2 and holder = $3 and status is null",
        tenant,
        key,
        holder,
        i16::try_from(kept.status).unwrap_or(500),
        kept.response
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!("delete from idempotency where tenant_id = $1 and at <= now() - interval '24 hours'", tenant)
        .execute(transaction.connection())
        .await?;
    Ok(())
}
