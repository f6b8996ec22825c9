//! Starts the control plane: schema, pools, storage, listeners, jobs; and stops them in the reverse order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use crate::config::Config;
use crate::git::child::Worker;
use crate::http::router;
use crate::jobs;
use crate::link::Link;
use crate::state::{Secrets, State};
use crate::storage::{Storage, StorageError};
use crate::store::{Actor, Database, MigrateError, StoreError, migrate};

/// Requests that are under way at the stop may take so long; then they are cut.
const DRAIN: Duration = Duration::from_secs(10);

/// Names of uploads that are coming in begin so.
pub(crate) const UPLOAD_PREFIX: &str = "cargoman-upload-";

/// What a control plane is started with.
#[derive(Debug)]
pub struct Start {
    /// The configuration, with every folder and the public address filled in.
    pub config: Config,
    /// The database.
    pub database: PgConnectOptions,
    /// For the migrations, where another role or address is needed.
    pub migrate: Option<PgConnectOptions>,
    /// For listening to other instances, where `database` is a pooler that shares sessions.
    pub listen: Option<PgConnectOptions>,
    /// How the git worker is started.
    pub git_worker: Worker,
    /// What opens the listeners.
    pub secrets: Secrets,
    /// Whether no other control plane uses this database: then jobs that seem to run are left over from a crash.
    pub alone: bool,
    /// Slug and name of the tenant that is made when there is none.
    pub first_tenant: (&'static str, &'static str),
}

/// Why a control plane does not start.
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
}

/// A control plane that is ready to serve.
#[derive(Debug)]
pub struct Server {
    /// What handlers share.
    pub state: State,
    public: TcpListener,
    edge: TcpListener,
    to_listen: PgConnectOptions,
}

impl Server {
    /// Opens everything, but serves nothing yet.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(start: Start) -> Result<Self, StartError> {
        let Start {
            config,
            database,
            migrate: migrate_options,
            listen: to_listen,
            git_worker,
            secrets,
            alone,
            first_tenant,
        } = start;
        let to_listen = to_listen.unwrap_or_else(|| database.clone());
        migrate(migrate_options.as_ref().unwrap_or(&database)).await?;
        let database = Database::connect(&database, config.database.connections).await?;
        if alone {
            database.system().retake_all_jobs().await?;
        }
        if database.system().tenants(crate::store::Page { offset: 0, limit: 1 }).await?.1 == 0 {
            make_default_tenant(&database, first_tenant).await?;
        }
        let root = config.storage.root.clone().ok_or(StartError::Folders)?;
        if config.git.root.is_none() {
            return Err(StartError::Folders);
        }
        let public = listen(config.server.listen).await?;
        let edge = listen(config.server.edge_listen).await?;
        let link = Arc::new(Link::new(&config.link));
        let state = State {
            database,
            storage: Storage::in_folder(&root)?,
            config: Arc::new(config),
            git_worker: Arc::new(git_worker),
            secrets: Arc::new(secrets),
            jobs_waiting: Arc::new(Notify::new()),
            token_uses: Arc::default(),
            link,
        };
        if alone {
            forget_half_uploads(&state.uploads_root());
        }
        Ok(Self { state, public, edge, to_listen })
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
        if self.state.config.server.public_url.is_some() {
            return;
        }
        let mut config = (*self.state.config).clone();
        config.server.public_url = Some(url);
        self.state.config = Arc::new(config);
    }

    /// Serves until `stop` says true.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn serve(self, stop: watch::Receiver<bool>) -> std::io::Result<()> {
        let Self { state, public, edge, to_listen } = self;
        let stopped = |mut stop: watch::Receiver<bool>| async move {
            // An error means that whoever could say stop is gone: that is a stop too.
            stop.wait_for(|stop| *stop).await.ok();
        };
        let public = axum::serve(public, router::public(state.clone())).with_graceful_shutdown(stopped(stop.clone()));
        let edge = axum::serve(edge, router::edge(state.clone())).with_graceful_shutdown(stopped(stop.clone()));
        let jobs = async {
            jobs::run(state.clone(), stop.clone()).await;
            Ok(())
        };
        let uses = async {
            state.token_uses.run(state.database.system(), stop.clone()).await;
            Ok(())
        };
        let link = async {
            state.link.run(state.database.system(), &to_listen, stop.clone()).await;
            Ok(())
        };
        let all = async { tokio::try_join!(public.into_future(), edge.into_future(), jobs, uses, link).map(|_| ()) };
        let overdue = async {
            stopped(stop.clone()).await;
            tokio::time::sleep(DRAIN).await;
        };
        // Whoever waits for a sync would otherwise keep the program alive for minutes.
        let ended = tokio::select! {
            ended = all => ended,
            () = overdue => Ok(()),
        };
        state.database.close().await;
        ended
    }
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

/// Several instances may come first at the same moment; the unique index lets one win.
async fn make_default_tenant(database: &Database, (slug, name): (&str, &str)) -> Result<(), StoreError> {
    match database.system().insert_tenant(slug, name, true, &Actor::Setup).await {
        Err(error) if error.is_conflict("tenant_one_default") || error.is_conflict("tenant_slug_taken") => Ok(()),
        other => other.map(|_| ()),
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
