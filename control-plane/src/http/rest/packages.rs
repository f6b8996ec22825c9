//! `/packages`: what is sold or shared.

use axum::extract::State as FromState;
use axum::http::StatusCode;
use axum::response::Response;
use cargoman_composer::name::PackageName;
use cargoman_composer::version::Version as NormalizedVersion;
use cargoman_edge_protocol::Change;
use serde_json::{Value, json};

use crate::clock::now;
use crate::domain::id::PackageId;
use crate::domain::job::SYNC_PACKAGE;
use crate::effect::{Concerned, Consent, Watch};
use crate::error::ApiError;
use crate::git::protocol::Failed;
use crate::git::url::{RepositoryUrl, UrlError};
use crate::http::consent::close;
use crate::http::envelope::{Paging, data, data_with, deleted, whole_list};
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::{lock_package, package};
use crate::jobs::probe;
use crate::state::State;
use crate::store::packages::{self as store, PackageFields};
use crate::store::{TenantTransaction, deletions, grants, jobs, tenants, vendors, versions};

/// Kinds of repositories; all of them are read over git.
const TYPES: [&str; 5] = ["git", "github", "gitlab", "bitbucket", "gitea"];

/// Notes that a package changed: for readers, for the edges, for the audit trail.
async fn changed(
    transaction: &mut TenantTransaction,
    id: PackageId,
    name: &PackageName,
    action: &str,
    detail: Value,
) -> Result<(), ApiError> {
    store::touch(transaction, id).await?;
    let tenant = transaction.tenant();
    transaction.changed(&Change::Package { tenant, name: name.clone() }).await?;
    transaction.audit(action, name.as_str(), detail).await?;
    Ok(())
}

fn repository_type(fields: &mut Fields) -> Patch<String> {
    fields.string("type", |text| match TYPES.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("must be one of {}", TYPES.join(", "))),
    })
}

/// The canonical form of an acceptable address.
fn repository_url(text: &str, state: &State) -> Result<String, UrlError> {
    match RepositoryUrl::parse(text, &state.config.git.url_policy())? {
        // Refused here, for a sync could only fail with it.
        RepositoryUrl::Ssh(_) => Err(UrlError {
            problem: "ssh is not supported yet".to_owned(),
            remedy: "give the https address of the repository",
        }),
        url => Ok(url.as_text()),
    }
}

/// A vendor becomes the tenant's own with the first package under it that is no fork.
async fn claim_vendor(transaction: &mut TenantTransaction, name: &PackageName) -> Result<(), ApiError> {
    if vendors::claim(transaction, name.vendor()).await? {
        tenants::touch(transaction).await?;
        super::tenants::changed(transaction).await?;
    }
    Ok(())
}

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (rows, total) = store::list(&mut transaction, paging.query().get("q").copied(), paging.page()).await?;
    Ok(paging.answer(&rows, total))
}

pub(crate) async fn create(
    FromState(state): FromState<State>,
    operator: Operator,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    const NEEDED: &str = "is required: the address that `git clone` takes";
    let url = fields.required("repository_url", NEEDED, |text| repository_url(text, &state));
    let name = fields.string("name", |text| PackageName::parse(text).map_err(|error| error.to_string())).value();
    let repository_type = repository_type(&mut fields).value().unwrap_or_else(|| "git".to_owned());
    let fork = fields.flag("fork").unwrap_or(false);
    fields.finish()?;
    let url = url.ok_or_else(|| ApiError::field("repository_url", NEEDED))?;
    let name = match name {
        Some(name) => name,
        None => read_name(&state, &url).await?,
    };
    let wanted =
        PackageFields { repository_type, repository_url: Some(url.clone()), fork, abandoned: false, replacement: None };
    let mut transaction = operator.begin(&state).await?;
    let id = store::insert(&mut transaction, &name, &wanted).await.map_err(|error| {
        match error.is_conflict("package_name_taken") {
            true => ApiError::Conflict(format!(
                "the package `{name}` exists already; change it with PATCH /packages/{name}"
            )),
            false => error.into(),
        }
    })?;
    if !fork {
        claim_vendor(&mut transaction, &name).await?;
    }
    tenants::directory_changed(&mut transaction).await?;
    let task = jobs::enqueue(&mut transaction, SYNC_PACKAGE, id).await?;
    changed(&mut transaction, id, &name, "package.create", json!({"repository_url": url})).await?;
    let package = store::find(&mut transaction, &name).await?.ok_or(ApiError::NotFound("package"))?;
    transaction.commit().await?;
    state.jobs_waiting.notify_one();
    let mut body = serde_json::to_value(package).map_err(|error| ApiError::Internal(error.into()))?;
    if let Some(body) = body.as_object_mut() {
        body.insert("task".to_owned(), json!(task));
    }
    Ok(data_with(StatusCode::CREATED, body))
}

/// The name in the default branch's composer.json.
async fn read_name(state: &State, url: &str) -> Result<PackageName, ApiError> {
    let refused = |failed: Failed| ApiError::field("repository_url", format!("{}; {}", failed.message, failed.remedy));
    let name = probe::package_name(state, url).await.map_err(refused)?;
    PackageName::parse_lowercasing(&name).map_err(|error| ApiError::field("repository_url", error))
}

pub(crate) async fn show(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    Ok(data(package(&mut transaction, &vendor, &name).await?.1))
}

pub(crate) async fn patch(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let url = fields.string("repository_url", |text| repository_url(text, &state));
    if url == Patch::Clear {
        fields.refuse("repository_url", "must not be cleared: without it nothing can be synced");
    }
    let kind = repository_type(&mut fields);
    let fork = fields.flag("fork");
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let (name, before) = lock_package(&mut transaction, &vendor, &name).await?;
    let wanted = PackageFields {
        repository_type: kind.over(Some(before.repository_type)).unwrap_or_else(|| "git".to_owned()),
        repository_url: url.over(before.repository_url),
        fork: fork.unwrap_or(before.fork),
        abandoned: before.abandoned,
        replacement: before.replacement,
    };
    store::update(&mut transaction, before.id, &wanted).await?;
    if before.fork && !wanted.fork {
        claim_vendor(&mut transaction, &name).await?;
    }
    let detail = json!({"repository_url": wanted.repository_url, "fork": wanted.fork});
    changed(&mut transaction, before.id, &name, "package.update", detail).await?;
    let after = store::find(&mut transaction, &name).await?.ok_or(ApiError::NotFound("package"))?;
    transaction.commit().await?;
    Ok(data(after))
}

pub(crate) async fn delete(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
    consent: Consent,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (name, before) = lock_package(&mut transaction, &vendor, &name).await?;
    let watch = Watch::begin(&mut transaction, Concerned::Package(name.clone()), consent).await?;
    changed(&mut transaction, before.id, &name, "package.delete", json!({"versions": before.versions})).await?;
    let tenant = transaction.tenant();
    let (way_back, customers) = deletions::delete_package(&mut transaction, before.id).await?;
    for customer in customers {
        transaction.changed(&Change::Customer { tenant, customer: customer.to_string() }).await?;
    }
    tenants::directory_changed(&mut transaction).await?;
    close(watch, transaction, deleted(&before, &json!(way_back))?).await
}

/// Gives the package up, with or without a replacement.
pub(crate) async fn abandon(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let check = |text: &str| PackageName::parse(text).map(|name| name.to_string()).map_err(|error| error.to_string());
    let replacement = fields.string("replacement", check).value();
    fields.finish()?;
    set_abandoned(&state, &operator, &vendor, &name, true, replacement).await
}

pub(crate) async fn unabandon(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    set_abandoned(&state, &operator, &vendor, &name, false, None).await
}

async fn set_abandoned(
    state: &State,
    operator: &Operator,
    vendor: &str,
    name: &str,
    abandoned: bool,
    replacement: Option<String>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(state).await?;
    let (name, before) = lock_package(&mut transaction, vendor, name).await?;
    let wanted = PackageFields {
        repository_type: before.repository_type,
        repository_url: before.repository_url,
        fork: before.fork,
        abandoned,
        replacement: replacement.clone(),
    };
    store::update(&mut transaction, before.id, &wanted).await?;
    let detail = json!({"abandoned": abandoned, "replacement": replacement});
    changed(&mut transaction, before.id, &name, "package.abandon", detail).await?;
    let after = store::find(&mut transaction, &name).await?.ok_or(ApiError::NotFound("package"))?;
    transaction.commit().await?;
    Ok(data(after))
}

pub(crate) async fn versions(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (_, package) = package(&mut transaction, &vendor, &name).await?;
    let mut rows = versions::list(&mut transaction, package.id).await?;
    let order = |text: &str| NormalizedVersion::from_normalized(text);
    rows.sort_by_cached_key(|row| std::cmp::Reverse(order(&row.version_normalized)));
    Ok(whole_list(&paging, &rows))
}

pub(crate) async fn customers(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (_, package) = package(&mut transaction, &vendor, &name).await?;
    let rows = grants::customers_of(&mut transaction, package.id).await?;
    let rows: Vec<Value> = rows
        .into_iter()
        .map(|(id, name, grant)| json!({"customer": {"id": id, "name": name}, "grant": grant}))
        .collect();
    Ok(whole_list(&paging, &rows))
}

pub(crate) async fn yank(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name, version)): Path<(String, String, String)>,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    set_yanked(&state, &operator, &vendor, &name, &version, true).await
}

pub(crate) async fn unyank(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name, version)): Path<(String, String, String)>,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    set_yanked(&state, &operator, &vendor, &name, &version, false).await
}

async fn set_yanked(
    state: &State,
    operator: &Operator,
    vendor: &str,
    name: &str,
    version: &str,
    yanked: bool,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(state).await?;
    let (name, package) = lock_package(&mut transaction, vendor, name).await?;
    let rows = versions::list(&mut transaction, package.id).await?;
    let found = rows.into_iter().find(|row| row.version == version || row.version_normalized == version);
    let found = found.ok_or(ApiError::NotFound("version"))?;
    // Yanked again, it keeps its first date.
    let at = yanked.then(|| found.yanked_at.unwrap_or_else(now));
    versions::set_yanked(&mut transaction, package.id, &found.version_normalized, at).await?;
    let action = if yanked { "version.yank" } else { "version.unyank" };
    changed(&mut transaction, package.id, &name, action, json!({"version": found.version})).await?;
    let rows = versions::list(&mut transaction, package.id).await?;
    transaction.commit().await?;
    let after = rows.into_iter().find(|row| row.version_normalized == found.version_normalized);
    Ok(data(after))
}
