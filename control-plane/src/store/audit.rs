//! The audit trail: read, given its places in the tenant's chain, and proved. Entries are written by the transactions of what they
//! tell (`transaction.rs`); nothing here or elsewhere changes one.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::store::{Page, StoreError, System, TenantTransaction};

/// An entry of the trail.
#[derive(Debug, Clone, Serialize)]
pub struct AuditEntry {
    /// Grows with each entry of the database.
    pub id: i64,
    /// Who, such as `root` or `credential:cred_…`.
    pub actor: String,
    /// What, such as `token.revoke`.
    pub action: String,
    /// To whom or what.
    pub subject: String,
    /// The rest; it holds no secret.
    pub detail: Value,
    /// When.
    pub at: DateTime<Utc>,
    /// Its place in the tenant's chain, from 1; none for about a second after it was written.
    pub seq: Option<i64>,
    /// SHA-256 in hex over the entry and the hash before it.
    pub hash: Option<String>,
}

/// Which entries are asked for; what is none does not narrow.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// By this actor.
    pub actor: Option<String>,
    /// This action, or with a `.` at the end all that begin so.
    pub action: Option<String>,
    /// At this instant or later.
    pub from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub to: Option<DateTime<Utc>>,
}

/// What proving a chain found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Entries that hold, from the first on.
    pub entries: i64,
    /// The place of the first one that does not.
    pub broken_at: Option<i64>,
}

/// Entries, newest first, and how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    transaction: &mut TenantTransaction,
    filter: &AuditFilter,
    page: Page,
) -> Result<(Vec<AuditEntry>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query_as!(
        AuditEntry,
        r#"select id, actor, action, subject, detail, at, seq, encode(hash, 'hex') as hash from audit
         where tenant_id = $1 and ($2::text is null or actor = $2)
           and ($3::text is null or action = $3 or right($3, 1) = '.' and starts_with(action, $3))
           and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5)
         order by id desc limit $6 offset $7"#,
        tenant,
        filter.actor,
        filter.action,
        filter.from,
        filter.to,
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from audit
         where tenant_id = $1 and ($2::text is null or actor = $2)
           and ($3::text is null or action = $3 or right($3, 1) = '.' and starts_with(action, $3))
           and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5)"#,
        tenant,
        filter.actor,
        filter.action,
        filter.from,
        filter.to
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok((rows, total))
}

/// Reads the tenant's whole chain and proves each entry.
///
/// # Errors
/// When the database refuses.
pub async fn verify(transaction: &mut TenantTransaction) -> Result<Proof, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_as!(Proof, r#"select entries as "entries!", broken_at from verify_audit($1)"#, tenant)
        .fetch_one(transaction.connection())
        .await?)
}

impl System {
    /// Gives up to `most` committed entries their places in the chains; how many.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn chain_audit(&self, most: i32) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar!(r#"select chain_audit($1) as "done!""#, most).fetch_one(&self.pool).await?)
    }
}
