//! Opens the git credential of a repository for the one worker that is about to ask its server. Decides once more that the secret goes
//! to its own origin and nowhere else: whoever may change an address must not be able to have a secret sent to a host of his.

use cargoman_edge_protocol::TenantId;

use cargoman_credential::Digest;

use crate::domain::git_credential::GitCredentialKind;
use crate::forge::ForgeError;
use crate::forge::github_app::AppKey;
use crate::forge::installations::{AppCredential, Opens};
use crate::git::origin::origin;
use crate::git::protocol::Credential;
use crate::git::url::RepositoryUrl;
use crate::secrets::{Keyring, SecretBytes, SecretsError};
use crate::state::State;
use crate::store::git_credentials::SealedCredential;
use crate::store::sealed::GIT_CREDENTIAL_SECRET;

/// A repository is not read with its git credential. Says nothing of the secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialError {
    /// The address leads elsewhere.
    #[error(
        "the git credential `{name}` is for {origin}, and this repository is not there; make one for its own host with POST /git-credentials and name it as `credential`"
    )]
    Elsewhere {
        /// Of the credential.
        name: String,
        /// Of the credential.
        origin: String,
    },
    /// It cannot be opened.
    #[error("{}", .0.public())]
    Secrets(#[from] SecretsError),
    /// Its forge gives no token for it.
    #[error("the git credential `{name}`: {error}")]
    Forge {
        /// Of the credential.
        name: String,
        /// Why.
        error: ForgeError,
    },
}

impl CredentialError {
    /// Whether it may go away without anybody changing the credential or the package: a key that comes to this machine a moment later
    /// than to the one that sealed with it.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Elsewhere { .. } | Self::Secrets(SecretsError::Altered(_)) => false,
            Self::Secrets(_) => true,
            Self::Forge { error, .. } => error.may_pass(),
        }
    }
}

/// Whether the credential may be used for that repository.
///
/// # Errors
/// `Elsewhere`, when its secret may not be sent there.
pub(crate) fn check(credential: &SealedCredential, url: &RepositoryUrl) -> Result<(), CredentialError> {
    match origin(url) {
        Some(origin) if origin == credential.origin => Ok(()),
        _ => Err(CredentialError::Elsewhere { name: credential.name.clone(), origin: credential.origin.clone() }),
    }
}

/// What is sealed of a secret: with the origin in front of it. Whoever writes to the database without having the key cannot make a
/// secret another host's by changing the column beside it.
pub(crate) fn bound(origin: &str, secret: &[u8]) -> SecretBytes {
    let mut bound = Vec::with_capacity(origin.len() + 1 + secret.len());
    bound.extend_from_slice(origin.as_bytes());
    bound.push(0);
    bound.extend_from_slice(secret);
    SecretBytes::new(bound)
}

/// The secret, if it was sealed for that origin. An origin holds no NUL.
fn unbound<'a>(origin: &str, bound: &'a SecretBytes) -> Option<&'a str> {
    bound.expose_text()?.strip_prefix(origin)?.strip_prefix('\0')
}

/// The secret of a credential.
fn secret(keyring: &Keyring, tenant: TenantId, credential: &SealedCredential) -> Result<SecretBytes, CredentialError> {
    let opened = keyring.open(&GIT_CREDENTIAL_SECRET.place(tenant, credential.id.0), &credential.secret);
    let bound =
        opened.inspect_err(|error| tracing::error!(%error, id = %credential.id, "a git credential does not open"))?;
    let text = unbound(&credential.origin, &bound).ok_or(SecretsError::Altered(GIT_CREDENTIAL_SECRET.name))?;
    Ok(SecretBytes::from(text.to_owned()))
}

/// The credential in plain text, for the repository at `repository_url`. That of a GitHub App is a token that opens this one repository.
///
/// # Errors
/// When its secret may not be sent there, does not open, or its forge gives no token.
pub(crate) async fn open(
    state: &State,
    tenant: TenantId,
    credential: &SealedCredential,
    repository_url: &str,
) -> Result<Credential, CredentialError> {
    let elsewhere = || CredentialError::Elsewhere { name: credential.name.clone(), origin: credential.origin.clone() };
    let url = RepositoryUrl::parse(repository_url, &state.config.git.url_policy()).map_err(|_| elsewhere())?;
    check(credential, &url)?;
    if credential.kind != GitCredentialKind::GithubApp {
        return plain(&state.keyring, tenant, credential);
    }
    let path = url.as_text();
    let path = path.strip_prefix(&credential.origin).ok_or_else(elsewhere)?.trim_matches('/');
    let opens = Opens::Repository(path.strip_suffix(".git").unwrap_or(path).to_owned());
    let token = state.installation_tokens.get(&app(&state.keyring, tenant, credential)?, &opens, &state.network).await;
    token.map_err(|error| CredentialError::Forge { name: credential.name.clone(), error })
}

/// A credential that is its secret, in plain text.
///
/// # Errors
/// When it does not open.
pub(crate) fn plain(
    keyring: &Keyring,
    tenant: TenantId,
    credential: &SealedCredential,
) -> Result<Credential, CredentialError> {
    let text = secret(keyring, tenant, credential)?.expose_text().unwrap_or_default().to_owned();
    Ok(match credential.kind {
        GitCredentialKind::Https | GitCredentialKind::GithubApp => {
            Credential::Basic { username: credential.username.clone().unwrap_or_default(), password: text }
        }
        GitCredentialKind::Ssh => Credential::SshKey { private_key: text, username: credential.username.clone() },
    })
}

/// The GitHub App of a credential of that kind.
///
/// # Errors
/// When its key does not open.
pub(crate) fn app(
    keyring: &Keyring,
    tenant: TenantId,
    credential: &SealedCredential,
) -> Result<AppCredential, CredentialError> {
    let pem = secret(keyring, tenant, credential)?;
    let key = AppKey::parse(pem.expose_text().unwrap_or_default());
    Ok(AppCredential {
        tenant,
        origin: credential.origin.clone(),
        app: credential.username.clone().unwrap_or_default(),
        key: key.map_err(|_| SecretsError::Altered(GIT_CREDENTIAL_SECRET.name))?,
        mark: Digest::of(&credential.secret),
    })
}
