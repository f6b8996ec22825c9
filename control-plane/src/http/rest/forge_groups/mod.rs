//! `/forge-groups`: groups of projects at forges (GitLab's groups, Bitbucket's workspaces and projects, organizations of Gitea and GitHub)
//! whose projects become packages as soon as they have a composer.json.

mod wanted;

use axum::extract::State as FromState;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

pub(super) use self::wanted::{Wanted, add, globs, refused};
use crate::domain::forge_group::ProjectState;
use crate::domain::id::{ForgeGroupId, JobId};
use crate::domain::job::{Priority, SYNC_GROUP};
use crate::error::ApiError;
use crate::http::envelope::{Paging, data, data_with};
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::id;
use crate::jobs::sync_group::remove_hooks;
use crate::state::State;
use crate::store::forge_groups::{self as store, Known};
use crate::store::{TenantTransaction, forge_projects, hooks, jobs};

const NO_GROUP: &str = "forge group";

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (rows, total) = store::list(&mut transaction, paging.page()).await?;
    let rows: Vec<_> = rows.into_iter().map(|known| known.group).collect();
    Ok(paging.answer(&rows, total))
}

pub(crate) async fn show(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(group): Path<String>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    Ok(data(known(&mut transaction, &group).await?.group))
}

/// The forge is asked before anything is kept: whoever mistypes an address hears of it at once.
pub(crate) async fn create(
    FromState(state): FromState<State>,
    operator: Operator,
    fields: Fields,
) -> Result<Response, ApiError> {
    let wanted = Wanted::read(fields, &state)?;
    let (group, task) = add(&operator, &state, wanted).await?;
    Ok(data_with(StatusCode::CREATED, with_task(&group, task)))
}

/// Other names, projects, or another credential for packages; all projects are looked at anew.
pub(crate) async fn patch(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(group): Path<String>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    for field in ["url", "type", "api_url", "credential"] {
        if fields.has(field) {
            fields.any(field);
            fields.refuse(field, "never changes; add another group");
        }
    }
    let packages = globs(&mut fields);
    let clears = fields.has("projects") && !fields.is_set("projects");
    let projects = wanted::projects(&mut fields);
    let credential = wanted::credential(&mut fields, "package_credential");
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let Known { group: before, .. } = known(&mut transaction, &group).await?;
    let packages = packages.unwrap_or(before.packages);
    let projects = if clears { None } else { projects.or(before.projects) };
    let credential = credential.over(before.package_credential.map(|used| used.id));
    if let Some(id) = credential {
        wanted::package_credential(&mut transaction, id).await?;
    }
    store::update(&mut transaction, before.id, &packages, projects.as_deref(), credential).await?;
    let task = jobs::enqueue_about(&mut transaction, SYNC_GROUP, before.id.0, Priority::Asked).await?;
    transaction.audit(
        "forge_group.update",
        &before.id.to_string(),
        json!({"packages": packages, "projects": projects, "package_credential": credential}),
    );
    let after = known(&mut transaction, &group).await?;
    transaction.commit().await?;
    state.jobs_waiting.notify_one();
    Ok(data(with_task(&after, task)))
}

/// Lists and looks at all of its projects.
pub(crate) async fn sync(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(group): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let found = known(&mut transaction, &group).await?;
    store::want_all(&mut transaction, found.group.id).await?;
    let task = jobs::enqueue_about(&mut transaction, SYNC_GROUP, found.group.id.0, Priority::Asked).await?;
    transaction.audit("forge_group.sync", &found.group.id.to_string(), json!({"task": task}));
    let answer = jobs::find(&mut transaction, task).await?;
    transaction.commit().await?;
    state.jobs_waiting.notify_one();
    Ok(data_with(StatusCode::ACCEPTED, answer))
}

pub(crate) async fn projects(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(group): Path<String>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let wanted = match paging.query().get("state") {
        None => None,
        Some(text) => Some(ProjectState::parse(text).ok_or_else(|| {
            ApiError::field(
                "state",
                "must be one of new, package, no_manifest, refused, left_out, archived, gone, failed",
            )
        })?),
    };
    let mut transaction = operator.begin(&state).await?;
    let found = known(&mut transaction, &group).await?;
    let (rows, total) = forge_projects::list(&mut transaction, found.group.id, wanted, paging.page()).await?;
    Ok(paging.answer(&rows, total))
}

/// Its packages stay. The hooks that were made for it are taken away at the forge, as far as that lets us.
pub(crate) async fn delete(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(group): Path<String>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let before = known(&mut transaction, &group).await?;
    drop(transaction);
    let left = remove_hooks(&state, operator.tenant, &before).await;
    let mut transaction = operator.begin(&state).await?;
    if !store::delete(&mut transaction, before.group.id).await? {
        return Err(ApiError::NotFound(NO_GROUP));
    }
    if let Some(hook) = before.group.hook {
        hooks::delete(&mut transaction, hook).await?;
    }
    let detail = json!({"url": before.group.url, "hooks_left": left});
    transaction.audit("forge_group.delete", &before.group.id.to_string(), detail);
    transaction.commit().await?;
    let mut body = json!(before.group);
    if let Some(map) = body.as_object_mut() {
        map.insert("hooks_left".to_owned(), json!(left));
    }
    Ok(data(body))
}

async fn known(transaction: &mut TenantTransaction, text: &str) -> Result<Known, ApiError> {
    let id: ForgeGroupId = id(text, NO_GROUP)?;
    store::find(transaction, id).await?.ok_or(ApiError::NotFound(NO_GROUP))
}

fn with_task(known: &Known, task: JobId) -> Value {
    let mut body = json!(known.group);
    if let Some(map) = body.as_object_mut() {
        map.insert("task".to_owned(), json!(task));
    }
    body
}
