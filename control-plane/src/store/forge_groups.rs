//! Groups of projects at forges: who speaks with what credential, and when they are looked at.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::forge_group::ForgeGroup;
use crate::domain::git_credential::UsedCredential;
use crate::domain::id::{ForgeGroupId, GitCredentialId, HookId};
use crate::domain::job::{Priority, SYNC_GROUP};
use crate::store::{Page, StoreError, System, TenantTransaction};
use crate::webhook::Provider;

struct Row {
    id: Uuid,
    provider: String,
    url: String,
    api_url: String,
    path: String,
    installation: Option<String>,
    git_credential_id: Uuid,
    git_credential_name: String,
    package_credential_id: Option<Uuid>,
    package_credential_name: Option<String>,
    packages: Vec<String>,
    projects: Option<Vec<String>>,
    hook_id: Option<Uuid>,
    list_wanted: bool,
    list_asked: i64,
    listed_at: Option<DateTime<Utc>>,
    sync_error: Option<String>,
    created_at: DateTime<Utc>,
    project_count: i64,
    package_count: i64,
}

/// A group, and what its job needs beyond what the API shows.
#[derive(Debug, Clone)]
pub struct Known {
    /// As the API shows it.
    pub group: ForgeGroup,
    /// As the API of its forge names it.
    pub path: String,
    /// Of a GitHub App, GitHub's number of the installation.
    pub installation: Option<String>,
    /// Whether its projects are to be listed anew.
    pub list_wanted: bool,
    /// How often that was asked for.
    pub list_asked: i64,
}

impl TryFrom<Row> for Known {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let provider = Provider::parse(&row.provider).ok_or_else(|| {
            StoreError::inconsistent("forge_group", format_args!("the provider `{}` is unknown", row.provider))
        })?;
        let used = |(id, name): (Uuid, String)| UsedCredential { id: GitCredentialId(id), name };
        let group = ForgeGroup {
            id: ForgeGroupId(row.id),
            provider,
            url: row.url,
            api_url: row.api_url,
            credential: used((row.git_credential_id, row.git_credential_name)),
            package_credential: row.package_credential_id.zip(row.package_credential_name).map(used),
            packages: row.packages,
            projects: row.projects,
            hook: row.hook_id.map(HookId),
            listed_at: row.listed_at,
            sync_error: row.sync_error,
            created_at: row.created_at,
            project_count: row.project_count,
            package_count: row.package_count,
        };
        Ok(Self {
            group,
            path: row.path,
            installation: row.installation,
            list_wanted: row.list_wanted,
            list_asked: row.list_asked,
        })
    }
}

/// What a group is to be; checked before it comes here.
#[derive(Debug, Clone)]
pub struct NewForgeGroup {
    /// Who speaks.
    pub provider: Provider,
    /// Its address for people, in one form.
    pub url: String,
    /// Where the API lies.
    pub api_url: String,
    /// As the API names it.
    pub path: String,
    /// Of a GitHub App, GitHub's number of the installation.
    pub installation: Option<String>,
    /// What asks the API.
    pub credential: GitCredentialId,
    /// What its packages are read with, if that is another one.
    pub package_credential: Option<GitCredentialId>,
    /// Globs of names.
    pub packages: Vec<String>,
    /// Patterns of projects.
    pub projects: Option<Vec<String>>,
    /// What its projects' hooks prove themselves with.
    pub hook: Option<HookId>,
}

/// Adds a group. Conflicts with `forge_group_taken`.
///
/// # Errors
/// When it is there already or the database refuses.
pub async fn insert(transaction: &mut TenantTransaction, wanted: &NewForgeGroup) -> Result<ForgeGroupId, StoreError> {
    let tenant = transaction.tenant().0;
    let id = ForgeGroupId::new();
    sqlx::query!(
        "insert into forge_group (tenant_id, id, provider, url, api_url, path, installation, git_credential_id, package_credential_id, packages, projects, hook_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        tenant,
        id.0,
        wanted.provider.as_str(),
        wanted.url,
        wanted.api_url,
        wanted.path,
        wanted.installation,
        wanted.credential.0,
        wanted.package_credential.map(|id| id.0),
        &wanted.packages,
        wanted.projects.as_deref(),
        wanted.hook.map(|id| id.0)
    )
    .execute(transaction.connection())
    .await?;
    Ok(id)
}

/// One group.
///
/// # Errors
/// When the database refuses.
pub async fn find(transaction: &mut TenantTransaction, id: ForgeGroupId) -> Result<Option<Known>, StoreError> {
    let (rows, _) = read(transaction, Some(id), Page { limit: 1, offset: 0 }).await?;
    Ok(rows.into_iter().next())
}

/// Groups by address, and how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn list(transaction: &mut TenantTransaction, page: Page) -> Result<(Vec<Known>, i64), StoreError> {
    read(transaction, None, page).await
}

async fn read(
    transaction: &mut TenantTransaction,
    id: Option<ForgeGroupId>,
    page: Page,
) -> Result<(Vec<Known>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query_as!(
        Row,
        r#"select g.id, g.provider, g.url, g.api_url, g.path, g.installation, g.git_credential_id, c.name as git_credential_name
                , g.package_credential_id, p.name as "package_credential_name?", g.packages, g.projects, g.hook_id, g.list_wanted, g.list_asked
                , g.listed_at, g.sync_error, g.created_at
                , (select count(*) from forge_project f where f.tenant_id = g.tenant_id and f.group_id = g.id and f.state <> 'gone') as "project_count!"
                , (select count(*) from forge_project f where f.tenant_id = g.tenant_id and f.group_id = g.id and f.state = 'package') as "package_count!"
         from forge_group g join git_credential c on c.tenant_id = g.tenant_id and c.id = g.git_credential_id
         left join git_credential p on p.tenant_id = g.tenant_id and p.id = g.package_credential_id
         where g.tenant_id = $1 and ($2::uuid is null or g.id = $2) order by g.url limit $3 offset $4"#,
        tenant,
        id.map(|id| id.0),
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(r#"select count(*) as "count!" from forge_group where tenant_id = $1"#, tenant)
        .fetch_one(transaction.connection())
        .await?;
    Ok((rows.into_iter().map(Known::try_from).collect::<Result<_, _>>()?, total))
}

/// Gives a group other globs and patterns, another credential for its packages, and what its hooks call; all its projects are looked
/// at anew.
///
/// # Errors
/// When the database refuses.
pub async fn update(
    transaction: &mut TenantTransaction,
    id: ForgeGroupId,
    packages: &[String],
    projects: Option<&[String]>,
    package_credential: Option<GitCredentialId>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update forge_group set packages = $3, projects = $4, package_credential_id = $5 where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        packages,
        projects,
        package_credential.map(|id| id.0)
    )
    .execute(transaction.connection())
    .await?;
    want_all(transaction, id).await
}

/// From now on its projects are to be listed and looked at anew, and their hooks too.
///
/// # Errors
/// When the database refuses.
pub async fn want_all(transaction: &mut TenantTransaction, id: ForgeGroupId) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    want_list(transaction, id).await?;
    sqlx::query!(
        "update forge_project set look = true, look_asked = look_asked + 1, hook_check = true, hook_error = null where tenant_id = $1 and group_id = $2 and state <> 'gone'",
        tenant,
        id.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// From now on its projects are to be listed anew.
///
/// # Errors
/// When the database refuses.
pub async fn want_list(transaction: &mut TenantTransaction, id: ForgeGroupId) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update forge_group set list_wanted = true, list_asked = list_asked + 1 where tenant_id = $1 and id = $2",
        tenant,
        id.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Notes how a look at a group ended.
///
/// # Errors
/// When the database refuses.
pub async fn synced(
    transaction: &mut TenantTransaction,
    id: ForgeGroupId,
    error: Option<&str>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!("update forge_group set sync_error = $3 where tenant_id = $1 and id = $2", tenant, id.0, error)
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// Forgets a group; false when there is none. Its packages stay.
///
/// # Errors
/// When the database refuses.
pub async fn delete(transaction: &mut TenantTransaction, id: ForgeGroupId) -> Result<bool, StoreError> {
    let tenant = transaction.tenant().0;
    let done = sqlx::query!("delete from forge_group where tenant_id = $1 and id = $2", tenant, id.0)
        .execute(transaction.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}

/// The groups that a git credential is for, by address.
///
/// # Errors
/// When the database refuses.
pub async fn of_credential(
    transaction: &mut TenantTransaction,
    credential: GitCredentialId,
) -> Result<Vec<String>, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_scalar!(
        "select url from forge_group where tenant_id = $1 and (git_credential_id = $2 or package_credential_id = $2) order by url",
        tenant,
        credential.0
    )
    .fetch_all(transaction.connection())
    .await?)
}

/// A group as far as deliveries are concerned.
#[derive(Debug, Clone)]
pub struct Told {
    /// Which.
    pub id: ForgeGroupId,
    /// Its address.
    pub url: String,
    /// Who speaks.
    pub provider: Provider,
    /// As the API of its forge names it.
    pub path: String,
}

/// All groups of the tenant.
///
/// # Errors
/// When the database refuses.
pub async fn told(transaction: &mut TenantTransaction) -> Result<Vec<Told>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query!("select id, url, provider, path from forge_group where tenant_id = $1 order by id", tenant)
        .fetch_all(transaction.connection())
        .await?;
    let told = rows.into_iter().filter_map(|row| {
        let provider = Provider::parse(&row.provider)?;
        Some(Told { id: ForgeGroupId(row.id), url: row.url, provider, path: row.path })
    });
    Ok(told.collect())
}

impl System {
    /// Asks for a look at the groups whose time has come; how many there were. The next time is anywhere from four to six fifths of
    /// `every` away.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn queue_group_polls(&self, every: Duration, most: i64) -> Result<i64, StoreError> {
        let count = sqlx::query_scalar!(
            r#"with due as (
                   select g.tenant_id, g.id from forge_group g join tenant t on t.id = g.tenant_id
                   where g.poll_after <= now() and t.status = 'active'
                   order by g.poll_after limit $1 for update of g skip locked)
                , polled as (
                   update forge_group g set list_wanted = true, list_asked = list_asked + 1, poll_after = now() + (0.8 + 0.4 * random()) * make_interval(secs => $2::float8)
                   from due where g.tenant_id = due.tenant_id and g.id = due.id
                   returning g.tenant_id, g.id)
                , asked as (
                   insert into job (tenant_id, id, kind, subject, priority)
                   select tenant_id, gen_random_uuid(), $3, id, $4 from polled order by tenant_id, id
                   on conflict (tenant_id, kind, subject) where state = 'queued' do nothing)
               select count(*) as "count!" from polled"#,
            most,
            every.as_secs_f64(),
            SYNC_GROUP,
            Priority::Polled.number()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(count)
    }
}
