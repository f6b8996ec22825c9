//! Answers given to requests with an `Idempotency-Key`, kept for a day.

use serde_json::Value;

use crate::store::{StoreError, TenantTransaction};

/// An answer given before.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Digest of method, path and body then.
    pub request_digest: String,
    /// HTTP status.
    pub status: u16,
    /// The body, without secrets.
    pub response: Value,
}

/// The answer given to that key within the last day.
///
/// # Errors
/// When the database refuses.
pub async fn find(transaction: &mut TenantTransaction, key: &str) -> Result<Option<Kept>, StoreError> {
    let tenant = transaction.tenant().0;
    // The lock lets two requests with one key go one after the other.
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", format!("{tenant}/{key}"))
        .fetch_one(transaction.connection())
        .await?;
    let row = sqlx::query!(
        "select request_digest, status, response from idempotency where tenant_id = $1 and key = $2 and at > now() - interval '24 hours'",
        tenant,
        key
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(|row| Kept {
        request_digest: row.request_digest,
        status: u16::try_from(row.status).unwrap_or(500),
        response: row.response,
    }))
}

/// Keeps an answer, and drops what is older than a day.
///
/// # Errors
/// When the database refuses.
pub async fn keep(transaction: &mut TenantTransaction, key: &str, kept: &Kept) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!("delete from idempotency where tenant_id = $1 and at <= now() - interval '24 hours'", tenant)
        .execute(transaction.connection())
        .await?;
    sqlx::query!(
        "insert into idempotency (tenant_id, key, request_digest, status, response) values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, key) do nothing",
        tenant,
        key,
        kept.request_digest,
        i16::try_from(kept.status).unwrap_or(500),
        kept.response
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
