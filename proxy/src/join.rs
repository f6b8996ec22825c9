//! How an edge gets its credential: with a join token, once. The credential then lies in the state folder, and the token is worth
//! nothing any more.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cargoman_credential::{Kind, Secret};
use cargoman_edge_protocol::{JOIN_PATH, JoinReply, JoinRequest};
use url::Url;

use crate::config::EdgeConfig;
use crate::link::tls::{self, Authorities};

/// The credential's file in the state folder.
pub(crate) const CREDENTIAL: &str = "credential";

/// How long the control plane may think.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an edge joins with.
pub(crate) struct Joining {
    /// What people will call it.
    pub(crate) name: String,
    /// The join token.
    pub(crate) token: Secret,
    /// Edge APIs, tried one after another.
    pub(crate) addresses: Vec<Url>,
    /// Authorities of one's own that vouch for them.
    pub(crate) authorities: Authorities,
    /// Where the credential will lie.
    pub(crate) state_directory: PathBuf,
}

/// Why an edge could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Nobody answered.
    #[error("cannot join: {0}; is a control plane running at control_plane.edge_url?")]
    Unreachable(#[from] reqwest::Error),
    /// The token is no good.
    #[error(
        "cannot join: the join token is unknown, used or out of date; make another with POST /api/v1/edges/join-tokens"
    )]
    Token,
    /// Another answer.
    #[error("cannot join: the control plane answered {status}: {body}")]
    Refused {
        /// The status.
        status: u16,
        /// What it says.
        body: String,
    },
    /// The credential cannot be kept.
    #[error("cannot keep the credential in {folder}: {error}")]
    Keep {
        /// The state folder.
        folder: String,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Joins if the configuration says so and it was not done yet. Nothing to do is no error.
///
/// # Errors
/// When the edge could not join.
pub fn join_if_new(text: &str, variables: impl IntoIterator<Item = (String, String)>) -> Result<(), JoinError> {
    // The first to install one wins; an embedding program may have been here before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    EdgeConfig::joining(text, variables).map_or(Ok(()), |joining| join(&joining))
}

/// Trades the token for a credential and keeps it.
fn join(joining: &Joining) -> Result<(), JoinError> {
    let folder = &joining.state_directory;
    let keep = |error| JoinError::Keep { folder: folder.display().to_string(), error };
    // Before the token is spent.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(keep)?;
    let client = reqwest::blocking::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_backend_preconfigured(tls::client_config(&joining.authorities).as_ref().clone())
        .build()?;
    let request = JoinRequest { token: joining.token.expose().to_owned(), name: joining.name.clone() };
    let mut answer = None;
    for address in &joining.addresses {
        let mut url = address.clone();
        url.set_path(JOIN_PATH);
        let sent = client.post(url).json(&request).send();
        let good = sent.as_ref().is_ok_and(|response| response.status() != reqwest::StatusCode::SERVICE_UNAVAILABLE);
        answer = Some(sent);
        if good {
            break;
        }
    }
    let Some(answer) = answer else { return Err(JoinError::Token) };
    let answer = answer?;
    let status = answer.status();
    if status == reqwest::StatusCode::UNAUTHORIZED {
        return Err(JoinError::Token);
    }
    if !status.is_success() {
        return Err(JoinError::Refused { status: status.as_u16(), body: answer.text().unwrap_or_default() });
    }
    let reply: JoinReply = answer.json()?;
    write(&folder.join(CREDENTIAL), &reply.credential).map_err(keep)?;
    tracing::info!(target: "cargoman::edge", name = reply.name, "joined");
    Ok(())
}

/// Reads a join token.
pub(crate) fn parse_token(text: &str) -> Result<Secret, String> {
    match Secret::parse(text.trim()) {
        Ok(secret) if secret.kind() == Kind::Join => Ok(secret),
        _ => Err("is no join token (cmj_…): make one with POST /api/v1/edges/join-tokens".to_owned()),
    }
}

/// Whole or not at all, and for nobody else.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}
