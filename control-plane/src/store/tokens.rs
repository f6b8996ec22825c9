//! Tokens of customers. Only digests are kept.

use cargoman_credential::Secret;
use cargoman_licence::{PackageGlob, Scope};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::customer::Token;
use crate::domain::id::{CustomerId, TokenId};
use crate::store::{Page, StoreError, TenantTransaction};

struct Row {
    id: Uuid,
    name: String,
    scope: String,
    package_scopes: Vec<String>,
    last_four: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl From<Row> for Token {
    fn from(row: Row) -> Self {
        Self {
            id: TokenId(row.id),
            name: row.name,
            scope: row.scope,
            package_scopes: row.package_scopes,
            last_four: row.last_four,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
        }
    }
}

/// What a new token is to be.
#[derive(Debug, Clone)]
pub struct NewToken<'a> {
    /// For people.
    pub name: &'a str,
    /// What it may be used for.
    pub scope: Scope,
    /// Packages it is narrowed to.
    pub package_scopes: &'a [PackageGlob],
    /// From then on it is no good.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Keeps a new token.
///
/// # Errors
/// When the database refuses.
pub async fn insert(
    transaction: &mut TenantTransaction,
    customer: CustomerId,
    token: &NewToken<'_>,
    secret: &Secret,
) -> Result<Token, StoreError> {
    let tenant = transaction.tenant().0;
    let globs: Vec<String> = token.package_scopes.iter().map(|glob| glob.as_str().to_owned()).collect();
    let row = sqlx::query_as!(
        Row,
        "insert into token (tenant_id, id, customer_id, name, scope, package_scopes, digest, last_four, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         returning id, name, scope, package_scopes, last_four, created_at, expires_at, revoked_at",
        tenant,
        TokenId::new().0,
        customer.0,
        token.name,
        token.scope.as_str(),
        &globs,
        secret.digest().to_hex(),
        secret.last_four(),
        token.expires_at
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(row.into())
}

/// A customer's tokens, newest first, and how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    transaction: &mut TenantTransaction,
    customer: CustomerId,
    page: Page,
) -> Result<(Vec<Token>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query_as!(
        Row,
        "select id, name, scope, package_scopes, last_four, created_at, expires_at, revoked_at
         from token where tenant_id = $1 and customer_id = $2 order by created_at desc, id desc limit $3 offset $4",
        tenant,
        customer.0,
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from token where tenant_id = $1 and customer_id = $2"#,
        tenant,
        customer.0
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok((rows.into_iter().map(Into::into).collect(), total))
}

/// One token of a customer.
///
/// # Errors
/// When the database refuses.
pub async fn find(
    transaction: &mut TenantTransaction,
    customer: CustomerId,
    id: TokenId,
) -> Result<Option<Token>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "select id, name, scope, package_scopes, last_four, created_at, expires_at, revoked_at
         from token where tenant_id = $1 and customer_id = $2 and id = $3",
        tenant,
        customer.0,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(Into::into))
}

/// Revokes one token; an already revoked one keeps its first date.
///
/// # Errors
/// When the database refuses.
pub async fn revoke(transaction: &mut TenantTransaction, id: TokenId, at: DateTime<Utc>) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update token set revoked_at = $3 where tenant_id = $1 and id = $2 and revoked_at is null",
        tenant,
        id.0,
        at
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Revokes every token of a customer; how many there were.
///
/// # Errors
/// When the database refuses.
pub async fn revoke_all(
    transaction: &mut TenantTransaction,
    customer: CustomerId,
    at: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let tenant = transaction.tenant().0;
    let done = sqlx::query!(
        "update token set revoked_at = $3 where tenant_id = $1 and customer_id = $2 and revoked_at is null",
        tenant,
        customer.0,
        at
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected())
}

/// Lets a rotated token end at an instant, unless it ends earlier already.
///
/// # Errors
/// When the database refuses.
pub async fn end_rotated(
    transaction: &mut TenantTransaction,
    id: TokenId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update token set expires_at = least(coalesce(expires_at, $3), $3), rotated_at = now() where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        at
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Whether a token has a successor already.
///
/// # Errors
/// When the database refuses.
pub async fn is_rotated(transaction: &mut TenantTransaction, id: TokenId) -> Result<bool, StoreError> {
    let tenant = transaction.tenant().0;
    let rotated = sqlx::query_scalar!(
        r#"select rotated_at is not null as "rotated!" from token where tenant_id = $1 and id = $2"#,
        tenant,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(rotated.unwrap_or(false))
}
