//! `/git-credentials`: what opens the servers of private repositories. Secrets come in and never go out; of a key made here the public
//! half is shown. Where a secret may be sent is said once and never changes: another host needs another credential.

mod secret;

use axum::extract::State as FromState;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};

use self::secret::{ANY_USER, GivenSecret};
use crate::domain::git_credential::{GitCredential, GitCredentialKind};
use crate::domain::id::GitCredentialId;
use crate::error::ApiError;
use crate::git::origin;
use crate::git::url::UrlError;
use crate::http::consent;
use crate::http::envelope::{Paging, data, data_with};
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::id;
use crate::state::State;
use crate::store::forge_groups;
use crate::store::git_credentials::{self as store, NewGitCredential};
use crate::store::{StoreError, TenantTransaction};

const KIND_NEEDED: &str =
    "is required: https (user name and access token), ssh (a key) or github-app (the key of a GitHub App)";
const WHERE_NEEDED: &str = "is required: the server's host, or the address of a repository there as `url`";
/// Packages that are named in a refusal.
const MOST_NAMED: i64 = 10;

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (rows, total) = store::list(&mut transaction, paging.page()).await?;
    Ok(paging.answer(&rows, total))
}

pub(crate) async fn show(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(credential): Path<String>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let found = store::find(&mut transaction, id(&credential, "git credential")?).await?;
    Ok(data(found.ok_or(ApiError::NotFound("git credential"))?))
}

/// What a new credential is to be, its secret not yet sealed.
struct Wanted {
    name: String,
    kind: GitCredentialKind,
    origin: String,
    username: Option<String>,
    secret: GivenSecret,
}

pub(crate) async fn create(
    FromState(state): FromState<State>,
    operator: Operator,
    fields: Fields,
) -> Result<Response, ApiError> {
    let Wanted { name, kind, origin, username, secret } = read(fields, &state)?;
    let mut transaction = operator.begin(&state).await?;
    let id = GitCredentialId::new();
    let sealed = secret::seal(secret, &transaction, id, &origin, username, &state)?;
    let wanted = NewGitCredential { id, name, kind, origin, sealed };
    store::insert(&mut transaction, &wanted).await.map_err(|error| name_taken(error, &wanted.name))?;
    let made = store::find(&mut transaction, id).await?.ok_or(ApiError::NotFound("git credential"))?;
    transaction.audit("git_credential.create", &id.to_string(), described(&made));
    transaction.commit().await?;
    Ok(data_with(StatusCode::CREATED, made))
}

fn read(mut fields: Fields, state: &State) -> Result<Wanted, ApiError> {
    let name = fields.required_line("name", 200);
    let kind = fields.required("kind", KIND_NEEDED, GitCredentialKind::parse);
    let username = secret::username(&mut fields).value();
    let Some(kind) = kind else {
        // Which of the others are right depends on it.
        for name in ["host", "url", "password", "private_key", "app_id"] {
            fields.any(name);
        }
        fields.finish()?;
        return Err(ApiError::field("kind", KIND_NEEDED));
    };
    let app = secret::app_id(&mut fields, kind, username.is_some());
    let origin = read_origin(&mut fields, kind, username.as_deref(), state);
    let secret = secret::read(&mut fields, kind, true);
    fields.finish()?;
    let Some(origin) = origin else { return Err(ApiError::field("host", WHERE_NEEDED)) };
    let Some(secret) = secret else { return Err(ApiError::field("password", "is required")) };
    let username = match kind {
        GitCredentialKind::Https => Some(username.unwrap_or_else(|| ANY_USER.to_owned())),
        GitCredentialKind::Ssh => origin::ssh_user(&origin).map(str::to_owned),
        GitCredentialKind::GithubApp => app,
    };
    Ok(Wanted { name, kind, origin, username, secret })
}

fn read_origin(fields: &mut Fields, kind: GitCredentialKind, user: Option<&str>, state: &State) -> Option<String> {
    let ssh = kind == GitCredentialKind::Ssh;
    let named = |text: &str| {
        origin::named(text, ssh, user.unwrap_or(ANY_USER), &state.config.git.url_policy())
            .map_err(|UrlError { problem, remedy }| format!("{problem}; {remedy}"))
    };
    let field = if fields.has("url") && !fields.has("host") { "url" } else { "host" };
    let origin = fields.required(field, WHERE_NEEDED, named);
    if field == "host" && fields.has("url") {
        fields.any("url");
        fields.refuse("url", "give either `host` or `url`, not both");
    }
    match (ssh, user, origin.as_deref().and_then(origin::ssh_user)) {
        (true, Some(user), found) if origin.is_some() && found != Some(user) => {
            fields.refuse("username", "is another one than the address says; leave it out");
        }
        _ => {}
    }
    origin
}

pub(crate) async fn patch(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(credential): Path<String>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let name = fields.line("name", 200);
    let username = secret::username(&mut fields);
    for (field, message) in [
        ("password", "give a new secret with POST /git-credentials/{id}/rotate"),
        ("private_key", "give a new secret with POST /git-credentials/{id}/rotate"),
        ("host", "never changes: a secret is for one host; create a git credential for the other one"),
        ("url", "never changes: a secret is for one host; create a git credential for the other one"),
        ("kind", "never changes; create another git credential"),
        ("app_id", "never changes: the key is this App's; create another git credential"),
    ] {
        if fields.has(field) {
            fields.any(field);
            fields.refuse(field, message);
        }
    }
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let before = lock(&mut transaction, &credential).await?;
    let name = name.over(Some(before.name)).ok_or_else(|| ApiError::field("name", "must not be cleared"))?;
    let named = username != Patch::Absent;
    let username = match before.kind {
        GitCredentialKind::Https => Some(username.over(before.username).unwrap_or_else(|| ANY_USER.to_owned())),
        GitCredentialKind::Ssh if named => {
            return Err(ApiError::field("username", "is a part of an ssh address; create another git credential"));
        }
        GitCredentialKind::GithubApp if named => {
            return Err(ApiError::field("username", "is not for a GitHub App; leave it out"));
        }
        GitCredentialKind::Ssh | GitCredentialKind::GithubApp => before.username,
    };
    let renamed = store::rename(&mut transaction, before.id, &name, username.as_deref()).await;
    renamed.map_err(|error| name_taken(error, &name))?;
    finish(transaction, before.id, "git_credential.update").await
}

/// A new secret of the same kind for the same host; the old one is forgotten.
pub(crate) async fn rotate(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(credential): Path<String>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let before = lock(&mut transaction, &credential).await?;
    let username = match before.kind {
        GitCredentialKind::Https => secret::username(&mut fields).over(before.username),
        GitCredentialKind::Ssh | GitCredentialKind::GithubApp => before.username,
    };
    let given = secret::read(&mut fields, before.kind, before.generated);
    fields.finish()?;
    let Some(given) = given else { return Err(ApiError::field("password", "is required")) };
    let sealed = secret::seal(given, &transaction, before.id, &before.origin, username, &state)?;
    store::rotate(&mut transaction, before.id, &sealed).await?;
    finish(transaction, before.id, "git_credential.rotate").await
}

/// Refused while packages are read with it, unless that is confirmed: they go on without one.
pub(crate) async fn delete(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(credential): Path<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let confirmed = consent::of(&uri)?.confirm;
    let mut transaction = operator.begin(&state).await?;
    let before = lock(&mut transaction, &credential).await?;
    let groups = forge_groups::of_credential(&mut transaction, before.id).await?;
    if !groups.is_empty() {
        return Err(ApiError::Conflict(format!(
            "groups are asked for with this git credential ({}); delete them first, or give it another secret with POST /git-credentials/{}/rotate",
            groups.join(", "),
            before.id
        )));
    }
    if before.packages > 0 && !confirmed {
        let named = store::used_by(&mut transaction, before.id, MOST_NAMED).await?.join(", ");
        let more = if before.packages > MOST_NAMED { ", …" } else { "" };
        return Err(ApiError::Conflict(format!(
            "{} package(s) are read with this git credential ({named}{more}); give them another one with PATCH /packages/{{vendor}}/{{name}}, or say ?confirm=true: then they are read without any",
            before.packages
        )));
    }
    let packages = store::delete(&mut transaction, before.id).await?;
    let mut detail = described(&before);
    detail["packages"] = json!(packages);
    transaction.audit("git_credential.delete", &before.id.to_string(), detail);
    transaction.commit().await?;
    Ok(data(before))
}

async fn lock(transaction: &mut TenantTransaction, text: &str) -> Result<GitCredential, ApiError> {
    let id: GitCredentialId = id(text, "git credential")?;
    store::lock(transaction, id).await?.ok_or(ApiError::NotFound("git credential"))
}

async fn finish(mut transaction: TenantTransaction, id: GitCredentialId, action: &str) -> Result<Response, ApiError> {
    let after = store::find(&mut transaction, id).await?.ok_or(ApiError::NotFound("git credential"))?;
    transaction.audit(action, &id.to_string(), described(&after));
    transaction.commit().await?;
    Ok(data(after))
}

fn name_taken(error: StoreError, name: &str) -> ApiError {
    match error.is_conflict("git_credential_name_taken") {
        true => ApiError::Conflict(format!("there is a git credential named `{name}` already; choose another name")),
        false => error.into(),
    }
}

/// For the audit trail: of the secret, what is shown to everybody.
fn described(credential: &GitCredential) -> Value {
    json!({
        "name": credential.name,
        "kind": credential.kind,
        "origin": credential.origin,
        "username": credential.username,
        "fingerprint": credential.fingerprint,
    })
}
