//! Asks GitHub in the name of an App: who it is, who installed it, and for tokens that open repositories. A token is good for an hour, is
//! for one repository where one is meant, and may only read; it is kept in memory until shortly before its end and is written nowhere.

use std::sync::Arc;
use std::time::Duration;

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use chrono::{DateTime, Utc};
use moka::future::Cache;

use super::address::usual_api;
use super::client::{Client, Proof};
use super::error::Kind;
use super::github_app::{self, App, AppKey, Installation};
use super::{Dialect, ForgeError};
use crate::git::network::Network;
use crate::git::protocol::Credential;
use crate::secrets::SecretBytes;
use crate::webhook::Provider;

/// Beside a token GitHub wants this user.
const TOKEN_USER: &str = "x-access-token";
/// A token is not begun with when it ends within this.
const SPARE: chrono::TimeDelta = chrono::TimeDelta::minutes(10);
const MOST_TOKENS: u64 = 10_000;
const MOST_PAGES: usize = 100;

/// Which App a tenant speaks as.
pub struct AppCredential {
    /// Whose.
    pub tenant: TenantId,
    /// `https://github.com`, or an Enterprise server's origin.
    pub origin: String,
    /// Its App id or client id.
    pub app: String,
    /// Its key.
    pub key: AppKey,
    /// Of the key as it is kept: what was got with another key is not used.
    pub mark: Digest,
}

/// Which repositories a token is to open.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Opens {
    /// One, `acme/pay`.
    Repository(String),
    /// All that an installation may read.
    Installation(String),
}

type Key = (TenantId, Digest, Opens);

struct Held {
    token: SecretBytes,
    until: DateTime<Utc>,
}

/// Tokens of installations, for as long as they are good.
#[derive(Clone)]
pub struct InstallationTokens(Cache<Key, Arc<Held>>);

impl Default for InstallationTokens {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MOST_TOKENS).time_to_live(Duration::from_secs(3600)).build())
    }
}

impl std::fmt::Debug for InstallationTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InstallationTokens({})", self.0.entry_count())
    }
}

impl InstallationTokens {
    /// A credential that opens what is asked for, from the cache or from GitHub.
    ///
    /// # Errors
    /// When GitHub gives none; the message says what to do.
    pub async fn get(&self, app: &AppCredential, opens: &Opens, network: &Network) -> Result<Credential, ForgeError> {
        let key = (app.tenant, app.mark, opens.clone());
        if self.0.get(&key).await.is_some_and(|held| held.until - SPARE <= crate::clock::now()) {
            self.0.invalidate(&key).await;
        }
        let held = self.0.try_get_with(key, fetch(app, opens, network)).await;
        let held = held.map_err(|error: Arc<ForgeError>| (*error).clone())?;
        let password = held.token.expose_text().unwrap_or_default().to_owned();
        Ok(Credential::Basic { username: TOKEN_USER.to_owned(), password })
    }
}

async fn fetch(app: &AppCredential, opens: &Opens, network: &Network) -> Result<Arc<Held>, ForgeError> {
    let client = client(app, network).await?;
    let (installation, repository) = match opens {
        Opens::Installation(id) => (id.clone(), None),
        Opens::Repository(path) => {
            let answer = client.ask(&Installation::of_repository(path)).await;
            let found = answer.map_err(|error| not_installed(error, path))?;
            (Installation::one(&found)?.id, path.rsplit('/').next())
        }
    };
    let (token, until) = github_app::token(&client.ask(&github_app::token_of(&installation, repository)).await?)?;
    Ok(Arc::new(Held { token, until }))
}

fn not_installed(error: ForgeError, path: &str) -> ForgeError {
    if error.kind != Kind::Missing {
        return error;
    }
    ForgeError::new(
        Kind::Missing,
        format!("the GitHub App may not read {path}"),
        "install it for that repository: GET /github-app/install-url says where",
    )
}

async fn client(app: &AppCredential, network: &Network) -> Result<Client, ForgeError> {
    let token = app.key.token(&app.app, crate::clock::now());
    let token = token.map_err(|_| ForgeError::new(Kind::Away, "this machine has no random bytes", "try again"))?;
    Client::new(network, &usual_api(Provider::Github, &app.origin), &Proof::Bearer(token)).await
}

/// Who the App is.
///
/// # Errors
/// When GitHub does not say.
pub async fn app(app: &AppCredential, network: &Network) -> Result<App, ForgeError> {
    App::read(&client(app, network).await?.ask(&App::question()).await?)
}

/// Who installed the App.
///
/// # Errors
/// When GitHub does not say.
pub async fn installations(app: &AppCredential, network: &Network) -> Result<Vec<Installation>, ForgeError> {
    let client = client(app, network).await?;
    let (mut all, mut next) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let page = Installation::page(&client.ask(&Installation::list(next.as_deref())).await?, next.as_deref())?;
        all.extend(page.items);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    Ok(all)
}

/// A client that sees what an installation may see.
///
/// # Errors
/// When GitHub gives no token.
pub async fn as_installation(
    tokens: &InstallationTokens,
    app: &AppCredential,
    installation: &str,
    network: &Network,
) -> Result<Client, ForgeError> {
    let credential = tokens.get(app, &Opens::Installation(installation.to_owned()), network).await?;
    Client::new(network, &usual_api(Provider::Github, &app.origin), &Proof::of(Dialect::Github, credential)?).await
}
