//! Opens the API of a group's forge with the group's credential.

use cargoman_edge_protocol::TenantId;

use super::GroupError;
use crate::domain::git_credential::GitCredentialKind;
use crate::forge::client::{Client, Proof};
use crate::forge::installations::as_installation;
use crate::forge::{Dialect, ForgeError, Page, Project};
use crate::jobs::repository_credential::{app, plain};
use crate::state::State;
use crate::store::forge_groups::Known;
use crate::store::git_credentials::{self, SealedCredential};
use crate::store::{Actor, TenantTransaction};

/// A client of the API at `api_url` that speaks with a credential; for a GitHub App, as the installation.
///
/// # Errors
/// When the credential does not open, or the API may not be reached.
pub(crate) async fn api_client(
    state: &State,
    tenant: TenantId,
    (credential, installation): (&SealedCredential, Option<&str>),
    (dialect, api_url): (Dialect, &str),
) -> Result<Client, GroupError> {
    if let (GitCredentialKind::GithubApp, Some(installation)) = (credential.kind, installation) {
        let app = app(&state.keyring, tenant, credential)?;
        return Ok(as_installation(&state.installation_tokens, &app, installation, &state.network).await?);
    }
    let proof = Proof::of(dialect, plain(&state.keyring, tenant, credential)?)?;
    Ok(Client::new(&state.network, api_url, &proof).await?)
}

/// The client of a group that is known.
pub(super) async fn group_client(state: &State, tenant: TenantId, known: &Known) -> Result<Client, GroupError> {
    let mut transaction =
        TenantTransaction::begin(&state.database, tenant, Actor::Job(known.group.id.to_string())).await?;
    let credential = git_credentials::sealed(&mut transaction, known.group.credential.id).await?;
    // Nothing is held while the forge is asked.
    drop(transaction);
    let credential = credential.ok_or(GroupError::Gone)?;
    let dialect = crate::forge::address::dialect(known.group.provider, &known.group.api_url);
    let spoken = (dialect, known.group.api_url.as_str());
    api_client(state, tenant, (&credential, known.installation.as_deref()), spoken).await
}

/// A page of the projects of a group.
pub(super) async fn page(
    client: &Client,
    dialect: Dialect,
    path: &str,
    next: Option<&str>,
) -> Result<Page<Project>, ForgeError> {
    let answer = client.ask(&dialect.list_projects(path, next)).await?;
    dialect.projects(&answer, next)
}

/// Whether there is such a group: the first page of its projects.
///
/// # Errors
/// What the forge says.
pub(crate) async fn first_page(client: &Client, dialect: Dialect, path: &str) -> Result<Page<Project>, ForgeError> {
    page(client, dialect, path, None).await
}
