//! Decides how a GitHub App proves who it is (a JSON Web Token signed with its key, RS256, at most ten minutes long), and what is asked in
//! its name. Pure; randomness is not needed, the time is given.
//! <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app>.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::json::{flag, following, id, items, needed, part, path, text};
use super::{Answer, ForgeError, Page, Question};
use crate::secrets::SecretBytes;

/// GitHub's clock may be behind ours.
const BEFORE: i64 = 60;
/// It takes no tokens of more than ten minutes.
const LASTS: i64 = 540;

/// The key of an App.
pub struct AppKey(RsaKeyPair);

/// The text is no key of an App; says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be the private key of the GitHub App as it was downloaded: RSA with 2048 bits or more, PEM, without a passphrase"
)]
pub struct AppKeyError;

impl AppKey {
    /// Reads a key: PEM, PKCS #1 (as GitHub makes them) or PKCS #8.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(pem: &str) -> Result<Self, AppKeyError> {
        let key = match PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| AppKeyError)? {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(AppKeyError),
        };
        key.map(Self).map_err(|_| AppKeyError)
    }

    /// As GitHub shows it beside the key: the SHA-256 of the public half.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, &spki(self.0.public_key().as_ref()));
        format!("SHA256:{}", STANDARD.encode(digest))
    }

    /// What proves to be the App for the next minutes.
    ///
    /// # Errors
    /// When the system has no random bytes, which blinding needs.
    pub fn token(&self, app: &str, now: DateTime<Utc>) -> Result<SecretBytes, ring::error::Unspecified> {
        let now = now.timestamp();
        let claims = json!({"iat": now - BEFORE, "exp": now + LASTS, "iss": app});
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(json!({"alg": "RS256", "typ": "JWT"})), encode(claims));
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)?;
        Ok(SecretBytes::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

/// A public RSA key as SubjectPublicKeyInfo (RFC 5280, 4.1), from its PKCS #1 form.
fn spki(public: &[u8]) -> Vec<u8> {
    const RSA: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let bits = der(3, &[&[0], public].concat());
    der(0x30, &[&RSA[..], &bits].concat())
}

/// One value in DER.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut out = vec![tag];
    match (content.len(), u8::try_from(significant.len())) {
        (0..128, _) => out.push(significant.first().copied().unwrap_or(0)),
        (_, Ok(bytes)) => {
            out.push(0x80 | bytes);
            out.extend(significant);
        }
        (_, Err(_)) => {}
    }
    out.extend_from_slice(content);
    out
}

/// An App, as GitHub describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct App {
    /// Its name for people.
    pub name: String,
    /// Its name in addresses.
    pub slug: String,
    /// Its address.
    pub html_url: String,
}

impl App {
    /// Asks who the App is.
    #[must_use]
    pub fn question() -> Question {
        Question::get("/app".to_owned())
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// When it is not what GitHub documents.
    pub fn read(answer: &Answer) -> Result<Self, ForgeError> {
        let value = answer.json()?;
        Ok(Self {
            name: needed(&value, "/name")?,
            slug: needed(&value, "/slug")?,
            html_url: text(&value, "/html_url").unwrap_or_default().to_owned(),
        })
    }
}

/// An installation: an account that lets the App read repositories of its.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Installation {
    /// GitHub's number of it.
    pub id: String,
    /// Login of the account.
    pub account: String,
    /// `Organization` or `User`.
    pub account_type: String,
    /// `all` or `selected`.
    pub repository_selection: String,
    /// Whether it was suspended by its owner.
    pub suspended: bool,
}

impl Installation {
    /// Asks for the App's installations.
    #[must_use]
    pub fn list(next: Option<&str>) -> Question {
        Question::get(format!("/app/installations?per_page=100&page={}", part(next.unwrap_or("1"))))
    }

    /// Those of a page.
    ///
    /// # Errors
    /// When it is not what GitHub documents.
    pub fn page(answer: &Answer, next: Option<&str>) -> Result<Page<Self>, ForgeError> {
        let next = answer.links_next.then(|| following(next));
        Ok(Page { items: items(&answer.json()?, "", Self::read)?, next })
    }

    /// Asks which installation a repository belongs to.
    #[must_use]
    pub fn of_repository(repository: &str) -> Question {
        Question::get(format!("/repos/{}/installation", path(repository)))
    }

    /// That installation.
    ///
    /// # Errors
    /// When it is not what GitHub documents.
    pub fn one(answer: &Answer) -> Result<Self, ForgeError> {
        Self::read(&answer.json()?)
    }

    fn read(value: &Value) -> Result<Self, ForgeError> {
        let word = |path: &str| text(value, path).unwrap_or_default().to_owned();
        Ok(Self {
            id: id(value, "/id")?,
            account: needed(value, "/account/login")?,
            account_type: word("/account/type"),
            repository_selection: word("/repository_selection"),
            suspended: flag(value, "/suspended") || text(value, "/suspended_at").is_some(),
        })
    }
}

/// Asks for a token of an installation that may read contents: of one repository (its name without the owner), or of all.
#[must_use]
pub fn token_of(installation: &str, repository: Option<&str>) -> Question {
    let mut body = json!({"permissions": {"contents": "read", "metadata": "read"}});
    if let Some(repository) = repository {
        body["repositories"] = json!([repository]);
    }
    Question::post(format!("/app/installations/{}/access_tokens", part(installation)), body)
}

/// That token, and until when it is good.
///
/// # Errors
/// When it is not what GitHub documents.
pub fn token(answer: &Answer) -> Result<(SecretBytes, DateTime<Utc>), ForgeError> {
    let value = answer.json()?;
    let until = needed(&value, "/expires_at")?;
    let until = DateTime::parse_from_rfc3339(&until)
        .map_err(|_| ForgeError::unreadable("`expires_at` is no time"))?
        .with_timezone(&Utc);
    Ok((SecretBytes::from(needed(&value, "/token")?), until))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made for this test: `openssl genrsa -traditional 2048`.
    const KEY: &str = include_str!("github_app_test_key.pem");

    #[test]
    fn a_token_that_openssl_would_accept() {
        let key = AppKey::parse(KEY).unwrap();
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let token = key.token("12345", now).unwrap();
        let token = token.expose_text().unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let decoded = |text: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap() };
        assert_eq!(decoded(header), json!({"alg": "RS256", "typ": "JWT"}));
        assert_eq!(decoded(claims), json!({"iat": 1_699_999_940, "exp": 1_700_000_540, "iss": "12345"}));
        let public = ring::signature::UnparsedPublicKey::new(
            &ring::signature::RSA_PKCS1_2048_8192_SHA256,
            key.0.public_key().as_ref(),
        );
        public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        assert_eq!(key.fingerprint(), FINGERPRINT);
    }

    /// Of `openssl rsa -pubout -outform DER | openssl sha256 -binary | openssl base64`.
    const FINGERPRINT: &str = "SHA256:LjyxUTBitnzDebm+RwAwH5/X8E1sZ5RRAidpp1CGGF0=";

    #[test]
    fn what_is_no_key() {
        for text in ["", "hello", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"] {
            assert_eq!(AppKey::parse(text).err(), Some(AppKeyError), "{text}");
        }
    }
}
