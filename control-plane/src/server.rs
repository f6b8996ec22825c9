//! Starts the control plane: listeners first, which say 503, then schema, pools and jobs; and stops them in the reverse order.

mod opening;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use crate::config::Config;
use crate::git::child::Worker;
use crate::http::gate::Gate;
use crate::http::router;
use crate::jobs;
use crate::link::Link;
use crate::state::{Secrets, State};
use crate::storage::{Storage, StorageError};
use crate::store::{Database, MigrateError, Pulse, StoreError, health};

/// Requests that are under way at the stop may take so long; then they are cut.
const DRAIN: Duration = Duration::from_secs(10);

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
    /// Slug and name of the tenant that is made when there is none.
    pub first_tenant: (&'static str, &'static str),
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
    #[error("cannot use the storage: {0}; check storage.root and its permissions")]
    Storage(#[from] StorageError),
    /// A listener.
    #[error("cannot listen on {0}: {1}; stop what listens there or choose another address")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// A folder is missing in the configuration.
    #[error("storage.root and git.root must be set: name a folder with --data")]
    Folders,
    /// A listener that failed while it served.
    #[error("a listener failed: {0}")]
    Serve(#[from] std::io::Error),
}

/// A control plane whose listeners are bound, and that does not serve yet.
#[derive(Debug)]
pub struct Server {
    start: Start,
    storage: Storage,
    public: TcpListener,
    edge: TcpListener,
}

impl Server {
    /// Opens what needs no database.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn bind(start: Start) -> Result<Self, StartError> {
        let root = start.config.storage.root.clone().ok_or(StartError::Folders)?;
        if start.config.git.root.is_none() {
            return Err(StartError::Folders);
        }
        let public = listen(start.config.server.listen).await?;
        let edge = listen(start.config.server.edge_listen).await?;
        Ok(Self { storage: Storage::in_folder(&root)?, start, public, edge })
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
    /// When a listener fails, or the database cannot be used however often it is tried.
    pub async fn serve(
        self,
        access: impl Future<Output = Option<Access>>,
        stop: watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let Self { start, storage, public, edge } = self;
        let (pulse, health) = health();
        let (public_gate, edge_gate) = (Gate::new(health.clone()), Gate::new(health));
        let doors = Arc::new(Doors { public: public_gate, edge: edge_gate, database: OnceLock::new() });
        let public = axum::serve(public, doors.public.service()).with_graceful_shutdown(stopped(stop.clone()));
        let edge = axum::serve(edge, doors.edge.service()).with_graceful_shutdown(stopped(stop.clone()));
        let public = async { Ok(public.await?) };
        let edge = async { Ok(edge.await?) };
        let work = work(start, storage, access, Arc::clone(&doors), pulse, stop.clone());
        let all = async { tokio::try_join!(public, edge, work).map(|_| ()) };
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
    database: OnceLock<Database>,
}

/// Opens the database, then the doors; then does what is nobody's request, until the stop.
async fn work(
    start: Start,
    storage: Storage,
    access: impl Future<Output = Option<Access>>,
    doors: Arc<Doors>,
    pulse: Pulse,
    stop: watch::Receiver<bool>,
) -> Result<(), StartError> {
    let opening = async {
        let Some(access) = access.await else { return Ok(None) };
        let database = opening::open(&access, start.config.database.connections, start.first_tenant).await?;
        Ok::<_, StartError>(Some((access, database)))
    };
    let opened = tokio::select! {
        opened = opening => opened?,
        () = stopped(stop.clone()) => None,
    };
    let Some((access, database)) = opened else { return Ok(()) };
    let link = Arc::new(Link::new(&start.config.link));
    let state = State {
        database: doors.database.get_or_init(|| database).clone(),
        storage,
        config: Arc::new(start.config),
        git_worker: Arc::new(start.git_worker),
        secrets: Arc::new(start.secrets),
        jobs_waiting: Arc::new(Notify::new()),
        token_uses: Arc::default(),
        link: Arc::clone(&link),
    };
    if access.alone {
        forget_half_uploads(&state.uploads_root());
    }
    doors.public.open(router::public(state.clone()));
    doors.edge.open(router::edge(state.clone()));
    tracing::info!("control plane ready");
    let jobs = jobs::run(state.clone(), stop.clone());
    let uses = state.token_uses.run(state.database.system(), stop.clone());
    let to_listen = access.listen.as_ref().unwrap_or(&access.database);
    let link = link.run(state.database.system(), to_listen, stop);
    tokio::select! {
        _ = futures::future::join3(jobs, uses, link) => Ok(()),
        never = pulse.feel(access.database.clone()) => match never {},
    }
}

/// An error means that whoever could say stop is gone: that is a stop too.
async fn stopped(mut stop: watch::Receiver<bool>) {
    stop.wait_for(|stop| *stop).await.ok();
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen(address, error))
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
