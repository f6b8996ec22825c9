//! Starts an edge and stops it: the interface for programs that embed one.
//!
//! The listeners are bound before anything else, so that the addresses are known and nobody else can take them; connections that
//! come early wait in their queues. Stopping lets requests in flight end, within the configured time.

mod bound;
mod stop;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use pingora::listeners::ListenerConfig;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use tokio::sync::watch;

use self::bound::{Background, Bound};
use self::stop::Stop;

use crate::cache::dists::Dists;
use crate::cache::memory::Memory;
use crate::config::{ConfigError, EdgeConfig};
use crate::connection::{Connections, Http1, Http2, Open, USUAL_HEAD};
use crate::edge::EdgeProxy;
use crate::link::control_plane::ControlPlane;
use crate::link::socket::Connector;
use crate::link::spool::{Flush, Sender, Spool, sender};
use crate::link::state::StateFolder;
use crate::link::token_uses::TokenUses;
use crate::link::{Link, tls::is_exposed};
use crate::observe::access_log::AccessLog;
use crate::observe::counters::Counters;
use crate::observe::metrics::{Listener, Metrics, Sources};
use crate::observe::panics;
use crate::observe::traces::Traces;
use crate::plugin::{self, Plugins, Registry};
use crate::request::Parts;
use crate::request::secure::Redirect;
use crate::tls::{Certificates, Tls};

pub use crate::link::state::OpenStateError;

/// An edge whose listeners are bound, and that does not serve yet.
pub struct Edge {
    config: EdgeConfig,
    parts: Arc<Parts>,
    counters: Arc<Counters>,
    memory: Arc<Memory>,
    metrics: Option<Listener>,
    usage: (Sender, Flush),
    link: Link,
    listeners: Vec<(SocketAddr, TcpListener)>,
    addresses: Vec<SocketAddr>,
    /// What clients are shown, and on which addresses.
    tls: (Arc<Certificates>, Vec<SocketAddr>),
}

/// Why an edge cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken or not ours.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address of `edge.listen`.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// A socket that was handed over cannot be used.
    #[error("cannot use a socket that was handed over: {0}")]
    HandedOver(io::Error),
    /// The cache directory cannot be used.
    #[error("cannot use cache.directory {directory}: {error}")]
    Cache {
        /// The directory.
        directory: String,
        /// What the system says.
        error: io::Error,
    },
    /// The state folder cannot be used, or another process has it.
    #[error(transparent)]
    State(#[from] OpenStateError),
    /// The spool in it cannot be used.
    #[error("cannot use the spool in edge.state_directory {directory}: {error}")]
    Spool {
        /// The state folder.
        directory: String,
        /// What the system says.
        error: io::Error,
    },
    /// The thread of the access log cannot be started.
    #[error("cannot start the access log: {0}")]
    AccessLog(io::Error),
    /// The thread of the link cannot be started.
    #[error("cannot start the link to the control plane: {0}")]
    Link(io::Error),
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A plugin or the credential is not as it should be.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Edge {
    /// An edge with the plugins that come with it. Call this outside any runtime.
    ///
    /// # Errors
    /// When an address, the cache directory or a plugin's settings cannot be used.
    pub fn new(config: EdgeConfig) -> Result<Self, StartError> {
        Self::with_plugins(config, &plugin::registry())
    }

    /// An edge with a table of plugins of the caller's.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_plugins(config: EdgeConfig, registry: &Registry) -> Result<Self, StartError> {
        Self::with_listeners(config, registry, Vec::new())
    }

    /// An edge on sockets that are listening already, instead of those of `edge.listen`, if there are any.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_listeners(
        config: EdgeConfig,
        registry: &Registry,
        handed_over: Vec<TcpListener>,
    ) -> Result<Self, StartError> {
        // The first to install one wins; an embedding program may have been here before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let all = config.listen.iter().chain(&config.tls.listen);
        let own = handed_over.is_empty();
        let listeners = match own {
            true => all.map(|address| bind(*address)).collect::<Result<Vec<_>, _>>()?,
            false => handed_over.into_iter().map(take_over).collect::<Result<Vec<_>, _>>()?,
        };
        for url in config.control_plane.edge_urls.iter().filter(|url| is_exposed(url)) {
            tracing::warn!(
                target: "cargoman::edge",
                %url,
                "no TLS to the control plane, over a network that may not be yours: give it server.edge_tls_certificate and use https://"
            );
        }
        let with_tls: Vec<SocketAddr> = match own {
            true => listeners.iter().skip(config.listen.len()).map(|(address, _)| *address).collect(),
            false => config.tls.listen.clone(),
        };
        let certificates = Arc::new(Certificates::read(&config.tls.certificates).map_err(ConfigError)?);
        let redirect = with_tls.first().filter(|_| config.tls.redirect).map(|tls| Redirect { port: tls.port() });
        let plugins = Plugins::build(&config.plugins, registry).map_err(ConfigError)?;
        let control_plane = ControlPlane::new(&config.control_plane)
            .map_err(|error| ConfigError(vec![format!("control_plane.credential: {error}")]))?;
        let control_plane = Arc::new(control_plane);
        let cache = &config.cache;
        let counters = Arc::new(Counters::default());
        let dists = Dists::new(&cache.directory, cache.dist_bytes, Arc::clone(&control_plane), Arc::clone(&counters))
            .map_err(|error| StartError::Cache { directory: cache.directory.display().to_string(), error })?;
        let state = StateFolder::open(&config.state_directory)?;
        let spool = Spool::open(&state.path.join("spool"), config.spool_bytes)
            .map_err(|error| StartError::Spool { directory: state.path.display().to_string(), error })?;
        let (spool, uses) = (Arc::new(spool), Arc::new(TokenUses::default()));
        let usage = sender(Arc::clone(&spool), Arc::clone(&uses), Arc::clone(&control_plane));
        let connector =
            Connector::new(config.control_plane.edge_urls.clone(), control_plane.authorization(), control_plane.tls());
        let memory = Arc::new(Memory::new(cache.metadata_bytes, Arc::clone(&counters)));
        let kept = (Arc::clone(&memory.facts), Arc::clone(&memory.views));
        let views = Arc::clone(&memory.views);
        let (link, reading) = Link::new(&config, state, control_plane, connector, kept, chrono::Utc::now)?;
        let access_log = AccessLog::new();
        let metrics = config
            .metrics_listen
            .map(|address| Listener::bind(address).map_err(|error| StartError::Listen { address, error }));
        let metrics = metrics.transpose()?;
        let traces = config.traces.as_ref().map(|traces| Traces::new(traces, &config.name).map(Arc::new)).transpose();
        let traces = traces.map_err(|error| ConfigError(vec![format!("traces.endpoint {error}")]))?;
        let parts = Arc::new(Parts {
            reading,
            views,
            dists,
            spool,
            uses,
            plugins,
            access_log,
            counters: Arc::clone(&counters),
            redirect,
            traces,
            now: chrono::Utc::now,
        });
        let addresses = listeners.iter().map(|(address, _)| *address).collect();
        Ok(Self {
            config,
            parts,
            counters,
            memory,
            metrics,
            usage,
            link,
            listeners,
            addresses,
            tls: (certificates, with_tls),
        })
    }

    /// What it did so far; goes on counting while it runs.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Where it listens, with the real ports.
    #[must_use]
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where metrics are asked for, with the real port.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.address().ok()
    }

    /// Serves until `shutdown` turns true (or its sender is gone), then lets requests in flight end and returns. Blocks; must
    /// not be called inside a runtime.
    ///
    /// # Errors
    /// When the link cannot be started.
    pub fn run(self, shutdown: watch::Receiver<bool>) -> Result<(), StartError> {
        let link = self.link.start().map_err(StartError::Link)?;
        let access_log = self.parts.access_log.start().map_err(StartError::AccessLog)?;
        let (stop, stopping) = watch::channel(false);
        let conf = Arc::new(server_conf(&self.config));
        let proxy = http_proxy(&conf, EdgeProxy::new(&self.config, Arc::clone(&self.parts), stopping.clone()));
        let open = Open::new(&self.config);
        let http1 = Http1::new(&self.config, Arc::clone(&self.parts));
        let http2 = Http2::new(&self.config, Arc::clone(&self.parts));
        let (certificates, addresses) = self.tls;
        let tls = match addresses.is_empty() {
            true => None,
            false => Some(Tls::new(Arc::clone(&certificates), addresses, self.config.limits.head)?),
        };
        let connections = Connections::new(proxy, (http1, http2), Arc::clone(&open), tls, Arc::clone(&self.counters));
        panics::count(&self.counters);
        let sources = Sources {
            counters: self.counters,
            memory: Arc::clone(&self.memory),
            parts: Arc::clone(&self.parts),
            open: Arc::clone(&open),
        };
        let mut service = pingora::services::listening::Service::new("edge".to_owned(), connections);
        for (address, _) in &self.listeners {
            // Small ones: what is as large goes past them, and there is a pair for each connection.
            let buffers = L4BufferSettings::default().read(USUAL_HEAD).write(SMALL_WRITE);
            service.add_listener(ListenerConfig::tcp(address.to_string()).l4_buffer(buffers));
        }
        let (sender, flush) = self.usage;
        let traces = self.parts.traces.clone();
        let bound = Bound {
            service,
            listeners: self.listeners,
            stopping,
            background: Some(Background {
                sender,
                parts: self.parts,
                certificates,
                memory: self.memory,
                metrics: self.metrics.map(|listener| (listener, Metrics::new(sources))),
            }),
            threads: self.config.threads,
        };
        let mut server = Server::new_with_opt_and_conf(None, server_conf(&self.config));
        server.add_service(bound);
        let stop = Stop { asked: shutdown, stop, open, drain: self.config.drain, flush, traces };
        server.run(RunArgs { shutdown_signal: Box::new(stop) });
        // Only now: requests in flight were served under the lease.
        link.stop();
        access_log.end();
        Ok(())
    }
}

fn bind(address: SocketAddr) -> Result<(SocketAddr, TcpListener), StartError> {
    let bound = TcpListener::bind(address).and_then(ready);
    bound.map_err(|error| StartError::Listen { address, error })
}

fn take_over(listener: TcpListener) -> Result<(SocketAddr, TcpListener), StartError> {
    ready(listener).map_err(StartError::HandedOver)
}

fn ready(listener: TcpListener) -> io::Result<(SocketAddr, TcpListener)> {
    listener.set_nonblocking(true)?;
    Ok((listener.local_addr()?, listener))
}

fn server_conf(config: &EdgeConfig) -> ServerConf {
    ServerConf {
        threads: config.threads,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        max_retries: 2,
        ..ServerConf::default()
    }
}

/// Writes of at least so many bytes are not copied.
const SMALL_WRITE: usize = 1_460;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cargoman_credential::{Kind, Secret};
    use http::Method;

    use super::*;
    use crate::config::{ControlPlane as ControlPlaneConfig, EdgeCredential};
    use crate::tls::CertificateFiles;

    /// An edge whose control plane is away.
    fn lonely_edge(directory: &tempfile::TempDir) -> Edge {
        let credential = Secret::generate(Kind::Edge, &ring::rand::SystemRandom::new()).unwrap();
        let control_plane = ControlPlaneConfig {
            edge_urls: vec!["http://127.0.0.1:9".parse().unwrap()],
            public_urls: vec!["http://127.0.0.1:9".parse().unwrap()],
            credential: EdgeCredential::parse(credential.expose()).unwrap(),
            authorities: Vec::new(),
            timeout: Duration::from_secs(3),
        };
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        Edge::new(EdgeConfig::new(listen, control_plane, directory.path().join("cache"))).unwrap()
    }

    /// E-H9, E-G5 over HTTP/2: the same answers as over HTTP/1.1, and streams that end.
    #[test]
    fn both_versions_of_http() {
        let directory = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let file = |name: &str| directory.path().join(name);
        let files = CertificateFiles { certificate: file("certificate.pem"), key: file("key.pem") };
        std::fs::write(&files.certificate, own.cert.pem()).unwrap();
        std::fs::write(&files.key, own.signing_key.serialize_pem()).unwrap();
        let mut config = lonely_edge(&directory).config;
        config.tls.listen = vec!["127.0.0.1:0".parse().unwrap()];
        config.tls.certificates = vec![files];
        let edge = Edge::new(config).unwrap();
        let address = edge.local_addresses()[1];
        let (stop, stopping) = watch::channel(false);
        let running = std::thread::spawn(move || edge.run(stopping).unwrap());
        let client = || reqwest::blocking::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy();
        let http1 = client().http1_only().build().unwrap();
        let http2 = client().http2_prior_knowledge().build().unwrap();
        for (method, path, status) in [
            (Method::GET, "/healthz", 200),
            (Method::HEAD, "/healthz", 200),
            (Method::GET, "/readyz", 503),
            (Method::GET, "/packages.json", 503),
            (Method::HEAD, "/packages.json", 503),
            (Method::DELETE, "/p2/acme/pay.json", 405),
            (Method::GET, "/p2/acme/pay%2f.json", 400),
        ] {
            let ask = |client: &reqwest::blocking::Client| {
                let answer = client.request(method.clone(), format!("https://{address}{path}")).send().unwrap();
                let fields = ["content-type", "content-length", "cache-control", "allow", "retry-after"];
                let fields = fields.map(|name| answer.headers().get(name).cloned());
                (answer.status().as_u16(), fields, answer.bytes().unwrap())
            };
            let (first, second) = (ask(&http1), ask(&http2));
            assert_eq!(first, second, "{method} {path}");
            assert_eq!(second.0, status, "{method} {path}");
            assert_eq!(second.2.is_empty(), method == Method::HEAD);
        }
        drop((http1, http2));
        stop.send_replace(true);
        running.join().unwrap();
    }

    #[test]
    fn a_taken_address_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let first = lonely_edge(&directory);
        let mut config = first.config.clone();
        config.listen = first.local_addresses().to_vec();
        config.state_directory = directory.path().join("another");
        let error = Edge::new(config).err().unwrap().to_string();
        assert!(error.contains(&first.local_addresses()[0].to_string()), "{error}");
    }
}
