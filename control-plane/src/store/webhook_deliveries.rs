//! Deliveries of forges: what came, and what came of it. The same delivery twice is one.

use cargoman_composer::name::PackageName;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::id::{DeliveryId, HookId, JobId, PackageId};
use crate::store::{Page, StoreError, System, TenantTransaction};
use crate::webhook::{Delivery, Hint, Remote};

/// A delivery, as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Received {
    /// Id.
    pub id: DeliveryId,
    /// The hook it came to; none for `/api/update-package`.
    pub hook: Option<HookId>,
    /// The sender's name for what happened.
    pub event: String,
    /// The sender's name for the delivery.
    pub delivery_key: Option<String>,
    /// What it said, as far as it is of interest.
    pub hint: Value,
    /// `queued`, `no_package`, `ignored`, `ping`, `frozen`, `moved` or `group`.
    pub outcome: String,
    /// Why.
    pub reason: Option<String>,
    /// Names of the packages it concerns.
    pub packages: Vec<String>,
    /// Syncs that it brought about.
    pub tasks: Vec<JobId>,
    /// The delivery that was done again.
    pub replay_of: Option<DeliveryId>,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

struct Row {
    id: Uuid,
    hook_id: Option<Uuid>,
    event: String,
    delivery_key: Option<String>,
    hint: Value,
    outcome: String,
    reason: Option<String>,
    packages: Vec<String>,
    tasks: Vec<Uuid>,
    replay_of: Option<Uuid>,
    received_at: DateTime<Utc>,
}

impl From<Row> for Received {
    fn from(row: Row) -> Self {
        Self {
            id: DeliveryId(row.id),
            hook: row.hook_id.map(HookId),
            event: row.event,
            delivery_key: row.delivery_key,
            hint: row.hint,
            outcome: row.outcome,
            reason: row.reason,
            packages: row.packages,
            tasks: row.tasks.into_iter().map(JobId).collect(),
            replay_of: row.replay_of.map(DeliveryId),
            received_at: row.received_at,
        }
    }
}

/// What came of a delivery.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// One of the words of [`Received::outcome`].
    pub word: &'static str,
    /// Why.
    pub reason: Option<String>,
    /// Names of packages.
    pub packages: Vec<String>,
    /// Syncs.
    pub tasks: Vec<JobId>,
}

/// Notes a delivery before anything is done about it; none when it was there already, even if the other one is not committed yet.
///
/// # Errors
/// When the database refuses.
pub async fn note(
    transaction: &mut TenantTransaction,
    (hook, source): (Option<HookId>, &str),
    delivery: &Delivery,
    replay_of: Option<DeliveryId>,
) -> Result<Option<DeliveryId>, StoreError> {
    let tenant = transaction.tenant().0;
    let key = delivery.key.as_deref().filter(|_| replay_of.is_none());
    let id = sqlx::query_scalar!(
        "insert into webhook_delivery (tenant_id, id, hook_id, source, delivery_key, event, hint, outcome, replay_of)
         values ($1, $2, $3, $4, $5, $6, $7, 'ignored', $8)
         on conflict (tenant_id, source, delivery_key) where delivery_key is not null do nothing
         returning id",
        tenant,
        DeliveryId::new().0,
        hook.map(|hook| hook.0),
        source,
        key,
        delivery.event,
        Json(&delivery.hint) as _,
        replay_of.map(|id| id.0)
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(id.map(DeliveryId))
}

/// Notes what came of it.
///
/// # Errors
/// When the database refuses.
pub async fn done(transaction: &mut TenantTransaction, id: DeliveryId, outcome: &Outcome) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    let tasks: Vec<Uuid> = outcome.tasks.iter().map(|task| task.0).collect();
    sqlx::query!(
        "update webhook_delivery set outcome = $3, reason = $4, packages = $5, tasks = $6 where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        outcome.word,
        outcome.reason,
        &outcome.packages,
        &tasks
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Which deliveries are listed.
#[derive(Debug, Clone, Copy)]
pub enum Of<'a> {
    /// Of a hook.
    Hook(HookId),
    /// That concern a package.
    Package(&'a str),
}

/// Deliveries, newest first; and how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    transaction: &mut TenantTransaction,
    of: Of<'_>,
    page: Page,
) -> Result<(Vec<Received>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let (hook, package) = match of {
        Of::Hook(hook) => (Some(hook.0), None),
        Of::Package(package) => (None, Some(package)),
    };
    let rows = sqlx::query_as!(
        Row,
        r#"select id, hook_id, event, delivery_key, hint, outcome, reason, packages, tasks, replay_of, received_at
         from webhook_delivery where tenant_id = $1 and ($2::uuid is null or hook_id = $2) and ($3::text is null or $3 = any(packages))
         order by received_at desc, id desc limit $4 offset $5"#,
        tenant,
        hook,
        package,
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from webhook_delivery
         where tenant_id = $1 and ($2::uuid is null or hook_id = $2) and ($3::text is null or $3 = any(packages))"#,
        tenant,
        hook,
        package
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok((rows.into_iter().map(Into::into).collect(), total))
}

/// One delivery of a hook, and what it said.
///
/// # Errors
/// When the database refuses, or what it said cannot be read any more.
pub async fn find(
    transaction: &mut TenantTransaction,
    hook: HookId,
    id: DeliveryId,
) -> Result<Option<Delivery>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query!(
        "select event, delivery_key, hint from webhook_delivery where tenant_id = $1 and hook_id = $2 and id = $3",
        tenant,
        hook.0,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let hint: Hint =
        serde_json::from_value(row.hint).map_err(|error| StoreError::inconsistent("webhook_delivery", error))?;
    Ok(Some(Delivery { key: row.delivery_key, event: row.event, hint }))
}

/// A package that a delivery concerns, locked against other writers.
#[derive(Debug, Clone)]
pub struct Concerned {
    /// Which.
    pub id: PackageId,
    /// Its name.
    pub name: PackageName,
    /// Where it is read from.
    pub repository_url: String,
    /// The forge's own name for that repository, if it told us before.
    pub remote_id: Option<String>,
}

/// The packages that are read from a repository.
///
/// # Errors
/// When the database refuses.
pub async fn concerned(transaction: &mut TenantTransaction, remote: &Remote) -> Result<Vec<Concerned>, StoreError> {
    let tenant = transaction.tenant().0;
    let keys = remote.keys();
    // Only where there is no address at all: the end of a path may be another forge's.
    let path = remote.path.as_deref().filter(|_| keys.is_empty()).map(|path| format!("/{}", path.to_lowercase()));
    let rows = sqlx::query!(
        r#"select id, name, repository_url as "repository_url!", remote_id from package
         where tenant_id = $1 and repository_url is not null
           and (repository_key = any($2) or ($3::text is not null and right(repository_key, length($3)) = $3))
         order by name for no key update"#,
        tenant,
        &keys,
        path
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Concerned {
                id: PackageId(row.id),
                name: PackageName::parse(&row.name).map_err(|error| StoreError::inconsistent("package", error))?,
                repository_url: row.repository_url,
                remote_id: row.remote_id,
            })
        })
        .collect()
}

/// One package that has a repository, locked against other writers.
///
/// # Errors
/// When the database refuses.
pub async fn one(transaction: &mut TenantTransaction, package: PackageId) -> Result<Option<Concerned>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query!(
        r#"select name, repository_url as "repository_url!", remote_id from package
         where tenant_id = $1 and id = $2 and repository_url is not null for no key update"#,
        tenant,
        package.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let name = PackageName::parse(&row.name).map_err(|error| StoreError::inconsistent("package", error))?;
    Ok(Some(Concerned { id: package, name, repository_url: row.repository_url, remote_id: row.remote_id }))
}

/// Notes what a forge calls a package's repository, if it did not say before.
///
/// # Errors
/// When the database refuses.
pub async fn named(transaction: &mut TenantTransaction, package: PackageId, remote_id: &str) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update package set remote_id = coalesce(remote_id, $3) where tenant_id = $1 and id = $2",
        tenant,
        package.0,
        remote_id
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Notes that a forge told us of a push, and what it calls the repository.
///
/// # Errors
/// When the database refuses.
pub async fn heard(
    transaction: &mut TenantTransaction,
    package: PackageId,
    remote_id: Option<&str>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update package set hook_seen_at = now(), remote_id = coalesce(remote_id, $3) where tenant_id = $1 and id = $2",
        tenant,
        package.0,
        remote_id
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Stops the reading of a package until an operator says that it may be read again.
///
/// # Errors
/// When the database refuses.
pub async fn freeze(transaction: &mut TenantTransaction, package: PackageId, reason: &str) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!("update package set frozen_reason = $3 where tenant_id = $1 and id = $2", tenant, package.0, reason)
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// Lets a package be read again, whatever repository is there now.
///
/// # Errors
/// When the database refuses.
pub async fn unfreeze(transaction: &mut TenantTransaction, package: PackageId) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update package set frozen_reason = null, remote_id = null where tenant_id = $1 and id = $2",
        tenant,
        package.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Follows a repository that moved.
///
/// # Errors
/// When the database refuses.
pub async fn follow(
    transaction: &mut TenantTransaction,
    package: PackageId,
    (address, key): (&str, &str),
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update package set repository_url = $3, repository_key = $4 where tenant_id = $1 and id = $2",
        tenant,
        package.0,
        address,
        key
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Deliveries are kept so many days: longer than any sender repeats one (W-1).
const KEPT_DAYS: i32 = 30;

impl System {
    /// Forgets old deliveries, in every tenant.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn purge_deliveries(&self) -> Result<(), StoreError> {
        sqlx::query!("delete from webhook_delivery where received_at <= now() - make_interval(days => $1)", KEPT_DAYS)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
