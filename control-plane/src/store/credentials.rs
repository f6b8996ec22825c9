//! Operators' credentials. Only digests are kept.

use cargoman_credential::{Digest, Secret};
use cargoman_edge_protocol::TenantId;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::credential::{Credential, Level};
use crate::domain::id::CredentialId;
use crate::store::{Page, StoreError, System, TenantTransaction};

struct Row {
    id: Uuid,
    name: String,
    email: Option<String>,
    level: String,
    package_scopes: Vec<String>,
    last_four: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Credential {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: CredentialId(row.id),
            name: row.name,
            email: row.email,
            level: Level::parse(&row.level).map_err(|error| StoreError::inconsistent("credential", error))?,
            package_scopes: row.package_scopes,
            last_four: row.last_four,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        })
    }
}

/// What a new credential is to be; checked before it comes here.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// For people.
    pub name: String,
    /// Where to write.
    pub email: Option<String>,
    /// How much it may do.
    pub level: Level,
    /// Patterns of packages, of a publisher.
    pub package_scopes: Vec<String>,
    /// From then on it is no good.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Keeps a new credential.
///
/// # Errors
/// When the database refuses.
pub async fn insert(
    transaction: &mut TenantTransaction,
    wanted: &NewCredential,
    secret: &Secret,
) -> Result<Credential, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "insert into credential (tenant_id, id, name, email, level, package_scopes, digest, last_four, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         returning id, name, email, level, package_scopes, last_four, created_at, expires_at, revoked_at, last_used_at",
        tenant,
        CredentialId::new().0,
        wanted.name,
        wanted.email,
        wanted.level.as_str(),
        &wanted.package_scopes,
        secret.digest().to_hex(),
        secret.last_four(),
        wanted.expires_at
    )
    .fetch_one(transaction.connection())
    .await?;
    row.try_into()
}

/// Credentials of the tenant, newest first, and how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn list(transaction: &mut TenantTransaction, page: Page) -> Result<(Vec<Credential>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query_as!(
        Row,
        "select id, name, email, level, package_scopes, last_four, created_at, expires_at, revoked_at, last_used_at
         from credential where tenant_id = $1 order by created_at desc, id desc limit $2 offset $3",
        tenant,
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(r#"select count(*) as "count!" from credential where tenant_id = $1"#, tenant)
        .fetch_one(transaction.connection())
        .await?;
    Ok((rows.into_iter().map(Credential::try_from).collect::<Result<_, _>>()?, total))
}

/// One credential, locked against other writers until the end of the transaction; and whether it has a successor.
///
/// # Errors
/// When the database refuses.
pub async fn lock(
    transaction: &mut TenantTransaction,
    id: CredentialId,
) -> Result<Option<(Credential, bool)>, StoreError> {
    let tenant = transaction.tenant().0;
    let rotated = sqlx::query_scalar!(
        r#"select rotated_at is not null as "rotated!" from credential where tenant_id = $1 and id = $2 for update"#,
        tenant,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    let row = sqlx::query_as!(
        Row,
        "select id, name, email, level, package_scopes, last_four, created_at, expires_at, revoked_at, last_used_at
         from credential where tenant_id = $1 and id = $2",
        tenant,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(Credential::try_from).transpose()?.zip(rotated))
}

/// Revokes a credential; an already revoked one keeps its first date.
///
/// # Errors
/// When the database refuses.
pub async fn revoke(
    transaction: &mut TenantTransaction,
    id: CredentialId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update credential set revoked_at = $3 where tenant_id = $1 and id = $2 and revoked_at is null",
        tenant,
        id.0,
        at
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Lets a credential that has a successor end at an instant, unless it ends earlier already.
///
/// # Errors
/// When the database refuses.
pub async fn end_rotated(
    transaction: &mut TenantTransaction,
    id: CredentialId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update credential set expires_at = least(coalesce(expires_at, $3), $3), rotated_at = now() where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        at
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

impl System {
    /// Whose credential that is: the secret names its tenant.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn credential_of_digest(&self, digest: Digest) -> Result<Option<(TenantId, Credential)>, StoreError> {
        let tenant = sqlx::query_scalar!("select tenant_id from credential where digest = $1", digest.to_hex())
            .fetch_optional(&self.pool)
            .await?;
        let Some(tenant) = tenant else { return Ok(None) };
        let row = sqlx::query_as!(
            Row,
            "select id, name, email, level, package_scopes, last_four, created_at, expires_at, revoked_at, last_used_at
             from credential where tenant_id = $1 and digest = $2",
            tenant,
            digest.to_hex()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Credential::try_from).transpose()?.map(|credential| (TenantId(tenant), credential)))
    }

    /// Notes that a credential was used.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn credential_used(
        &self,
        tenant: TenantId,
        id: CredentialId,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update credential set last_used_at = greatest(last_used_at, $3) where tenant_id = $1 and id = $2",
            tenant.0,
            id.0,
            at
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
