//! `/github-app`: the GitHub App that a tenant has made its own: who it is, who installed it, and whose repositories become packages.
//!
//! An installation becomes a group only when an operator says so: anybody may install an App that is public.

use axum::extract::State as FromState;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use crate::domain::git_credential::GitCredentialKind;
use crate::domain::id::GitCredentialId;
use crate::domain::job::{Priority, SYNC_GROUP};
use crate::error::ApiError;
use crate::forge::address::GroupAddress;
use crate::forge::github_app::Installation;
use crate::forge::installations::{self, AppCredential, as_installation};
use crate::forge::{Dialect, ForgeError};
use crate::http::envelope::{Paging, data, data_with, whole_list};
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::forge_groups::{Wanted, add, globs, refused};
use crate::jobs::repository_credential::app;
use crate::state::State;
use crate::store::git_credentials::{self, SealedCredential};
use crate::store::{forge_groups, jobs};
use crate::webhook::Provider;

const NONE: &str =
    "no GitHub App is known; make one at GitHub and keep its key with POST /git-credentials {\"kind\": \"github-app\"}";
const MANY: &str = "there are several GitHub Apps; name one of them as ?credential=";

/// The App that is meant: the one there is, or the one that `?credential=` names.
async fn the_app(
    state: &State,
    operator: &Operator,
    named: Option<&str>,
) -> Result<(SealedCredential, AppCredential), ApiError> {
    let mut transaction = operator.begin(state).await?;
    let id = match named {
        Some(text) => text.parse().map_err(|_| ApiError::field("credential", NONE))?,
        None => match git_credentials::two_of_kind(&mut transaction, GitCredentialKind::GithubApp).await?.as_slice() {
            [only] => *only,
            [] => return Err(ApiError::field("credential", NONE)),
            _ => return Err(ApiError::field("credential", MANY)),
        },
    };
    let sealed = git_credentials::sealed(&mut transaction, id).await?;
    drop(transaction);
    let sealed = sealed.filter(|one| one.kind == GitCredentialKind::GithubApp);
    let sealed = sealed.ok_or_else(|| ApiError::field("credential", NONE))?;
    let app = app(&state.keyring, operator.tenant, &sealed).map_err(|error| refused(error.into()))?;
    Ok((sealed, app))
}

fn said(error: ForgeError) -> ApiError {
    ApiError::field("credential", error)
}

fn credential(paging: &Paging) -> Option<String> {
    paging.query().get("credential").map(|text| (*text).to_owned())
}

/// Who the App is, and that its key is good.
pub(crate) async fn status(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (sealed, app) = the_app(&state, &operator, credential(&paging).as_deref()).await?;
    let found = installations::app(&app, &state.network).await.map_err(said)?;
    Ok(data(json!({
        "credential": sealed.id, "app_id": app.app, "name": found.name, "slug": found.slug, "url": found.html_url,
        "install_url": install_address(&app.origin, &found.slug),
    })))
}

/// Where an account installs the App.
pub(crate) async fn install_url(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (_, app) = the_app(&state, &operator, credential(&paging).as_deref()).await?;
    let found = installations::app(&app, &state.network).await.map_err(said)?;
    Ok(data(json!({"url": install_address(&app.origin, &found.slug)})))
}

fn install_address(origin: &str, slug: &str) -> String {
    // An Enterprise server has them in another folder.
    let folder = if origin == "https://github.com" { "apps" } else { "github-apps" };
    format!("{origin}/{folder}/{slug}/installations/new")
}

pub(crate) async fn installations(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (_, app) = the_app(&state, &operator, credential(&paging).as_deref()).await?;
    let all = installations::installations(&app, &state.network).await.map_err(said)?;
    Ok(whole_list(&paging, &all))
}

/// What an installation may read.
pub(crate) async fn repositories(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(installation): Path<String>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (_, app) = the_app(&state, &operator, credential(&paging).as_deref()).await?;
    let one = one(&state, &app, &installation).await?;
    let client = as_installation(&state.installation_tokens, &app, &one.id, &state.network).await.map_err(said)?;
    let (mut all, mut next) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let answer = client.ask(&Dialect::Github.list_projects("", next.as_deref())).await.map_err(said)?;
        let page = Dialect::Github.projects(&answer, next.as_deref()).map_err(said)?;
        all.extend(page.items.into_iter().map(|one| {
            json!({"id": one.remote_id, "name": one.path, "default_branch": one.default_branch, "archived": one.archived})
        }));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    Ok(whole_list(&paging, &all))
}

/// Pages that are shown of one installation.
const MOST_PAGES: usize = 200;

async fn one(state: &State, app: &AppCredential, id: &str) -> Result<Installation, ApiError> {
    let all = installations::installations(app, &state.network).await.map_err(said)?;
    all.into_iter().find(|one| one.id == id).ok_or(ApiError::NotFound("installation"))
}

/// Its repositories become packages from now on; where they do already, they are looked at anew.
pub(crate) async fn sync(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(installation): Path<String>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let named = fields.string("credential", |text| text.parse::<GitCredentialId>().map_err(|_| NONE)).value();
    let packages = globs(&mut fields);
    fields.finish()?;
    let named = named.map(|id| id.to_string());
    let (sealed, app) = the_app(&state, &operator, named.as_deref()).await?;
    let one = one(&state, &app, &installation).await?;
    let policy = state.config.git.url_policy();
    let url = format!("{}/{}", app.origin, one.account);
    let address = GroupAddress::parse(Provider::Github, &url, None, &policy);
    let address = address.map_err(|error| ApiError::field("url", error.message))?;
    let mut transaction = operator.begin(&state).await?;
    let there = forge_groups::told(&mut transaction).await?.into_iter().find(|group| group.url == address.url);
    if let Some(group) = there {
        forge_groups::want_all(&mut transaction, group.id).await?;
        let task = jobs::enqueue_about(&mut transaction, SYNC_GROUP, group.id.0, Priority::Asked).await?;
        transaction.audit("forge_group.sync", &group.id.to_string(), json!({"task": task}));
        transaction.commit().await?;
        state.jobs_waiting.notify_one();
        return Ok(data_with(StatusCode::ACCEPTED, answer(&group.id.to_string(), &json!(task))));
    }
    drop(transaction);
    let packages = packages.ok_or_else(|| {
        ApiError::field(
            "packages",
            "is required the first time: globs of the names that may come from this installation, such as [\"acme/*\"]",
        )
    })?;
    let wanted =
        Wanted { address, credential: sealed.id, package_credential: None, packages, projects: None, hooks: None };
    let (group, task) = add(&operator, &state, wanted).await?;
    Ok(data_with(StatusCode::ACCEPTED, answer(&group.group.id.to_string(), &json!(task))))
}

fn answer(group: &str, task: &Value) -> Value {
    json!({"group": group, "task": task})
}
