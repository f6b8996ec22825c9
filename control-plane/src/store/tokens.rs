//! Tokens of customers. Only digests are kept. Every change of one is told to the edges here, so that no caller can forget it.

use cargoman_credential::Secret;
use cargoman_edge_protocol::Change;
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
    last_used_at: Option<DateTime<Utc>>,
    last_used_ip: Option<String>,
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
            last_used_at: row.last_used_at,
            last_used_ip: row.last_used_ip,
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
    /// The token that made it, and takes it along when it is revoked.
    pub made_by: Option<TokenId>,
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
        "insert into token (tenant_id, id, customer_id, name, scope, package_scopes, digest, last_four, expires_at, made_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         returning id, name, scope, package_scopes, last_four, created_at, expires_at, revoked_at, last_used_at
                   , host(last_used_ip) as last_used_ip",
        tenant,
        TokenId::new().0,
        customer.0,
        token.name,
        token.scope.as_str(),
        &globs,
        secret.digest().to_hex(),
        secret.last_four(),
        token.expires_at,
        token.made_by.map(|maker| maker.0)
    )
    .fetch_one(transaction.connection())
    .await?;
    // An edge may have learnt that nobody has this secret.
    tell(transaction, vec![secret.digest().to_hex()], false)?;
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
        "select id, name, scope, package_scopes, last_four, created_at, expires_at, revoked_at, last_used_at
               , host(last_used_ip) as last_used_ip
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
    // Whose it is is not asked for in SQL: of a customer with many tokens PostgreSQL, while it has no statistics, reads them all.
    let row = sqlx::query!(
        "select id, name, scope, package_scopes, last_four, created_at, expires_at, revoked_at, last_used_at
               , host(last_used_ip) as last_used_ip, customer_id
         from token where tenant_id = $1 and id = $2",
        tenant,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.filter(|row| row.customer_id == customer.0).map(|row| Token {
        id: TokenId(row.id),
        name: row.name,
        scope: row.scope,
        package_scopes: row.package_scopes,
        last_four: row.last_four,
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
        last_used_at: row.last_used_at,
        last_used_ip: row.last_used_ip,
    }))
}

/// Revokes one token of a customer and all that it made, and those made. One that was revoked before keeps its first date and is told
/// to the edges once more: whoever asks again, because he got no answer, learns whether it is effective. The token afterwards; none
/// when the customer has no such token: then the transaction must be dropped.
///
/// # Errors
/// When the database refuses.
pub async fn revoke(
    transaction: &mut TenantTransaction,
    customer: CustomerId,
    id: TokenId,
    at: DateTime<Utc>,
) -> Result<Option<Token>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query!(
        "with recursive line as (
             select id from token where tenant_id = $1 and id = $2
             union
             select made.id from token made join line on made.made_by = line.id where made.tenant_id = $1
         )
         update token set revoked_at = coalesce(revoked_at, $3), revision = nextval('revision')
         where tenant_id = $1 and id in (select id from line)
         returning id, name, scope, package_scopes, last_four, created_at, expires_at, revoked_at, last_used_at
                 , host(last_used_ip) as last_used_ip, customer_id, digest",
        tenant,
        id.0,
        at
    )
    .fetch_all(transaction.connection())
    .await?;
    let digests = rows.iter().map(|row| row.digest.clone()).collect();
    let own = rows.into_iter().find(|row| row.id == id.0 && row.customer_id == customer.0);
    let Some(row) = own else { return Ok(None) };
    tell(transaction, digests, true)?;
    Ok(Some(Token {
        id,
        name: row.name,
        scope: row.scope,
        package_scopes: row.package_scopes,
        last_four: row.last_four,
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
        last_used_at: row.last_used_at,
        last_used_ip: row.last_used_ip,
    }))
}

/// The token that made this one, if one did.
///
/// # Errors
/// When the database refuses.
pub async fn maker(transaction: &mut TenantTransaction, id: TokenId) -> Result<Option<TokenId>, StoreError> {
    let tenant = transaction.tenant().0;
    let maker = sqlx::query_scalar!("select made_by from token where tenant_id = $1 and id = $2", tenant, id.0)
        .fetch_optional(transaction.connection())
        .await?;
    Ok(maker.flatten().map(TokenId))
}

/// Makes `to` the maker of every token that `from` made: its successor is answerable for them.
///
/// # Errors
/// When the database refuses.
pub async fn hand_over(transaction: &mut TenantTransaction, from: TokenId, to: TokenId) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!("update token set made_by = $3 where tenant_id = $1 and made_by = $2", tenant, from.0, to.0)
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// Patterns of the packages that a customer's developer tokens may upload to.
///
/// # Errors
/// When the database refuses.
pub async fn may_publish(transaction: &mut TenantTransaction, customer: CustomerId) -> Result<Vec<String>, StoreError> {
    let tenant = transaction.tenant().0;
    let globs =
        sqlx::query_scalar!("select may_publish from customer where tenant_id = $1 and id = $2", tenant, customer.0)
            .fetch_optional(transaction.connection())
            .await?;
    Ok(globs.unwrap_or_default())
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
    let ended = sqlx::query_scalar!(
        "update token set revoked_at = $3, revision = nextval('revision') where tenant_id = $1 and customer_id = $2 and revoked_at is null returning digest",
        tenant,
        customer.0,
        at
    )
    .fetch_all(transaction.connection())
    .await?;
    let count = u64::try_from(ended.len()).unwrap_or(u64::MAX);
    tell(transaction, ended, true)?;
    Ok(count)
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
    let ending = sqlx::query_scalar!(
        "update token set expires_at = least(coalesce(expires_at, $3), $3), rotated_at = now()
                        , revision = nextval('revision')
         where tenant_id = $1 and id = $2
         returning digest",
        tenant,
        id.0,
        at
    )
    .fetch_all(transaction.connection())
    .await?;
    tell(transaction, ending, false)
}

/// Tells the edges that every token of a customer goes or is there again.
///
/// # Errors
/// When the database refuses.
pub(super) async fn tell_of(transaction: &mut TenantTransaction, customer: CustomerId) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    let digests =
        sqlx::query_scalar!("select digest from token where tenant_id = $1 and customer_id = $2", tenant, customer.0)
            .fetch_all(transaction.connection())
            .await?;
    tell(transaction, digests, false)
}

fn tell(transaction: &mut TenantTransaction, digests: Vec<String>, revoked: bool) -> Result<(), StoreError> {
    let tenant = transaction.tenant();
    for digest in digests {
        let digest = digest.parse().map_err(|error| StoreError::inconsistent("token", error))?;
        transaction.changed(&Change::Token { tenant, digest, revoked });
    }
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
