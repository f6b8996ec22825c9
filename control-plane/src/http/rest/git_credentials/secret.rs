//! The secret of a git credential: read from a body or made here, and sealed at once. Must never be in an answer, an error or the audit
//! trail.

use serde_json::Value;

use crate::domain::git_credential::GitCredentialKind;
use crate::domain::id::GitCredentialId;
use crate::error::ApiError;
use crate::forge::github_app::{AppKey, AppKeyError};
use crate::http::fields::{Fields, Patch};
use crate::jobs::repository_credential::bound;
use crate::secrets::SecretBytes;
use crate::ssh_key::{self, SshKey};
use crate::state::State;
use crate::store::TenantTransaction;
use crate::store::git_credentials::SealedSecret;
use crate::store::sealed::GIT_CREDENTIAL_SECRET;

const LONGEST_PASSWORD: usize = 4096;
const LONGEST_USERNAME: usize = 255;
/// Beside an access token most servers take any user.
pub(super) const ANY_USER: &str = "git";
const PASSWORD_NEEDED: &str = "is required: the password or access token";

/// A secret as a body gives it, checked.
pub(super) enum GivenSecret {
    /// A password or access token.
    Password(SecretBytes),
    /// A private key.
    Key(SshKey),
    /// The key of a GitHub App: as given, and its fingerprint.
    AppKey(SecretBytes, String),
    /// None: a key is to be made here.
    Generate,
}

/// A user for https; of ssh he is a part of the address.
pub(super) fn username(fields: &mut Fields) -> Patch<String> {
    fields.string("username", |text| {
        let good = |byte: u8| byte.is_ascii_graphic() && byte != b':';
        match (1..=LONGEST_USERNAME).contains(&text.len()) && text.bytes().all(good) {
            true => Ok(text.to_owned()),
            false => Err("must be 1 to 255 printable ASCII characters without spaces and without `:`"),
        }
    })
}

/// The App that a key is of: its number or its client id.
pub(super) fn app_id(fields: &mut Fields, kind: GitCredentialKind, user: bool) -> Option<String> {
    const NEEDED: &str = "is required: the App's id or client id, as its settings at GitHub show it";
    let given = match fields.any("app_id") {
        Patch::Absent | Patch::Clear => None,
        Patch::Set(Value::Number(number)) => Some(number.to_string()),
        Patch::Set(value) => Some(value.as_str().unwrap_or_default().to_owned()),
    };
    let app = kind == GitCredentialKind::GithubApp;
    if app && user {
        fields.refuse("username", "is not for a GitHub App; give `app_id`");
    }
    let good = |text: &str| {
        (1..=100).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    match (&given, app) {
        (Some(_), false) => fields.refuse("app_id", "is for credentials of the kind github-app; leave it out"),
        (None, true) => fields.refuse("app_id", NEEDED),
        (Some(text), true) if !good(text) => fields.refuse("app_id", NEEDED),
        _ => {}
    }
    given
}

/// The secret that a body gives for that kind; none when it is wrong, which is noted then.
pub(super) fn read(fields: &mut Fields, kind: GitCredentialKind, may_generate: bool) -> Option<GivenSecret> {
    let other = match kind {
        GitCredentialKind::Https => "private_key",
        GitCredentialKind::Ssh | GitCredentialKind::GithubApp => "password",
    };
    if fields.has(other) {
        fields.any(other);
        fields.refuse(other, format!("is not for credentials of the kind {}; leave it out", kind.as_str()));
    }
    match kind {
        GitCredentialKind::Https => fields.required("password", PASSWORD_NEEDED, password).map(GivenSecret::Password),
        GitCredentialKind::Ssh if may_generate && !fields.is_set("private_key") => {
            fields.any("private_key");
            Some(GivenSecret::Generate)
        }
        GitCredentialKind::Ssh => fields
            .required("private_key", "is required: this key was not made here; give the new one", ssh_key::read)
            .map(GivenSecret::Key),
        GitCredentialKind::GithubApp => fields
            .required("private_key", "is required: GitHub makes it in the App's settings", app_key)
            .map(|(key, fingerprint)| GivenSecret::AppKey(key, fingerprint)),
    }
}

fn app_key(text: &str) -> Result<(SecretBytes, String), AppKeyError> {
    let key = AppKey::parse(text)?;
    Ok((SecretBytes::from(text.to_owned()), key.fingerprint()))
}

/// What a header can carry. The text is never repeated.
fn password(text: &str) -> Result<SecretBytes, &'static str> {
    match (1..=LONGEST_PASSWORD).contains(&text.len()) && !text.chars().any(char::is_control) {
        true => Ok(SecretBytes::from(text.to_owned())),
        false => Err("must have 1 to 4096 bytes and no line breaks or other control characters"),
    }
}

/// Makes the key if one is wanted, and seals the secret for its row.
pub(super) fn seal(
    given: GivenSecret,
    transaction: &TenantTransaction,
    id: GitCredentialId,
    origin: &str,
    username: Option<String>,
    state: &State,
) -> Result<SealedSecret, ApiError> {
    let place = GIT_CREDENTIAL_SECRET.place(transaction.tenant(), id.0);
    let generated = matches!(given, GivenSecret::Generate);
    let key = match given {
        GivenSecret::Password(password) => {
            let secret = state.keyring.seal(&place, bound(origin, password.expose()).expose())?;
            return Ok(SealedSecret { secret, username, public_key: None, fingerprint: None, generated });
        }
        GivenSecret::AppKey(key, fingerprint) => {
            let secret = state.keyring.seal(&place, bound(origin, key.expose()).expose())?;
            return Ok(SealedSecret { secret, username, public_key: None, fingerprint: Some(fingerprint), generated });
        }
        GivenSecret::Key(key) => key,
        GivenSecret::Generate => ssh_key::generate(&format!("cargoman {id}"), &ring::rand::SystemRandom::new())
            .map_err(|error| ApiError::Internal(error.into()))?,
    };
    Ok(SealedSecret {
        secret: state.keyring.seal(&place, bound(origin, key.private_key.expose()).expose())?,
        username,
        public_key: Some(key.public_key),
        fingerprint: Some(key.fingerprint),
        generated,
    })
}
