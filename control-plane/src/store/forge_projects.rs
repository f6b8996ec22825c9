//! Projects of groups: what their forge said of them, and what became of each.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::domain::forge_group::{ProjectState, Verdict};
use crate::domain::id::{ForgeGroupId, HookId, PackageId};
use crate::forge::Project;
use crate::store::{Page, StoreError, TenantTransaction};

/// A project, as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// The forge's own name for it.
    pub remote_id: String,
    /// Its path.
    pub path: String,
    /// What became of it.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// Name of its package.
    pub package: Option<String>,
    /// Whether its forge tells us of pushes.
    pub hook: bool,
    /// Why it has no hook.
    pub hook_error: Option<String>,
    /// When its composer.json was last looked for.
    pub checked_at: Option<DateTime<Utc>>,
}

/// Projects of a group by path, and how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    transaction: &mut TenantTransaction,
    group: ForgeGroupId,
    state: Option<ProjectState>,
    page: Page,
) -> Result<(Vec<Shown>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let state = state.map(ProjectState::as_str);
    let rows = sqlx::query_as!(
        Shown,
        r#"select f.remote_id, f.path, f.state, f.reason, p.name as "package?", f.remote_hook is not null as "hook!", f.hook_error, f.checked_at
         from forge_project f left join package p on p.tenant_id = f.tenant_id and p.id = f.package_id
         where f.tenant_id = $1 and f.group_id = $2 and ($3::text is null or f.state = $3) order by f.path, f.remote_id limit $4 offset $5"#,
        tenant,
        group.0,
        state,
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from forge_project where tenant_id = $1 and group_id = $2 and ($3::text is null or state = $3)"#,
        tenant,
        group.0,
        state
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok((rows, total))
}

/// Notes which projects a group has. What is new, or has changed without being a package, is to be looked at; what the group does not
/// have any more is marked and stays as it is. `asked` is as of the beginning: whoever asked for a list since then gets another one.
///
/// # Errors
/// When the database refuses.
pub async fn listed(
    transaction: &mut TenantTransaction,
    group: ForgeGroupId,
    projects: &[Project],
    asked: i64,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    let text = |read: fn(&Project) -> &String| projects.iter().map(|one| read(one).clone()).collect::<Vec<_>>();
    let maybe =
        |read: fn(&Project) -> &Option<String>| projects.iter().map(|one| read(one).clone()).collect::<Vec<_>>();
    let archived: Vec<bool> = projects.iter().map(|one| one.archived).collect();
    let ids = text(|one| &one.remote_id);
    // The group before its projects, as whoever asks for all of them: nobody waits for the other.
    sqlx::query!(
        "update forge_group set list_wanted = list_asked <> $3, listed_at = now() where tenant_id = $1 and id = $2",
        tenant,
        group.0,
        asked
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!(
        "insert into forge_project as f (tenant_id, group_id, remote_id, path, api, https, ssh, default_branch, changed, state)
         select $1, $2, id, path, api, https, ssh, branch, changed, case when archived then 'archived' else 'new' end
         from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bool[])
              as listed (id, path, api, https, ssh, branch, changed, archived)
         on conflict (tenant_id, group_id, remote_id) do update set path = excluded.path, api = excluded.api, https = excluded.https
             , ssh = excluded.ssh, default_branch = excluded.default_branch, changed = excluded.changed, seen_at = now()
             , state = case when excluded.state = 'archived' and f.state <> 'package' then 'archived'
                            when f.state in ('archived', 'gone') and excluded.state <> 'archived' then case when f.package_id is null then 'new' else 'package' end
                            else f.state end
             , look = f.look or f.https is distinct from excluded.https
                   or (f.state <> 'package' and (excluded.changed is null or f.changed is distinct from excluded.changed
                       or f.default_branch is distinct from excluded.default_branch or f.state in ('archived', 'gone', 'failed')))",
        tenant,
        group.0,
        &ids,
        &text(|one| &one.path),
        &text(|one| &one.api),
        &maybe(|one| &one.https) as &[Option<String>],
        &maybe(|one| &one.ssh) as &[Option<String>],
        &maybe(|one| &one.default_branch) as &[Option<String>],
        &maybe(|one| &one.changed) as &[Option<String>],
        &archived
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!(
        "update forge_project set state = 'gone', look = false, reason = 'the group does not have it any more, or the credential may not see it'
         where tenant_id = $1 and group_id = $2 and remote_id <> all($3) and state <> 'gone'",
        tenant,
        group.0,
        &ids
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// A project that is to be looked at.
#[derive(Debug, Clone)]
pub struct ToLook {
    /// As its forge describes it.
    pub project: Project,
    /// The package that was made of it.
    pub package: Option<PackageId>,
    /// How often it was asked for.
    pub asked: i64,
}

/// The projects of a group that are to be looked at, by path.
///
/// # Errors
/// When the database refuses.
pub async fn to_look(transaction: &mut TenantTransaction, group: ForgeGroupId) -> Result<Vec<ToLook>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query!(
        "select remote_id, path, api, https, ssh, default_branch, changed, state, package_id, look_asked from forge_project
         where tenant_id = $1 and group_id = $2 and look and state <> 'gone' order by path, remote_id",
        tenant,
        group.0
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let project = Project {
                remote_id: row.remote_id,
                path: row.path,
                api: row.api,
                https: row.https,
                ssh: row.ssh,
                default_branch: row.default_branch,
                archived: row.state == "archived",
                changed: row.changed,
            };
            ToLook { project, package: row.package_id.map(PackageId), asked: row.look_asked }
        })
        .collect())
}

/// Notes what became of a project; false when its group is gone. Whoever asked for a look since it began gets another
/// one.
///
/// # Errors
/// When the database refuses.
pub async fn judged(
    transaction: &mut TenantTransaction,
    group: ForgeGroupId,
    one: &ToLook,
    verdict: &Verdict,
    package: Option<PackageId>,
) -> Result<bool, StoreError> {
    let tenant = transaction.tenant().0;
    let done = sqlx::query!(
        "update forge_project set state = $4, reason = $5, package_id = coalesce($6, package_id), checked_at = now(), look = look_asked <> $7
         where tenant_id = $1 and group_id = $2 and remote_id = $3",
        tenant,
        group.0,
        one.project.remote_id,
        verdict.state.as_str(),
        verdict.reason,
        package.map(|id| id.0),
        one.asked
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A project is to be looked at; false when the group knows none of that name or path that could become a package.
///
/// # Errors
/// When the database refuses.
pub async fn want_look(
    transaction: &mut TenantTransaction,
    group: ForgeGroupId,
    remote_id: Option<&str>,
    path: Option<&str>,
) -> Result<bool, StoreError> {
    let tenant = transaction.tenant().0;
    let done = sqlx::query!(
        "update forge_project set look = true, look_asked = look_asked + 1 where tenant_id = $1 and group_id = $2 and state <> 'gone'
           and (remote_id = $3 or ($3 is null and lower(path) = lower($4)))",
        tenant,
        group.0,
        remote_id,
        path
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A package whose project has no hook, as far as we know.
#[derive(Debug, Clone)]
pub struct Unhooked {
    /// The forge's own name for the project.
    pub remote_id: String,
    /// Its path.
    pub path: String,
    /// How the API names it.
    pub api: String,
    /// The hook that was made with the secret as it is now.
    pub remote_hook: Option<String>,
}

/// Projects that are packages and have no hook, or whose hook is to be looked for, by path.
///
/// # Errors
/// When the database refuses.
pub async fn unhooked(transaction: &mut TenantTransaction, group: ForgeGroupId) -> Result<Vec<Unhooked>, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_as!(
        Unhooked,
        "select remote_id, path, api, remote_hook from forge_project
         where tenant_id = $1 and group_id = $2 and state = 'package' and (remote_hook is null or hook_check) order by path, remote_id",
        tenant,
        group.0
    )
    .fetch_all(transaction.connection())
    .await?)
}

/// Notes that a hook was made, or why not.
///
/// # Errors
/// When the database refuses.
pub async fn hooked(
    transaction: &mut TenantTransaction,
    group: ForgeGroupId,
    remote_id: &str,
    hook: Result<&str, &str>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update forge_project set remote_hook = coalesce($4, remote_hook), hook_error = $5, hook_check = false where tenant_id = $1 and group_id = $2 and remote_id = $3",
        tenant,
        group.0,
        remote_id,
        hook.ok(),
        hook.err()
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// The hooks that were made of a hook of ours are worth nothing any more, since its secret is another one; the groups concerned.
///
/// # Errors
/// When the database refuses.
pub async fn forget_hooks(transaction: &mut TenantTransaction, hook: HookId) -> Result<Vec<ForgeGroupId>, StoreError> {
    let tenant = transaction.tenant().0;
    let groups: Vec<Uuid> =
        sqlx::query_scalar!("select id from forge_group where tenant_id = $1 and hook_id = $2", tenant, hook.0)
            .fetch_all(transaction.connection())
            .await?;
    sqlx::query!(
        "update forge_project set remote_hook = null where tenant_id = $1 and group_id = any($2)",
        tenant,
        &groups
    )
    .execute(transaction.connection())
    .await?;
    Ok(groups.into_iter().map(ForgeGroupId).collect())
}

/// Hooks that were made at the forge: how the API names the project and the hook.
///
/// # Errors
/// When the database refuses.
pub async fn made_hooks(
    transaction: &mut TenantTransaction,
    group: ForgeGroupId,
) -> Result<Vec<(String, String)>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query!(
        r#"select api, remote_hook as "remote_hook!" from forge_project
         where tenant_id = $1 and group_id = $2 and remote_hook is not null order by path"#,
        tenant,
        group.0
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (row.api, row.remote_hook)).collect())
}
