//! Packages.

use cargoman_composer::name::PackageName;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::git_credential::UsedCredential;
use crate::domain::id::{GitCredentialId, PackageId};
use crate::domain::package::Package;
use crate::domain::releases::Releases;
use crate::domain::repository_key::RepositoryKey;
use crate::store::{Page, StoreError, TenantTransaction};

struct Row {
    id: Uuid,
    name: String,
    repository_type: String,
    repository_url: Option<String>,
    git_credential_id: Option<Uuid>,
    git_credential_name: Option<String>,
    fork: bool,
    source: Option<String>,
    abandoned: bool,
    replacement: Option<String>,
    default_branch: Option<String>,
    synced_at: Option<DateTime<Utc>>,
    sync_error: Option<String>,
    frozen_reason: Option<String>,
    monorepo: Option<Vec<String>>,
    tag_pattern: Option<String>,
    branches: Option<Vec<String>>,
    deleted_tags: Option<String>,
    releases: Option<String>,
    release_delay_hours: Option<i32>,
    parent: Option<String>,
    path: Option<String>,
    created_at: DateTime<Utc>,
    versions: i64,
}

impl From<Row> for Package {
    fn from(row: Row) -> Self {
        Self {
            id: PackageId(row.id),
            name: row.name,
            repository_type: row.repository_type,
            repository_url: row.repository_url,
            credential: row
                .git_credential_id
                .zip(row.git_credential_name)
                .map(|(id, name)| UsedCredential { id: GitCredentialId(id), name }),
            fork: row.fork,
            source: row.source,
            abandoned: row.abandoned,
            replacement: row.replacement,
            default_branch: row.default_branch,
            synced_at: row.synced_at,
            sync_error: row.sync_error,
            frozen_reason: row.frozen_reason,
            monorepo: row.monorepo,
            tag_pattern: row.tag_pattern,
            branches: row.branches,
            deleted_tags: row.deleted_tags.unwrap_or_else(|| "keep".to_owned()),
            releases: row.releases.unwrap_or_else(|| Releases::Auto.word().to_owned()),
            release_delay_hours: row.release_delay_hours,
            parent: row.parent,
            path: row.path,
            created_at: row.created_at,
            versions: row.versions,
        }
    }
}

/// What an operator writes of a package; checked before it comes here.
#[derive(Debug, Clone)]
pub struct PackageFields {
    /// Kind of the repository.
    pub repository_type: String,
    /// Where it is read from.
    pub repository_url: Option<String>,
    /// What it is read with.
    pub credential: Option<GitCredentialId>,
    /// Whether it is a private fork of a public package.
    pub fork: bool,
    /// Whether its metadata shows where the source lies.
    pub source: Option<String>,
    /// Whether its owner gave it up.
    pub abandoned: bool,
    /// What to use instead.
    pub replacement: Option<String>,
    /// Patterns of the folders that are packages of their own.
    pub monorepo: Option<Vec<String>>,
    /// How the tags of those are written.
    pub tag_pattern: Option<String>,
    /// Patterns of the branches that are versions; none: all.
    pub branches: Option<Vec<String>>,
    /// What becomes of a release whose tag is gone: `keep` or `remove`.
    pub deleted_tags: String,
    /// When a new release becomes visible.
    pub releases: Releases,
}

impl PackageFields {
    /// By which deliveries find it.
    fn repository_key(&self) -> Option<String> {
        let key = RepositoryKey::of(self.repository_url.as_deref()?)?;
        Some(key.as_str().to_owned())
    }
}

/// Adds a package. Conflicts with `package_name_taken`.
///
/// # Errors
/// When the name is taken or the database refuses.
pub async fn insert(
    transaction: &mut TenantTransaction,
    name: &PackageName,
    fields: &PackageFields,
) -> Result<PackageId, StoreError> {
    let tenant = transaction.tenant().0;
    let id = PackageId::new();
    sqlx::query!(
        "insert into package (tenant_id, id, name, repository_type, repository_url, fork, abandoned, replacement, source, repository_key, monorepo, tag_pattern
              , git_credential_id, branches, deleted_tags, releases, release_delay_hours)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, nullif($16, 'auto'), $17)",
        tenant,
        id.0,
        name.as_str(),
        fields.repository_type,
        fields.repository_url,
        fields.fork,
        fields.abandoned,
        fields.replacement,
        fields.source,
        fields.repository_key(),
        fields.monorepo.as_deref(),
        fields.tag_pattern,
        fields.credential.map(|id| id.0),
        fields.branches.as_deref(),
        fields.deleted_tags,
        fields.releases.word(),
        fields.releases.hours()
    )
    .execute(transaction.connection())
    .await?;
    Ok(id)
}

/// The package of that name.
///
/// # Errors
/// When the database refuses.
pub async fn find(transaction: &mut TenantTransaction, name: &PackageName) -> Result<Option<Package>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        r#"select id, name, repository_type, repository_url, fork, source, abandoned, replacement, default_branch, synced_at, sync_error, frozen_reason, created_at
                , monorepo, tag_pattern, branches, deleted_tags, releases, release_delay_hours, (select m.name from package m where m.tenant_id = p.tenant_id and m.id = p.parent_id) as "parent?", path
                , git_credential_id
                , (select g.name from git_credential g where g.tenant_id = p.tenant_id and g.id = p.git_credential_id) as git_credential_name
                , (select count(*) from version v where v.tenant_id = p.tenant_id and v.package_id = p.id) as "versions!"
         from package p where tenant_id = $1 and name = $2"#,
        tenant,
        name.as_str()
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(Into::into))
}

/// The package of that name, locked against other writers until the end of the transaction.
///
/// # Errors
/// When the database refuses.
pub async fn lock(transaction: &mut TenantTransaction, name: &PackageName) -> Result<Option<Package>, StoreError> {
    let tenant = transaction.tenant().0;
    // What is counted and read afterwards is as of the lock, not as of the time before waiting for it.
    sqlx::query!("select id from package where tenant_id = $1 and name = $2 for update", tenant, name.as_str())
        .fetch_optional(transaction.connection())
        .await?;
    find(transaction, name).await
}

/// The id of the package of that name, which cannot be deleted until the end of the transaction. Others may go on changing it.
///
/// # Errors
/// When the database refuses.
pub async fn keep(transaction: &mut TenantTransaction, name: &PackageName) -> Result<Option<PackageId>, StoreError> {
    let tenant = transaction.tenant().0;
    let id = sqlx::query_scalar!(
        "select id from package where tenant_id = $1 and name = $2 for key share",
        tenant,
        name.as_str()
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(id.map(PackageId))
}

/// Packages by name, narrowed to those whose name holds `part`; and how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    transaction: &mut TenantTransaction,
    part: Option<&str>,
    page: Page,
) -> Result<(Vec<Package>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query_as!(
        Row,
        r#"select id, name, repository_type, repository_url, fork, source, abandoned, replacement, default_branch, synced_at, sync_error, frozen_reason, created_at
                , monorepo, tag_pattern, branches, deleted_tags, releases, release_delay_hours, (select m.name from package m where m.tenant_id = p.tenant_id and m.id = p.parent_id) as "parent?", path
                , git_credential_id
                , (select g.name from git_credential g where g.tenant_id = p.tenant_id and g.id = p.git_credential_id) as git_credential_name
                , (select count(*) from version v where v.tenant_id = p.tenant_id and v.package_id = p.id) as "versions!"
         from package p where tenant_id = $1 and ($2::text is null or position(lower($2) in name) > 0)
         order by name limit $3 offset $4"#,
        tenant,
        part,
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from package where tenant_id = $1 and ($2::text is null or position(lower($2) in name) > 0)"#,
        tenant,
        part
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok((rows.into_iter().map(Into::into).collect(), total))
}

/// Replaces what an operator writes of a package. A new address makes the next sync look at every ref again, and whatever repository is
/// there is the right one.
///
/// # Errors
/// When the database refuses.
pub async fn update(
    transaction: &mut TenantTransaction,
    id: PackageId,
    fields: &PackageFields,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update package set refs_digest = case
                  when repository_url is distinct from $4 or monorepo is distinct from $10 or tag_pattern is distinct from $11 then null else refs_digest end
              , rereads = case
                  when repository_url is distinct from $4 or monorepo is distinct from $10 or tag_pattern is distinct from $11 then coalesce(rereads, 0) + 1 else rereads end
              , remote_id = case when repository_url is distinct from $4 then null else remote_id end
              , frozen_reason = case when repository_url is distinct from $4 then null else frozen_reason end
              , repository_key = $9, monorepo = $10, tag_pattern = $11, git_credential_id = $12, branches = $13, deleted_tags = $14
              , releases = nullif($15, 'auto'), release_delay_hours = $16
              , repository_type = $3, repository_url = $4, fork = $5, abandoned = $6, replacement = $7, source = $8
              , revision = nextval('revision')
         where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        fields.repository_type,
        fields.repository_url,
        fields.fork,
        fields.abandoned,
        fields.replacement,
        fields.source,
        fields.repository_key(),
        fields.monorepo.as_deref(),
        fields.tag_pattern,
        fields.credential.map(|id| id.0),
        fields.branches.as_deref(),
        fields.deleted_tags,
        fields.releases.word(),
        fields.releases.hours()
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Gives a package a new revision and locks it: its versions are about to change. False when it is gone.
///
/// # Errors
/// When the database refuses.
pub async fn touch(transaction: &mut TenantTransaction, id: PackageId) -> Result<bool, StoreError> {
    let tenant = transaction.tenant().0;
    let done = sqlx::query!(
        "update package set revision = nextval('revision') where tenant_id = $1 and id = $2",
        tenant,
        id.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Which of `names` are packages of the tenant.
///
/// # Errors
/// When the database refuses.
pub async fn existing(transaction: &mut TenantTransaction, names: &[String]) -> Result<Vec<String>, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_scalar!("select name from package where tenant_id = $1 and name = any($2)", tenant, names)
        .fetch_all(transaction.connection())
        .await?)
}
