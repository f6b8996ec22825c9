//! Which git credential a package is read with: one of the tenant's own, for exactly the host that its repository lies on (G-U8).
//! Asked whenever either of the two changes, so that nobody can have a secret that he cannot read sent to a host of his.

use crate::domain::id::GitCredentialId;
use crate::error::ApiError;
use crate::git::protocol::Credential;
use crate::git::url::RepositoryUrl;
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::jobs::repository_credential::{self, CredentialError};
use crate::state::State;
use crate::store::TenantTransaction;
use crate::store::git_credentials::{self, SealedCredential};

const UNKNOWN: &str = "no such git credential; GET /git-credentials lists them, POST makes one";

pub(super) fn field(fields: &mut Fields) -> Patch<GitCredentialId> {
    fields.string("credential", |text| text.parse().map_err(|_| UNKNOWN))
}

/// Over ssh nobody is let in without a key.
pub(super) fn needed(
    repository_url: Option<&str>,
    credential: Option<GitCredentialId>,
    state: &State,
) -> Result<(), ApiError> {
    let url = repository_url.map(|text| RepositoryUrl::parse(text, &state.config.git.url_policy()));
    match (url, credential) {
        (Some(Ok(RepositoryUrl::Ssh(_))), None) => Err(ApiError::field(
            "credential",
            "is required for repositories over ssh: POST /git-credentials with {\"kind\": \"ssh\"} makes a key",
        )),
        _ => Ok(()),
    }
}

/// The credential, if it is fit for that address. `blamed` is the field that the caller changed.
pub(super) async fn fitting(
    transaction: &mut TenantTransaction,
    id: GitCredentialId,
    repository_url: &str,
    blamed: &'static str,
    state: &State,
) -> Result<SealedCredential, ApiError> {
    let found = git_credentials::sealed(transaction, id).await?;
    let found = found.ok_or_else(|| ApiError::field("credential", UNKNOWN))?;
    let url = RepositoryUrl::parse(repository_url, &state.config.git.url_policy());
    let url = url.map_err(|error| ApiError::field("repository_url", error))?;
    match repository_credential::check(&found, &url) {
        Ok(()) => Ok(found),
        Err(error) => Err(ApiError::field(blamed, error)),
    }
}

/// The credential in plain text, for reading a repository that is no package yet.
pub(super) async fn open(
    operator: &Operator,
    id: GitCredentialId,
    repository_url: &str,
    state: &State,
) -> Result<Credential, ApiError> {
    let mut transaction = operator.begin(state).await?;
    let sealed = fitting(&mut transaction, id, repository_url, "credential", state).await?;
    // A forge may be asked: meanwhile nothing is held.
    drop(transaction);
    repository_credential::open(state, operator.tenant, &sealed, repository_url).await.map_err(refused)
}

/// A credential that does not do, as an answer.
pub(crate) fn refused(error: CredentialError) -> ApiError {
    match error {
        CredentialError::Elsewhere { .. } | CredentialError::Forge { .. } => ApiError::field("credential", error),
        CredentialError::Secrets(error) => error.into(),
    }
}
