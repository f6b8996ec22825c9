//! `/packages`: what is sold or shared.

mod abandon;
pub(crate) mod credential;
pub(crate) mod date;
mod lifecycle;
pub(crate) mod monorepo;
pub(crate) mod release;
pub(crate) mod upload;
pub(crate) mod versions;
pub(crate) mod withdraw;

use axum::extract::State as FromState;
use axum::http::StatusCode;
use axum::response::Response;
use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::Change;
use serde_json::{Value, json};

pub(crate) use self::abandon::{abandon, unabandon};
use crate::add_package;
use crate::domain::id::{GitCredentialId, PackageId};
use crate::domain::job::{Priority, SYNC_PACKAGE};
use crate::domain::package::Package;
use crate::domain::releases::Releases;
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
use crate::store::{TenantTransaction, deletions, grants, jobs, monorepos, tenants, webhook_deliveries};

/// Kinds of repositories, all of them read over git; and that of a package which has none and takes uploads alone.
const TYPES: [&str; 6] = ["git", "github", "gitlab", "bitbucket", "gitea", ARTIFACT];
pub(super) const ARTIFACT: &str = "artifact";

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
    transaction.changed(&Change::Package { tenant, name: name.clone() });
    transaction.audit(action, name.as_str(), detail);
    Ok(())
}

fn repository_type(fields: &mut Fields) -> Patch<String> {
    fields.string("type", |text| match TYPES.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("must be one of {}", TYPES.join(", "))),
    })
}

fn source(fields: &mut Fields) -> Patch<String> {
    fields.string("source", |text| match text {
        "hide" | "show" => Ok(text.to_owned()),
        _ => Err("must be hide or show; null for what the tenant says"),
    })
}

/// The canonical form of an acceptable address.
fn repository_url(text: &str, state: &State) -> Result<String, UrlError> {
    Ok(RepositoryUrl::parse(text, &state.config.git.url_policy())?.as_text())
}

fn releases_of(package: &Package) -> Result<Releases, ApiError> {
    let wrong = |(field, _)| ApiError::Internal(anyhow::anyhow!("{field} of a package cannot be read"));
    Releases::of(&package.releases, package.release_delay_hours).map_err(wrong)
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
    fields: Fields,
) -> Result<Response, ApiError> {
    let (name, wanted) = read(fields, &operator, &state).await?;
    let mut transaction = operator.begin(&state).await?;
    if let (Some(credential), Some(url)) = (wanted.credential, &wanted.repository_url) {
        credential::fitting(&mut transaction, credential, url, "credential", &state).await?;
    }
    let added = add_package::add(&mut transaction, &name, &wanted, Priority::Asked).await;
    let (_, task) = added.map_err(|error| match error.is_conflict("package_name_taken") {
        true => {
            ApiError::Conflict(format!("the package `{name}` exists already; change it with PATCH /packages/{name}"))
        }
        false => error.into(),
    })?;
    let package = store::find(&mut transaction, &name).await?.ok_or(ApiError::NotFound("package"))?;
    transaction.commit().await?;
    state.jobs_waiting.notify_one();
    let mut body = serde_json::to_value(package).map_err(|error| ApiError::Internal(error.into()))?;
    if let (Some(body), Some(task)) = (body.as_object_mut(), task) {
        body.insert("task".to_owned(), json!(task));
    }
    Ok(data_with(StatusCode::CREATED, body))
}

/// The fields of a new package; its name is asked of the repository when it is not given.
async fn read(
    mut fields: Fields,
    operator: &Operator,
    state: &State,
) -> Result<(PackageName, PackageFields), ApiError> {
    const NEEDED: &str =
        "is required: the address that `git clone` takes; or give \"type\": \"artifact\" for uploads alone";
    let repository_type = repository_type(&mut fields).value().unwrap_or_else(|| "git".to_owned());
    let check = |text: &str| PackageName::parse(text).map_err(|error| error.to_string());
    let (url, name) = match repository_type == ARTIFACT {
        true => {
            if fields.has("repository_url") {
                fields.any("repository_url");
                fields.refuse("repository_url", "is not for packages of the type artifact; leave it out");
            }
            (None, fields.required("name", "is required: without a repository nothing else says it", check))
        }
        false => {
            let url = fields.required("repository_url", NEEDED, |text| repository_url(text, state));
            (url, fields.string("name", check).value())
        }
    };
    let credential = credential::field(&mut fields).value();
    if url.is_none() && repository_type == ARTIFACT && credential.is_some() {
        fields.refuse("credential", "is not for packages of the type artifact; leave it out");
    }
    let fork = fields.flag("fork").unwrap_or(false);
    let source = source(&mut fields).value();
    let patterns = monorepo::patterns(&mut fields).value();
    let tag_pattern = monorepo::tag_pattern(&mut fields).value();
    let branches = lifecycle::branches(&mut fields).value();
    let deleted_tags = lifecycle::deleted_tags(&mut fields).value();
    let releases = lifecycle::releases(&mut fields, Releases::Auto);
    check_monorepo(&mut fields, patterns.is_some(), tag_pattern.is_some(), url.is_some());
    fields.finish()?;
    credential::needed(url.as_deref(), credential, state)?;
    let name = match (name, &url) {
        (Some(name), _) => name,
        (None, Some(url)) => read_name(operator, state, url, credential).await?,
        (None, None) => return Err(ApiError::field("repository_url", NEEDED)),
    };
    let wanted = PackageFields {
        repository_type,
        repository_url: url,
        credential,
        fork,
        source,
        abandoned: false,
        replacement: None,
        monorepo: patterns,
        tag_pattern,
        branches,
        deleted_tags: deleted_tags.unwrap_or_else(|| lifecycle::KEEP.to_owned()),
        releases,
    };
    Ok((name, wanted))
}

fn check_monorepo(fields: &mut Fields, patterns: bool, tags: bool, repository: bool) {
    if patterns && !repository {
        fields.refuse("monorepo", "is for packages with a repository_url");
    }
    if tags && !patterns {
        fields.refuse("tag_pattern", "is for repositories with many packages; give `monorepo` too");
    }
}

/// The name in the default branch's composer.json.
async fn read_name(
    operator: &Operator,
    state: &State,
    url: &str,
    credential: Option<GitCredentialId>,
) -> Result<PackageName, ApiError> {
    let opened = match credential {
        Some(id) => Some(credential::open(operator, id, url, state).await?),
        None => None,
    };
    let refused = |failed: Failed| ApiError::field("repository_url", format!("{}; {}", failed.message, failed.remedy));
    let name = probe::package_name(state, url, opened).await.map_err(refused)?;
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
    let kind = repository_type(&mut fields);
    if url == Patch::Clear && kind != Patch::Set(ARTIFACT.to_owned()) {
        fields.refuse("repository_url", "must not be cleared: without it nothing can be synced");
    }
    let credential = credential::field(&mut fields);
    let fork = fields.flag("fork");
    let source = source(&mut fields);
    let patterns = monorepo::patterns(&mut fields);
    let tags = monorepo::tag_pattern(&mut fields);
    let branches = lifecycle::branches(&mut fields);
    let deleted_tags = lifecycle::deleted_tags(&mut fields);
    let mut transaction = operator.begin(&state).await?;
    let (name, before) = lock_package(&mut transaction, &vendor, &name).await?;
    if let Some(parent) = &before.parent {
        for (field, given) in [
            ("repository_url", url != Patch::Absent),
            ("type", kind != Patch::Absent),
            ("monorepo", patterns != Patch::Absent),
        ] {
            if given {
                fields.refuse(field, format!("is that of {parent}, whose sync makes this package"));
            }
        }
    }
    let releases = lifecycle::releases(&mut fields, releases_of(&before)?);
    let (was, is) = (before.monorepo.is_some(), patterns.clone().over(before.monorepo.clone()));
    let tags = tags.over(before.tag_pattern.clone().filter(|_| is.is_some()));
    check_monorepo(
        &mut fields,
        is.is_some(),
        tags.is_some(),
        before.parent.is_some() || url.clone().over(before.repository_url.clone()).is_some(),
    );
    fields.finish()?;
    if was && is.is_none() {
        monorepos::release(&mut transaction, before.id).await?;
    }
    let mut wanted = PackageFields {
        repository_type: kind.over(Some(before.repository_type)).unwrap_or_else(|| "git".to_owned()),
        repository_url: url.clone().over(before.repository_url),
        credential: credential.clone().over(before.credential.map(|credential| credential.id)),
        fork: fork.unwrap_or(before.fork),
        source: source.over(before.source),
        abandoned: before.abandoned,
        replacement: before.replacement,
        monorepo: is,
        tag_pattern: tags,
        branches: branches.over(before.branches),
        deleted_tags: deleted_tags.over(Some(before.deleted_tags)).unwrap_or_else(|| lifecycle::KEEP.to_owned()),
        releases,
    };
    match (wanted.repository_type == ARTIFACT, url) {
        (true, Patch::Set(_)) => {
            let message = "is not for packages of the type artifact; change its `type` too";
            return Err(ApiError::field("repository_url", message));
        }
        (true, _) if matches!(credential, Patch::Set(_)) => {
            return Err(ApiError::field("credential", "is not for packages of the type artifact; leave it out"));
        }
        (true, _) => (wanted.repository_url, wanted.credential) = (None, None),
        (false, _) if wanted.repository_url.is_none() && before.parent.is_none() => {
            return Err(ApiError::field("repository_url", "is required for this type"));
        }
        (false, _) => {}
    }
    credential::needed(wanted.repository_url.as_deref(), wanted.credential, &state)?;
    if let (Some(id), Some(url)) = (wanted.credential, &wanted.repository_url) {
        let blamed = if credential == Patch::Absent { "repository_url" } else { "credential" };
        credential::fitting(&mut transaction, id, url, blamed, &state).await?;
    }
    store::update(&mut transaction, before.id, &wanted).await?;
    if before.fork && !wanted.fork {
        add_package::claim_vendor(&mut transaction, &name).await?;
    }
    let detail = json!({
        "type": wanted.repository_type,
        "repository_url": wanted.repository_url,
        "credential": wanted.credential,
        "fork": wanted.fork,
        "source": wanted.source,
        "monorepo": wanted.monorepo,
        "tag_pattern": wanted.tag_pattern,
        "branches": wanted.branches,
        "deleted_tags": wanted.deleted_tags,
        "releases": wanted.releases.word(),
        "release_delay_hours": wanted.releases.hours(),
    });
    changed(&mut transaction, before.id, &name, "package.update", detail).await?;
    let after = store::find(&mut transaction, &name).await?.ok_or(ApiError::NotFound("package"))?;
    transaction.commit().await?;
    Ok(data(after))
}

/// Says that the repository at the package's address is the right one, whichever it is.
pub(crate) async fn unfreeze(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let (name, before) = lock_package(&mut transaction, &vendor, &name).await?;
    let Some(reason) = before.frozen_reason else {
        return Err(ApiError::Conflict(format!("the package `{name}` is not frozen")));
    };
    webhook_deliveries::unfreeze(&mut transaction, before.id).await?;
    let task = jobs::enqueue(&mut transaction, SYNC_PACKAGE, before.id, Priority::Asked).await?;
    transaction.audit("package.unfreeze", name.as_str(), json!({"reason": reason, "task": task}));
    let after = store::find(&mut transaction, &name).await?.ok_or(ApiError::NotFound("package"))?;
    transaction.commit().await?;
    state.jobs_waiting.notify_one();
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
    monorepo::may_be_deleted(&mut transaction, &before).await?;
    let watch = Watch::begin(&mut transaction, Concerned::Package(name.clone()), consent).await?;
    changed(&mut transaction, before.id, &name, "package.delete", json!({"versions": before.versions})).await?;
    let tenant = transaction.tenant();
    let (way_back, customers) = deletions::delete_package(&mut transaction, before.id).await?;
    for customer in customers {
        transaction.changed(&Change::Customer { tenant, customer: customer.to_string() });
    }
    tenants::directory_changed(&mut transaction).await?;
    close(watch, transaction, deleted(&before, &json!(way_back))?).await
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
