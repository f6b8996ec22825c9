//! What opens git servers. Secrets go in and come out sealed; only [`sealed`] gives them out, to whoever is about to ask the server.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::git_credential::{GitCredential, GitCredentialKind};
use crate::domain::id::{GitCredentialId, PackageId};
use crate::store::{Page, StoreError, TenantTransaction};

struct Row {
    id: Uuid,
    name: String,
    kind: String,
    origin: String,
    username: Option<String>,
    public_key: Option<String>,
    fingerprint: Option<String>,
    generated: bool,
    created_at: DateTime<Utc>,
    rotated_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    packages: i64,
}

impl TryFrom<Row> for GitCredential {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: GitCredentialId(row.id),
            name: row.name,
            kind: kind(&row.kind)?,
            origin: row.origin,
            username: row.username,
            public_key: row.public_key,
            fingerprint: row.fingerprint,
            generated: row.generated,
            created_at: row.created_at,
            rotated_at: row.rotated_at,
            last_used_at: row.last_used_at,
            packages: row.packages,
        })
    }
}

fn kind(text: &str) -> Result<GitCredentialKind, StoreError> {
    GitCredentialKind::parse(text).map_err(|error| StoreError::inconsistent("git_credential", error))
}

/// A secret, sealed, and what is shown of it.
#[derive(Debug, Clone)]
pub struct SealedSecret {
    /// Sealed for the credential's row.
    pub secret: Vec<u8>,
    /// The user.
    pub username: Option<String>,
    /// Of a key.
    pub public_key: Option<String>,
    /// Of a key.
    pub fingerprint: Option<String>,
    /// Whether the key was made here.
    pub generated: bool,
}

/// What a new git credential is to be; checked before it comes here.
#[derive(Debug, Clone)]
pub struct NewGitCredential {
    /// Its id, which the secret is sealed for.
    pub id: GitCredentialId,
    /// For people.
    pub name: String,
    /// How it opens a server.
    pub kind: GitCredentialKind,
    /// Where the secret may be sent.
    pub origin: String,
    /// The secret.
    pub sealed: SealedSecret,
}

/// Keeps a new git credential. Conflicts with `git_credential_name_taken`.
///
/// # Errors
/// When the name is taken or the database refuses.
pub async fn insert(transaction: &mut TenantTransaction, wanted: &NewGitCredential) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "insert into git_credential (tenant_id, id, name, kind, origin, username, secret, public_key, fingerprint, generated)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        tenant,
        wanted.id.0,
        wanted.name,
        wanted.kind.as_str(),
        wanted.origin,
        wanted.sealed.username,
        wanted.sealed.secret,
        wanted.sealed.public_key,
        wanted.sealed.fingerprint,
        wanted.sealed.generated
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Git credentials by name, and how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn list(transaction: &mut TenantTransaction, page: Page) -> Result<(Vec<GitCredential>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query_as!(
        Row,
        r#"select id, name, kind, origin, username, public_key, fingerprint, generated, created_at, rotated_at, last_used_at
                , (select count(*) from package p where p.tenant_id = g.tenant_id and p.git_credential_id = g.id) as "packages!"
         from git_credential g where tenant_id = $1 order by name limit $2 offset $3"#,
        tenant,
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(r#"select count(*) as "count!" from git_credential where tenant_id = $1"#, tenant)
        .fetch_one(transaction.connection())
        .await?;
    Ok((rows.into_iter().map(GitCredential::try_from).collect::<Result<_, _>>()?, total))
}

/// One git credential.
///
/// # Errors
/// When the database refuses.
pub async fn find(
    transaction: &mut TenantTransaction,
    id: GitCredentialId,
) -> Result<Option<GitCredential>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        r#"select id, name, kind, origin, username, public_key, fingerprint, generated, created_at, rotated_at, last_used_at
                , (select count(*) from package p where p.tenant_id = g.tenant_id and p.git_credential_id = g.id) as "packages!"
         from git_credential g where tenant_id = $1 and id = $2"#,
        tenant,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(GitCredential::try_from).transpose()
}

/// The git credentials of a kind, by name; two at most: for whoever wants the only one.
///
/// # Errors
/// When the database refuses.
pub async fn two_of_kind(
    transaction: &mut TenantTransaction,
    kind: GitCredentialKind,
) -> Result<Vec<GitCredentialId>, StoreError> {
    let tenant = transaction.tenant().0;
    let ids = sqlx::query_scalar!(
        "select id from git_credential where tenant_id = $1 and kind = $2 order by name limit 2",
        tenant,
        kind.as_str()
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(ids.into_iter().map(GitCredentialId).collect())
}

/// One git credential, locked against other writers and new users until the end of the transaction.
///
/// # Errors
/// When the database refuses.
pub async fn lock(
    transaction: &mut TenantTransaction,
    id: GitCredentialId,
) -> Result<Option<GitCredential>, StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!("select id from git_credential where tenant_id = $1 and id = $2 for update", tenant, id.0)
        .fetch_optional(transaction.connection())
        .await?;
    find(transaction, id).await
}

/// Gives a git credential another name or user. Conflicts with `git_credential_name_taken`.
///
/// # Errors
/// When the name is taken or the database refuses.
pub async fn rename(
    transaction: &mut TenantTransaction,
    id: GitCredentialId,
    name: &str,
    username: Option<&str>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update git_credential set name = $3, username = $4 where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        name,
        username
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Gives a git credential another secret; the old one is forgotten.
///
/// # Errors
/// When the database refuses.
pub async fn rotate(
    transaction: &mut TenantTransaction,
    id: GitCredentialId,
    sealed: &SealedSecret,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update git_credential set secret = $3, username = $4, public_key = $5, fingerprint = $6, generated = $7, rotated_at = now()
         where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        sealed.secret,
        sealed.username,
        sealed.public_key,
        sealed.fingerprint,
        sealed.generated
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Forgets a git credential, which must have been locked in this transaction; gives the packages that lost it, by name.
///
/// # Errors
/// When the database refuses.
pub async fn delete(transaction: &mut TenantTransaction, id: GitCredentialId) -> Result<Vec<String>, StoreError> {
    let tenant = transaction.tenant().0;
    let mut packages = sqlx::query_scalar!(
        "update package set git_credential_id = null where tenant_id = $1 and git_credential_id = $2 returning name",
        tenant,
        id.0
    )
    .fetch_all(transaction.connection())
    .await?;
    packages.sort();
    sqlx::query!("delete from git_credential where tenant_id = $1 and id = $2", tenant, id.0)
        .execute(transaction.connection())
        .await?;
    Ok(packages)
}

/// The first packages that are read with it, by name.
///
/// # Errors
/// When the database refuses.
pub async fn used_by(
    transaction: &mut TenantTransaction,
    id: GitCredentialId,
    most: i64,
) -> Result<Vec<String>, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_scalar!(
        "select name from package where tenant_id = $1 and git_credential_id = $2 order by name limit $3",
        tenant,
        id.0,
        most
    )
    .fetch_all(transaction.connection())
    .await?)
}

/// What is needed to open a git server, the secret still sealed.
#[derive(Debug, Clone)]
pub struct SealedCredential {
    /// Id.
    pub id: GitCredentialId,
    /// For people.
    pub name: String,
    /// How it opens a server.
    pub kind: GitCredentialKind,
    /// Where the secret may be sent, and nowhere else.
    pub origin: String,
    /// The user.
    pub username: Option<String>,
    /// Sealed for this row.
    pub secret: Vec<u8>,
}

/// A git credential with its secret. It cannot be deleted until the end of the transaction.
///
/// # Errors
/// When the database refuses.
pub async fn sealed(
    transaction: &mut TenantTransaction,
    id: GitCredentialId,
) -> Result<Option<SealedCredential>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query!(
        "select id, name, kind, origin, username, secret from git_credential where tenant_id = $1 and id = $2 for key share",
        tenant,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(SealedCredential {
        id: GitCredentialId(row.id),
        name: row.name,
        kind: kind(&row.kind)?,
        origin: row.origin,
        username: row.username,
        secret: row.secret,
    }))
}

/// Which git credential a package is read with.
///
/// # Errors
/// When the database refuses.
pub async fn of_package(
    transaction: &mut TenantTransaction,
    package: PackageId,
) -> Result<Option<SealedCredential>, StoreError> {
    let tenant = transaction.tenant().0;
    let id = sqlx::query_scalar!(
        "select git_credential_id from package where tenant_id = $1 and id = $2",
        tenant,
        package.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    match id.flatten() {
        Some(id) => sealed(transaction, GitCredentialId(id)).await,
        None => Ok(None),
    }
}

/// Notes that a git credential is used, once a minute.
///
/// # Errors
/// When the database refuses.
pub async fn used(
    transaction: &mut TenantTransaction,
    id: GitCredentialId,
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update git_credential set last_used_at = $3
         where tenant_id = $1 and id = $2 and (last_used_at is null or last_used_at < $3::timestamptz - interval '1 minute')",
        tenant,
        id.0,
        at
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
