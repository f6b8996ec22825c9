//! The client of the control plane's edge API. It knows paths and shapes; what an answer means is decided elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{
    DIST_ADDRESS, DISTS_PATH, KnownKey, READ_PATH, ReadReply, ReadRequest, TenantId, USAGE_PATH,
};
use futures::{FutureExt, Stream, TryStreamExt};
use reqwest::{Client, RequestBuilder, Response};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::beside::first_good;
use super::spool::Batch;
use super::tls;
use crate::config;
use crate::observe::traces;

/// Longest silence between two parts of an archive.
const DIST_SILENCE: Duration = Duration::from_secs(15);

/// An instance that did not answer within this may be held up: the next one is asked beside it.
const BESIDE: Duration = Duration::from_millis(900);

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
    /// No answer in time.
    #[error("no answer from the control plane in time")]
    Late,
    /// An answer other than the protocol's.
    #[error("the control plane answered {0}")]
    Status(reqwest::StatusCode),
    /// An answer that does not fit the question.
    #[error("the control plane's answer does not fit the question: {0}")]
    Shape(&'static str),
    /// The edge's lease is over, and the tenant wants nothing from it then.
    #[error("the lease is over and the tenant's outage mode is fail-closed, or his grace has passed")]
    Detached,
}

/// The control plane, as an edge sees it.
pub(crate) struct ControlPlane {
    /// Made by the first call, so inside the runtime that serves.
    client: OnceLock<Client>,
    bases: Vec<Url>,
    /// The instance that answered last.
    preferred: AtomicUsize,
    authorization: http::HeaderValue,
    tls: Arc<ClientConfig>,
    timeout: Duration,
}

impl ControlPlane {
    /// The control plane of a configuration.
    pub(crate) fn new(config: &config::ControlPlane) -> Result<Self, http::header::InvalidHeaderValue> {
        let mut authorization = http::HeaderValue::try_from(format!("Bearer {}", config.credential.expose()))?;
        authorization.set_sensitive(true);
        Ok(Self {
            client: OnceLock::new(),
            bases: config.edge_urls.clone(),
            preferred: AtomicUsize::new(0),
            authorization,
            tls: tls::client_config(&config.authorities),
            timeout: config.timeout,
        })
    }

    /// How an edge proves itself.
    pub(crate) fn authorization(&self) -> http::HeaderValue {
        self.authorization.clone()
    }

    /// The settings of TLS connections to it.
    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls)
    }

    /// Asks for facts: one answer per key, in their order.
    pub(crate) async fn read(&self, keys: Vec<KnownKey>) -> Result<ReadReply, CallError> {
        let asked = keys.len();
        let request = ReadRequest { keys };
        let asking = async {
            let answer = self.call(|client, base| client.post(at(base, READ_PATH)).json(&request)).await?;
            let reply: ReadReply =
                tokio::time::timeout(self.timeout, answer.json()).await.map_err(|_| CallError::Late)??;
            Ok::<_, CallError>(reply)
        };
        let reply = traces::step("read facts", asking).await?;
        match reply.answers.len() == asked {
            true => Ok(reply),
            false => Err(CallError::Shape("the number of answers is not that of the keys")),
        }
    }

    /// An archive's bytes.
    pub(crate) async fn dist(
        &self,
        tenant: TenantId,
        sha256: &Digest,
    ) -> Result<impl Stream<Item = Result<Bytes, CallError>> + Send + Unpin + use<>, CallError> {
        let path = format!("{DISTS_PATH}/{tenant}/{sha256}");
        let answer = traces::step("fetch archive", self.call(|client, base| client.get(at(base, &path)))).await?;
        Ok(answer.bytes_stream().map_err(CallError::Transport))
    }

    /// An address of the storage itself, at which the archive is to be had for a short while.
    pub(crate) async fn dist_address(&self, tenant: TenantId, sha256: &Digest) -> Result<String, CallError> {
        let path = format!("{DISTS_PATH}/{tenant}/{sha256}/{DIST_ADDRESS}");
        let answer = traces::step("ask for an address", self.call(|client, base| client.get(at(base, &path)))).await?;
        Ok(answer.text().await?)
    }

    /// Hands in what was used; done once it is counted there.
    pub(crate) async fn hand_in(&self, batch: &Batch) -> Result<(), CallError> {
        self.call_for(USAGE_PATIENCE, |client, base| client.post(at(base, USAGE_PATH)).json(batch)).await.map(|_| ())
    }

    /// Asks the instance that answered last, and the others beside it when it does not answer soon. All of it within the time of
    /// one call, and only for calls that do no harm when they arrive twice.
    async fn call(&self, request: impl Fn(&Client, &Url) -> RequestBuilder) -> Result<Response, CallError> {
        self.call_for(self.timeout, request).await
    }

    async fn call_for(
        &self,
        patience: Duration,
        request: impl Fn(&Client, &Url) -> RequestBuilder,
    ) -> Result<Response, CallError> {
        let client = self.client()?;
        let until = Instant::now() + patience;
        let preferred = self.preferred.load(Ordering::Relaxed);
        let mut tries = Vec::with_capacity(self.bases.len());
        for (number, base) in self.bases.iter().enumerate().cycle().skip(preferred).take(self.bases.len()) {
            let call = request(client, base).header(http::header::AUTHORIZATION, self.authorization.clone());
            let call = traces::with_parent(call);
            tries.push(self.send(call, number, until).boxed());
        }
        first_good(tries, BESIDE.min(patience / 3)).await.map_err(|last| last.unwrap_or(CallError::Late))
    }

    async fn send(&self, call: RequestBuilder, number: usize, until: Instant) -> Result<Response, CallError> {
        let answer = timeout_at(until, call.send()).await.map_err(|_| CallError::Late)??;
        if answer.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE {
            return Err(CallError::Status(answer.status()));
        }
        self.preferred.store(number, Ordering::Relaxed);
        successful(answer)
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
            .tls_backend_preconfigured(self.tls.as_ref().clone())
            .build()?;
        Ok(self.client.get_or_init(|| built))
    }
}

fn at(base: &Url, path: &str) -> Url {
    let mut address = base.clone();
    address.set_path(path);
    address
}

fn successful(answer: Response) -> Result<Response, CallError> {
    if answer.status().is_success() { Ok(answer) } else { Err(CallError::Status(answer.status())) }
}
