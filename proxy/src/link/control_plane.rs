//! The client of the control plane's edge API. It knows paths and shapes; what an answer means is decided elsewhere.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{Answer, DISTS_PATH, KnownKey, READ_PATH, ReadReply, ReadRequest, TenantId, USAGE_PATH};
use futures::{Stream, TryStreamExt};
use reqwest::{Client, RequestBuilder, Response};
use url::Url;

use super::spool::Batch;
use crate::config;

/// Longest silence between two parts of an archive.
const DIST_SILENCE: Duration = Duration::from_secs(15);

/// How long a batch of uses may take; nobody waits for it.
const USAGE_PATIENCE: Duration = Duration::from_secs(15);

/// Most keys of one read; the protocol allows 500, packages may be large.
pub(crate) const MOST_KEYS: usize = 200;

/// Why a call failed. All of these mean: the control plane cannot be relied on now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// No answer, or none in time.
    #[error("no answer from the control plane: {0}")]
    Transport(#[from] reqwest::Error),
    /// An answer other than the protocol's.
    #[error("the control plane answered {0}")]
    Status(reqwest::StatusCode),
    /// An answer that does not fit the question.
    #[error("the control plane's answer does not fit the question: {0}")]
    Shape(&'static str),
}

/// The control plane, as an edge sees it.
pub(crate) struct ControlPlane {
    /// Made by the first call, so inside the runtime that serves.
    client: OnceLock<Client>,
    base: Url,
    authorization: http::HeaderValue,
    timeout: Duration,
}

impl ControlPlane {
    /// The control plane of a configuration.
    pub(crate) fn new(config: &config::ControlPlane) -> Result<Self, http::header::InvalidHeaderValue> {
        let mut authorization = http::HeaderValue::try_from(format!("Bearer {}", config.credential.expose()))?;
        authorization.set_sensitive(true);
        Ok(Self { client: OnceLock::new(), base: config.edge_url.clone(), authorization, timeout: config.timeout })
    }

    /// Asks for facts: one answer per key, in their order.
    pub(crate) async fn read(&self, keys: Vec<KnownKey>) -> Result<Vec<Answer>, CallError> {
        let asked = keys.len();
        let call = self.post(READ_PATH)?.json(&ReadRequest { keys }).timeout(self.timeout);
        let reply: ReadReply = successful(call.send().await?)?.json().await?;
        match reply.answers.len() == asked {
            true => Ok(reply.answers),
            false => Err(CallError::Shape("the number of answers is not that of the keys")),
        }
    }

    /// An archive's bytes.
    pub(crate) async fn dist(
        &self,
        tenant: TenantId,
        sha256: &Digest,
    ) -> Result<impl Stream<Item = Result<Bytes, CallError>> + Send + Unpin + use<>, CallError> {
        let address = self.address(&format!("{DISTS_PATH}/{tenant}/{sha256}"));
        let call = self.client()?.get(address).header(http::header::AUTHORIZATION, self.authorization.clone());
        let answer = tokio::time::timeout(self.timeout, call.send())
            .await
            .map_err(|_| CallError::Shape("no header in time"))??;
        Ok(successful(answer)?.bytes_stream().map_err(CallError::Transport))
    }

    /// Hands in what was used; done once it is counted there.
    pub(crate) async fn hand_in(&self, batch: &Batch) -> Result<(), CallError> {
        successful(self.post(USAGE_PATH)?.json(batch).timeout(USAGE_PATIENCE).send().await?).map(|_| ())
    }

    fn post(&self, path: &str) -> Result<RequestBuilder, CallError> {
        Ok(self.client()?.post(self.address(path)).header(http::header::AUTHORIZATION, self.authorization.clone()))
    }

    fn address(&self, path: &str) -> Url {
        let mut address = self.base.clone();
        address.set_path(path);
        address
    }

    fn client(&self) -> Result<&Client, CallError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let built = Client::builder()
            .connect_timeout(self.timeout)
            .read_timeout(DIST_SILENCE)
            .pool_idle_timeout(Duration::from_secs(50))
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(self.client.get_or_init(|| built))
    }
}

fn successful(answer: Response) -> Result<Response, CallError> {
    if answer.status().is_success() { Ok(answer) } else { Err(CallError::Status(answer.status())) }
}
