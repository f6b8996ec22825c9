//! Starts the control plane: listeners first, which say 503, then schema, pools and jobs; and stops them in the reverse order.

mod opening;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::{Config, StorageKind};
use crate::dists::heal::Healer;
use crate::forge::installations::InstallationTokens;
use crate::git::account::{Account, AccountError};
use crate::git::child::Worker;
use crate::git::network::Network;
use crate::http::gate::{Gate, Patience};
use crate::http::listener::Connections;
use crate::http::router;
use crate::http::serve::serve;
use crate::http::tls::{self, TlsError};
use crate::jobs;
use crate::link::Link;
use crate::secrets::Keyring;
use crate::state::{Secrets, State};
use crate::storage::{Storage, StorageError};
use crate::store::{Database, MigrateError, Pulse, StoreError, health};
use crate::trust::{Trust, TrustError};

/// Requests that are under way at the stop may take so long; then they are cut.
const DRAIN: Duration = Duration::from_secs(10);

/// When the sockets were handed over, whoever asks waits so long for the start: he asked a registry that never was away.
const TAKES_OVER: Duration = Duration::from_secs(2);

/// How long an idle connection is kept at the stop: a request may be on its way.
const IDLE: Duration = Duration::from_secs(2);

/// Names of uploads that are coming in begin so.
pub(crate) const UPLOAD_PREFIX: &str = "cargoman-upload-";

/// What a control plane is started with.
#[derive(Debug)]
pub struct Start {
    /// The configuration, with every folder and the public address filled in.
    pub config: Config,
    /// How the git worker is started.
    pub git_worker: Worker,
    /// What opens the listeners.
    pub secrets: Secrets,
    /// What seals the secrets that the database keeps.
    pub keyring: Keyring,
    /// Sockets that listen already, instead of those of the configuration.
    pub handed_over: HandedOver,
    /// Slug and name of the tenant that is made when there is none.
    pub first_tenant: (&'static str, &'static str),
}

/// Sockets that a parent handed over.
#[derive(Debug, Default)]
pub struct HandedOver {
    /// For the public API.
    pub public: Option<std::net::TcpListener>,
    /// For the edge API.
    pub edge: Option<std::net::TcpListener>,
}

/// How the database is reached.
#[derive(Debug, Clone)]
pub struct Access {
    /// The database.
    pub database: PgConnectOptions,
    /// For the migrations, where another role or address is needed.
    pub migrate: Option<PgConnectOptions>,
    /// For listening to other instances, where `database` is a pooler that shares sessions.
    pub listen: Option<PgConnectOptions>,
    /// Whether no other control plane uses this database: then jobs that seem to run are left over from a crash.
    pub alone: bool,
}

/// Why a control plane does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The schema.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The database.
    #[error("cannot use the database: {0}")]
    Store(#[from] StoreError),
    /// The storage.
    #[error("cannot use the storage: {0}")]
    Storage(#[from] StorageError),
    /// A listener.
    #[error("cannot listen on {0}: {1}; stop what listens there or choose another address")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The edge API's certificate.
    #[error("server.edge_tls_certificate: {0}")]
    Tls(#[from] TlsError),
    /// As whom repositories are read.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Whom to believe.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The file of host keys.
    #[error("git.known_hosts: {0} cannot be read: {1}; correct the path or its permissions")]
    KnownHosts(String, #[source] std::io::Error),
    /// A folder is missing in the configuration.
    #[error("storage.root and git.root must be set: name a folder with --data")]
    Folders,
    /// A thread.
    #[error("cannot start the thread that watches the database: {0}; look at the limits on threads of this user")]
    Thread(#[source] std::io::Error),
    /// A listener that failed while it served.
    #[error("a listener failed: {0}")]
    Serve(#[from] std::io::Error),
}

/// A control plane whose listeners are bound, and that does not serve yet.
#[derive(Debug)]
pub struct Server {
    start: Start,
    storage: Storage,
    network: Network,
    tls: Option<Arc<rustls::ServerConfig>>,
    /// Whether another program served here a moment ago.
    takes_over: bool,
    public: TcpListener,
    edge: TcpListener,
}

impl Server {
    /// Opens what needs no database.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn bind(mut start: Start) -> Result<Self, StartError> {
        let storage = &start.config.storage;
        if start.config.git.root.is_none() || (storage.kind == StorageKind::Fs && storage.root.is_none()) {
            return Err(StartError::Folders);
        }
        if let Some(file) = &start.config.git.known_hosts {
            std::fs::File::open(file).map_err(|error| StartError::KnownHosts(file.display().to_string(), error))?;
        }
        let trust = Trust::read(&start.config.trust.ca_files)?;
        if let (Some(user), Some(root)) = (&start.config.git.user, &start.config.git.root) {
            let account = Account::named(user)?;
            account.take(root)?;
            start.git_worker = start.git_worker.as_account(account);
        }
        let server = &start.config.server;
        let tls = match (&server.edge_tls_certificate, &server.edge_tls_key) {
            (Some(certificate), Some(key)) => Some(tls::server_config(certificate, key)?),
            _ => None,
        };
        let handed_over = std::mem::take(&mut start.handed_over);
        let takes_over = handed_over.public.is_some() || handed_over.edge.is_some();
        let public = listen(start.config.server.listen, handed_over.public).await?;
        let edge = listen(start.config.server.edge_listen, handed_over.edge).await?;
        let storage = Storage::open(&start.config.storage, &trust)?;
        let network = start.config.network(&trust);
        Ok(Self { storage, network, start, tls, takes_over, public, edge })
    }

    /// Where the public API listens.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn public_address(&self) -> std::io::Result<SocketAddr> {
        self.public.local_addr()
    }

    /// Where the edge API listens.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn edge_address(&self) -> std::io::Result<SocketAddr> {
        self.edge.local_addr()
    }

    /// Says where Composer reaches the default tenant, unless the configuration says so.
    pub fn set_default_public_url(&mut self, url: String) {
        self.start.config.server.public_url.get_or_insert(url);
    }

    /// Answers at once, 503 at first; serves when `access` is known and the database is there, until `stop` says true. Without
    /// an access nothing is ever served.
    ///
    /// # Errors
    /// When the database cannot be used however often it is tried.
    pub async fn serve(
        self,
        access: impl Future<Output = Option<Access>>,
        stop: watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let Self { start, storage, network, tls, takes_over, public, edge } = self;
        let (pulse, health) = health();
        let patience = watch::Sender::new(!takes_over);
        let gate = || {
            let patience = Patience::new(Instant::now() + TAKES_OVER, patience.subscribe());
            Gate::new(health.clone(), stop.clone(), patience)
        };
        let doors = Arc::new(Doors {
            public: gate(),
            edge: gate(),
            patience_over: patience.clone(),
            database: OnceLock::new(),
        });
        let public = Connections::take(public, None, stopped(stop.clone()));
        let edge = Connections::take(edge, tls, stopped(stop.clone()));
        let public = answer(public, &doors.public, stop.clone());
        let edge = answer(edge, &doors.edge, stop.clone());
        let work = work(start, (storage, network), access, Arc::clone(&doors), pulse, stop.clone());
        let answered = async {
            tokio::join!(public, edge);
            Ok(())
        };
        let all = async { tokio::try_join!(answered, work).map(|_| ()) };
        let overdue = async {
            stopped(stop.clone()).await;
            tokio::time::sleep(DRAIN).await;
        };
        // Whoever waits for a sync would otherwise keep the program alive for minutes.
        let ended = tokio::select! {
            ended = all => ended,
            () = overdue => Ok(()),
        };
        if let Some(database) = doors.database.get() {
            database.close().await;
        }
        ended
    }
}

/// What opens when there is a database.
struct Doors {
    public: Arc<Gate>,
    edge: Arc<Gate>,
    patience_over: watch::Sender<bool>,
    database: OnceLock<Database>,
}

/// Opens the database, then the doors; then does what is nobody's request, until the stop.
async fn work(
    start: Start,
    (storage, network): (Storage, Network),
    access: impl Future<Output = Option<Access>>,
    doors: Arc<Doors>,
    pulse: Pulse,
    stop: watch::Receiver<bool>,
) -> Result<(), StartError> {
    let opening = async {
        let Some(access) = access.await else { return Ok(None) };
        let database =
            opening::open(&access, start.config.database.connections, start.first_tenant, &doors.patience_over).await?;
        Ok::<_, StartError>(Some((access, database)))
    };
    let opening = async { tokio::try_join!(opening, opening::probe(&storage)).map(|(opened, ())| opened) };
    let opened = tokio::select! {
        opened = opening => opened?,
        () = stopped(stop.clone()) => None,
    };
    let Some((access, database)) = opened else { return Ok(()) };
    let link = Arc::new(Link::new(&start.config.link, access.alone));
    let state = State {
        database: doors.database.get_or_init(|| database).clone(),
        storage,
        config: Arc::new(start.config),
        network: Arc::new(network),
        git_worker: Arc::new(start.git_worker),
        secrets: Arc::new(start.secrets),
        keyring: Arc::new(start.keyring),
        jobs_waiting: link.jobs_queued(),
        token_uses: Arc::default(),
        link: Arc::clone(&link),
        installation_tokens: InstallationTokens::default(),
        healer: Healer::default(),
    };
    if access.alone {
        forget_half_uploads(&state.uploads_root());
    }
    doors.public.open(router::public(state.clone()));
    doors.edge.open(router::edge(state.clone()));
    doors.patience_over.send_replace(true);
    tracing::info!("control plane ready");
    let jobs = jobs::run(state.clone(), stop.clone());
    let uses = state.token_uses.run(state.database.system(), stop.clone());
    let to_listen = access.listen.as_ref().unwrap_or(&access.database);
    let link = link.run(state.database.system(), to_listen, stop);
    let _feeling = pulse.feel(&access.database, state.database.heard()).map_err(StartError::Thread)?;
    futures::future::join3(jobs, uses, link).await;
    Ok(())
}

/// An error means that whoever could say stop is gone: that is a stop too.
async fn stopped(mut stop: watch::Receiver<bool>) {
    stop.wait_for(|stop| *stop).await.ok();
}

async fn listen(address: SocketAddr, given: Option<std::net::TcpListener>) -> Result<TcpListener, StartError> {
    match given {
        Some(listener) => {
            listener.set_nonblocking(true)?;
            Ok(TcpListener::from_std(listener)?)
        }
        None => TcpListener::bind(address).await.map_err(|error| StartError::Listen(address, error)),
    }
}

/// Answers on one listener. After the stop no connection is taken, and those there are may ask once more; then they end.
async fn answer(connections: Connections, gate: &Arc<Gate>, stop: watch::Receiver<bool>) {
    let open = connections.open();
    let quiet = async move {
        stopped(stop).await;
        // An error means that some are left: they are idle, or end with the request they are at.
        tokio::time::timeout(IDLE, open.none()).await.ok();
    };
    serve(connections, gate.service(), quiet).await;
}

/// Removes what was coming in when the program was killed; nobody else writes such files.
fn forget_half_uploads(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UPLOAD_PREFIX) {
            std::fs::remove_file(entry.path()).ok();
        }
    }
}

impl State {
    /// Folder of the mirrors.
    #[must_use]
    pub fn git_root(&self) -> &Path {
        self.config.git.root.as_deref().unwrap_or(Path::new("git"))
    }

    /// Folder in which uploads wait until they are whole and checked.
    #[must_use]
    pub fn uploads_root(&self) -> PathBuf {
        match &self.config.uploads.root {
            Some(root) => root.clone(),
            None => self.git_root().with_file_name("uploads"),
        }
    }
}
