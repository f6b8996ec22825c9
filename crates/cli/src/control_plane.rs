//! `cargoman control-plane`: one of several instances against one PostgreSQL.

use std::path::PathBuf;
use std::str::FromStr;

use cargoman_control_plane::git::child::Worker;
use cargoman_control_plane::server::{Access, HandedOver, Server, Start};
use cargoman_control_plane::sqlx_options::PgConnectOptions;
use cargoman_control_plane::state::Secrets;
use cargoman_credential::{Kind, Secret};
use cargoman_listeners::{EDGE_API, Listeners, PUBLIC};
use clap::Args;
use tokio::sync::watch;

use crate::configuration::Layers;
use crate::credentials;
use crate::exit::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The configuration file; config/control-plane.toml documents it.
    #[arg(long)]
    config: PathBuf,
    /// A file that holds the admin token; else ADMIN_TOKEN.
    #[arg(long)]
    admin_token_file: Option<PathBuf>,
    /// A file that holds the edges' credential (cme_…); else CARGOMAN_EDGE_CREDENTIAL.
    #[arg(long)]
    edge_credential_file: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    // Before there are threads.
    let listeners = Listeners::from_parent().map_err(Failure::usage);
    cargoman_telemetry::start();
    install_crypto();
    let mut listeners = listeners?;
    let handed_over = handed_over(&mut listeners)?;
    listeners.finish().map_err(Failure::usage)?;
    let config = Layers::read(Some(&arguments.config))?.control_plane()?;
    if config.server.public_url.is_none() {
        return Err(Failure::usage("server.public_url must be set: the address at which Composer reaches the edges"));
    }
    let admin = credentials::admin_token(arguments.admin_token_file.as_deref(), None)?;
    let edge = edge_credential(arguments.edge_credential_file)?;
    let keyring = credentials::keyring(config.secrets.key_file.as_deref(), None)?;
    let Some(database) = database()? else {
        return Err(Failure::usage("DATABASE_URL is not set: name the server, postgres://user@host/database"));
    };
    let access =
        Access { database, migrate: database_for_migrations()?, listen: database_for_listening()?, alone: false };
    let start = Start {
        config,
        git_worker: git_worker()?,
        secrets: Secrets { admin: admin.digest(), edge: edge.digest() },
        keyring,
        handed_over,
        first_tenant: ("default", "Default"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        let server = Server::bind(start).await?;
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            until_signal().await;
            stop.send_replace(true);
        });
        tracing::info!(
            public = %server.public_address().map_err(Failure::failed)?,
            edges = %server.edge_address().map_err(Failure::failed)?,
            "listening"
        );
        Ok(server.serve(std::future::ready(Some(access)), stopped).await?)
    })
}

/// The control plane's own of the sockets that a parent handed over.
pub(crate) fn handed_over(listeners: &mut Listeners) -> Result<HandedOver, Failure> {
    let mut take = |name| listeners.take_one(name).map_err(Failure::usage);
    Ok(HandedOver { public: take(PUBLIC)?, edge: take(EDGE_API)? })
}

fn edge_credential(file: Option<PathBuf>) -> Result<Secret, Failure> {
    let text = match file {
        Some(path) => std::fs::read_to_string(&path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?,
        None => std::env::var("CARGOMAN_EDGE_CREDENTIAL").map_err(|_| {
            Failure::usage(
                "no edge credential: set CARGOMAN_EDGE_CREDENTIAL or name a file with --edge-credential-file",
            )
        })?,
    };
    match Secret::parse(text.trim()) {
        Ok(secret) if secret.kind() == Kind::Edge => Ok(secret),
        _ => Err(Failure::usage("the edge credential is not a well-formed cme_… secret")),
    }
}

/// The git worker is this very program.
pub(crate) fn git_worker() -> Result<Worker, Failure> {
    Worker::of_this_program().map_err(|error| Failure::failed(format!("cannot find the program that runs: {error}")))
}

/// One crypto provider for the whole process, chosen before anything needs one.
pub(crate) fn install_crypto() {
    // An error means that one is installed already, which is what is wanted.
    rustls::crypto::ring::default_provider().install_default().ok();
}

/// `DATABASE_URL`.
pub(crate) fn database() -> Result<Option<PgConnectOptions>, Failure> {
    options("DATABASE_URL")
}

/// `DATABASE_MIGRATE_URL`.
pub(crate) fn database_for_migrations() -> Result<Option<PgConnectOptions>, Failure> {
    options("DATABASE_MIGRATE_URL")
}

/// `DATABASE_LISTEN_URL`.
pub(crate) fn database_for_listening() -> Result<Option<PgConnectOptions>, Failure> {
    options("DATABASE_LISTEN_URL")
}

fn options(variable: &str) -> Result<Option<PgConnectOptions>, Failure> {
    match std::env::var(variable) {
        Ok(url) if !url.is_empty() => match PgConnectOptions::from_str(&url) {
            Ok(options) => Ok(Some(options)),
            Err(error) => Err(Failure::usage(format!("{variable} is no address of a PostgreSQL: {error}"))),
        },
        _ => Ok(None),
    }
}

/// Waits for SIGTERM or SIGINT.
pub(crate) async fn until_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("cannot listen to signals; stop this process with kill -9");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
