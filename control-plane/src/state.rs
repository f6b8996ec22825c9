//! What every handler and job shares.

use std::sync::Arc;

use cargoman_credential::Digest;
use tokio::sync::Notify;

use crate::config::Config;
use crate::dists::heal::Healer;
use crate::forge::installations::InstallationTokens;
use crate::git::child::Worker;
use crate::git::network::Network;
use crate::link::Link;
use crate::secrets::Keyring;
use crate::storage::Storage;
use crate::store::Database;
use crate::token_uses::TokenUses;

/// Shared by all requests and jobs; cheap to clone.
#[derive(Clone, Debug)]
pub struct State {
    /// The database.
    pub database: Database,
    /// Where dists lie.
    pub storage: Storage,
    /// The configuration.
    pub config: Arc<Config>,
    /// What git workers may reach.
    pub network: Arc<Network>,
    /// How the git worker is started.
    pub git_worker: Arc<Worker>,
    /// Digests of the secrets that open the listeners.
    pub secrets: Arc<Secrets>,
    /// What seals and opens the secrets of others that the database keeps.
    pub keyring: Arc<Keyring>,
    /// What GitHub Apps were given to read repositories with.
    pub installation_tokens: InstallationTokens,
    /// Rung when a job was queued by this instance, so that it begins at once.
    pub jobs_waiting: Arc<Notify>,
    /// When tokens were last used, until that is written.
    pub token_uses: Arc<TokenUses>,
    /// The link to the edges.
    pub link: Arc<Link>,
    /// Has dists made anew whose bytes are missing or wrong.
    pub healer: Healer,
}

/// Digests of the secrets that open the listeners.
#[derive(Debug, Clone, Copy)]
pub struct Secrets {
    /// Of the `ADMIN_TOKEN`.
    pub admin: Digest,
    /// Of the edges' credential.
    pub edge: Digest,
}
