//! What a new group is to be: read from a body, and asked of its forge before it is kept.

use serde_json::json;

use crate::domain::access::package_glob;
use crate::domain::forge_group::MOST_PATTERNS;
use crate::domain::git_credential::GitCredentialKind;
use crate::domain::id::{GitCredentialId, HookId, JobId};
use crate::domain::job::{Priority, SYNC_GROUP};
use crate::domain::text;
use crate::error::ApiError;
use crate::forge::address::GroupAddress;
use crate::forge::error::Kind;
use crate::forge::{Dialect, installations};
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::http::rest::hooks::new_secret;
use crate::jobs::repository_credential::app;
use crate::jobs::sync_group::{GroupError, api_client, first_page};
use crate::state::State;
use crate::store::forge_groups::{self as store, Known, NewForgeGroup};
use crate::store::git_credentials::{self, SealedCredential};
use crate::store::{TenantTransaction, hooks, jobs};
use crate::webhook::Provider;
use crate::webhook::signature::Scheme;

const TYPES: &str = "must be one of github, gitlab, bitbucket, gitea (Forgejo too)";
const URL_NEEDED: &str =
    "is required: the address that a browser shows for the group, such as https://gitlab.example/acme";
const NAMES_NEEDED: &str = "is required: globs of the names that may come from this group, such as [\"acme/*\"]; a fork of a public package is \
    kept from taking that one's place";
const NO_CREDENTIAL: &str = "no such git credential; GET /git-credentials lists them, POST makes one";
const LONGEST: usize = 250;

/// What a new group is to be.
pub(in crate::http::rest) struct Wanted {
    pub(in crate::http::rest) address: GroupAddress,
    pub(in crate::http::rest) credential: GitCredentialId,
    pub(in crate::http::rest) package_credential: Option<GitCredentialId>,
    pub(in crate::http::rest) packages: Vec<String>,
    pub(in crate::http::rest) projects: Option<Vec<String>>,
    /// None: what suits the forge.
    pub(in crate::http::rest) hooks: Option<bool>,
}

impl Wanted {
    pub(super) fn read(mut fields: Fields, state: &State) -> Result<Self, ApiError> {
        let provider = fields.required("type", TYPES, |text| {
            Provider::parse(text).filter(|provider| *provider != Provider::Packagist).ok_or(TYPES)
        });
        let url = fields.required("url", URL_NEEDED, |text| Ok::<_, String>(text.to_owned()));
        let api = fields.string("api_url", |text| Ok::<_, String>(text.to_owned())).value();
        let address = match (provider, url) {
            (Some(provider), Some(url)) => {
                let policy = state.config.git.url_policy();
                match GroupAddress::parse(provider, &url, api.as_deref(), &policy) {
                    Ok(address) => Some(address),
                    Err(error) => {
                        fields.refuse(error.field, error.message);
                        None
                    }
                }
            }
            _ => None,
        };
        let credential = credential(&mut fields, "credential").value();
        if credential.is_none() {
            fields.refuse("credential", "is required: POST /git-credentials keeps an access token of the forge");
        }
        let package_credential = self::credential(&mut fields, "package_credential").value();
        let packages = globs(&mut fields);
        if packages.is_none() {
            fields.refuse("packages", NAMES_NEEDED);
        }
        let projects = projects(&mut fields);
        let hooks = fields.flag("hooks");
        fields.finish()?;
        let (Some(address), Some(credential), Some(packages)) = (address, credential, packages) else {
            return Err(ApiError::field("url", URL_NEEDED));
        };
        Ok(Self { address, credential, package_credential, packages, projects, hooks })
    }
}

pub(super) fn credential(fields: &mut Fields, name: &str) -> Patch<GitCredentialId> {
    fields.string(name, |text| text.parse().map_err(|_| NO_CREDENTIAL))
}

/// Globs of the names that may come from a group; at least one.
pub(in crate::http::rest) fn globs(fields: &mut Fields) -> Option<Vec<String>> {
    if fields.is_empty_list("packages") {
        fields.refuse("packages", NAMES_NEEDED);
    }
    fields.list("packages", MOST_PATTERNS, |text| package_glob(text).map(|_| text.to_owned()))
}

/// Patterns of projects; none: all.
pub(super) fn projects(fields: &mut Fields) -> Option<Vec<String>> {
    let pattern = |given: &str| {
        let line = text::line(given, LONGEST).map_err(|error| error.to_string())?;
        let bare = line.trim_start_matches('!');
        let good = !bare.is_empty() && line.len() - bare.len() <= 1 && !bare.contains(' ');
        if good {
            Ok(line)
        } else {
            Err("must be a project's path, with `*` for any characters: acme/* or !acme/legacy-*".to_owned())
        }
    };
    fields.list("projects", MOST_PATTERNS, pattern).filter(|list| !list.is_empty())
}

async fn sealed(
    transaction: &mut TenantTransaction,
    id: GitCredentialId,
    field: &'static str,
) -> Result<SealedCredential, ApiError> {
    git_credentials::sealed(transaction, id).await?.ok_or_else(|| ApiError::field(field, NO_CREDENTIAL))
}

/// What a group's packages are read with, if that is another credential: of any origin, for the address of each project decides.
pub(super) async fn package_credential(
    transaction: &mut TenantTransaction,
    id: GitCredentialId,
) -> Result<(), ApiError> {
    sealed(transaction, id, "package_credential").await.map(|_| ())
}

/// Adds a group, after its forge has shown that there is one.
pub(in crate::http::rest) async fn add(
    operator: &Operator,
    state: &State,
    wanted: Wanted,
) -> Result<(Known, JobId), ApiError> {
    let mut transaction = operator.begin(state).await?;
    let credential = sealed(&mut transaction, wanted.credential, "credential").await?;
    if let Some(id) = wanted.package_credential {
        package_credential(&mut transaction, id).await?;
    }
    // Nothing is held while the forge is asked.
    drop(transaction);
    let address = &wanted.address;
    if credential.origin != address.origin {
        let message =
            format!("is for {}, and the group is at {}; make one for that host", credential.origin, address.origin);
        return Err(ApiError::field("credential", message));
    }
    let is_app = credential.kind == GitCredentialKind::GithubApp;
    if is_app && address.provider != Provider::Github {
        return Err(ApiError::field("credential", "is a GitHub App's, and the group is not at GitHub"));
    }
    if is_app && wanted.hooks == Some(true) {
        let message = "a GitHub App has one webhook of its own: POST /hooks {\"provider\": \"github\"} makes its address; leave this out";
        return Err(ApiError::field("hooks", message));
    }
    let (path, installation) = match is_app {
        true => (String::new(), Some(installation(operator, state, &credential, &address.path).await?)),
        false => (path_of(operator, state, &credential, address).await?, None),
    };
    keep(operator, state, (wanted, path, installation), is_app).await
}

/// The installation of an App at an account.
async fn installation(
    operator: &Operator,
    state: &State,
    credential: &SealedCredential,
    account: &str,
) -> Result<String, ApiError> {
    let app = app(&state.keyring, operator.tenant, credential).map_err(|error| refused(error.into()))?;
    let all = installations::installations(&app, &state.network).await.map_err(|error| refused(error.into()))?;
    match all.into_iter().find(|one| one.account.eq_ignore_ascii_case(account)) {
        Some(one) if one.suspended => {
            Err(ApiError::field("url", format!("`{account}` has suspended the GitHub App; unsuspend it there")))
        }
        Some(one) => Ok(one.id),
        None => {
            let message =
                format!("`{account}` has not installed the GitHub App; GET /github-app/install-url says where");
            Err(ApiError::field("url", message))
        }
    }
}

/// How the API names the group: where there may be users as well, as a user when there is no such organization.
async fn path_of(
    operator: &Operator,
    state: &State,
    credential: &SealedCredential,
    address: &GroupAddress,
) -> Result<String, ApiError> {
    let dialect = address.dialect();
    let spoken = (dialect, address.api_url.as_str());
    let client = api_client(state, operator.tenant, (credential, None), spoken).await.map_err(refused)?;
    let first = first_page(&client, dialect, &address.path).await;
    let users = matches!(dialect, Dialect::Github | Dialect::Gitea);
    match first {
        Ok(_) => Ok(address.path.clone()),
        Err(error) if users && error.kind == Kind::Missing => {
            let user = format!("~{}", address.path);
            first_page(&client, dialect, &user).await.map_err(|error| refused(error.into()))?;
            Ok(user)
        }
        Err(error) => Err(refused(error.into())),
    }
}

/// A forge that does not do as it should, as an answer.
pub(in crate::http::rest) fn refused(error: GroupError) -> ApiError {
    match error {
        GroupError::Forge(error) => {
            let field = if error.kind == Kind::Refused { "credential" } else { "url" };
            ApiError::field(field, error)
        }
        GroupError::Credential(error) => crate::http::rest::packages::credential::refused(error),
        GroupError::Store(error) => error.into(),
        GroupError::Gone | GroupError::TooMany | GroupError::TooLong => ApiError::field("url", error),
    }
}

async fn keep(
    operator: &Operator,
    state: &State,
    (wanted, path, installation): (Wanted, String, Option<String>),
    is_app: bool,
) -> Result<(Known, JobId), ApiError> {
    let Wanted { address, credential, package_credential, packages, projects, hooks } = wanted;
    let mut transaction = operator.begin(state).await?;
    let hook = match hooks.unwrap_or(!is_app) {
        true => Some(make_hook(&mut transaction, state, &address).await?),
        false => None,
    };
    let url = address.url.clone();
    let new = NewForgeGroup {
        provider: address.provider,
        url: address.url,
        api_url: address.api_url,
        path,
        installation,
        credential,
        package_credential,
        packages,
        projects,
        hook,
    };
    let id =
        store::insert(&mut transaction, &new).await.map_err(|error| match error.is_conflict("forge_group_taken") {
            true => ApiError::Conflict(format!("the group {url} is there already; GET /forge-groups lists them")),
            false => error.into(),
        })?;
    let task = jobs::enqueue_about(&mut transaction, SYNC_GROUP, id.0, Priority::Asked).await?;
    let detail = json!({"url": url, "credential": credential, "packages": new.packages, "projects": new.projects});
    transaction.audit("forge_group.create", &id.to_string(), detail);
    let known = store::find(&mut transaction, id).await?.ok_or(ApiError::NotFound("forge group"))?;
    transaction.commit().await?;
    state.jobs_waiting.notify_one();
    Ok((known, task))
}

async fn make_hook(
    transaction: &mut TenantTransaction,
    state: &State,
    address: &GroupAddress,
) -> Result<HookId, ApiError> {
    let id = HookId::new();
    let secret = new_secret().ok_or_else(|| ApiError::Internal(anyhow::anyhow!("the system has no random bytes")))?;
    let sealed = state.keyring.seal(&hooks::place(transaction, id), secret.as_bytes())?;
    let name: String = format!("made for {}", address.url).chars().take(200).collect();
    hooks::insert(transaction, id, (address.provider, Scheme::Own), &name, &sealed).await?;
    Ok(id)
}
