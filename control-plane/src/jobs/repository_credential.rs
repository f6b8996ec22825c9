//! Opens the git credential of a repository for the one worker that is about to ask its server. Decides once more that the secret goes
//! to its own origin and nowhere else: whoever may change an address must not be able to have a secret sent to a host of his.

use cargoman_edge_protocol::TenantId;

use crate::domain::git_credential::GitCredentialKind;
use crate::git::origin::origin;
use crate::git::protocol::Credential;
use crate::git::url::{RepositoryUrl, UrlPolicy};
use crate::secrets::{Keyring, SecretBytes, SecretsError};
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
}

impl CredentialError {
    /// Whether it may go away without anybody changing the credential or the package: a key that comes to this machine a moment later
    /// than to the one that sealed with it.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Elsewhere { .. } | Self::Secrets(SecretsError::Altered(_)) => false,
            Self::Secrets(_) => true,
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

/// The credential in plain text, for the repository at `repository_url`.
///
/// # Errors
/// When its secret may not be sent there, or does not open.
pub(crate) fn open(
    keyring: &Keyring,
    tenant: TenantId,
    credential: &SealedCredential,
    repository_url: &str,
    policy: &UrlPolicy,
) -> Result<Credential, CredentialError> {
    let elsewhere = || CredentialError::Elsewhere { name: credential.name.clone(), origin: credential.origin.clone() };
    let url = RepositoryUrl::parse(repository_url, policy).map_err(|_| elsewhere())?;
    check(credential, &url)?;
    let opened = keyring.open(&GIT_CREDENTIAL_SECRET.place(tenant, credential.id.0), &credential.secret);
    let secret =
        opened.inspect_err(|error| tracing::error!(%error, id = %credential.id, "a git credential does not open"))?;
    let text =
        unbound(&credential.origin, &secret).ok_or(SecretsError::Altered(GIT_CREDENTIAL_SECRET.name))?.to_owned();
    Ok(match credential.kind {
        GitCredentialKind::Https => {
            Credential::Basic { username: credential.username.clone().unwrap_or_default(), password: text }
        }
        GitCredentialKind::Ssh => Credential::SshKey { private_key: text, username: credential.username.clone() },
    })
}
