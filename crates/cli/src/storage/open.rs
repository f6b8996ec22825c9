//! Opens database and storage as the server does: from the same file, environment and data folder. A private PostgreSQL that runs is
//! used; one that does not is started, and stopped in the end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cargoman_control_plane::config::{StorageConfig, StorageKind};
use cargoman_control_plane::sqlx_options::PgConnectOptions;
use cargoman_control_plane::storage::Storage;
use cargoman_control_plane::store::Database;
use cargoman_control_plane::trust::Trust;
use cargoman_local_postgres::{LocalPostgres, Settings, running};
use clap::Args;

use crate::configuration::Layers;
use crate::control_plane::database;
use crate::data_folder;
use crate::exit::Failure;

/// Connections of each role: a handful of questions at once.
const CONNECTIONS: u32 = 6;

#[derive(Debug, Args)]
pub(super) struct Place {
    /// The configuration file of the server.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The data folder of `cargoman up`: for its database, unless DATABASE_URL names one, and for a storage without a setting.
    #[arg(long, env = "CARGOMAN_DATA", default_value = "/var/lib/cargoman")]
    data: PathBuf,
    /// Prints JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// What a command works with.
pub(super) struct Opened {
    pub(super) config: StorageConfig,
    pub(super) trust: Trust,
    pub(super) storage: Storage,
    pub(super) database: Database,
    server: Option<(LocalPostgres, File)>,
}

impl Opened {
    /// Closes what was opened.
    pub(super) async fn close(self) -> Result<(), Failure> {
        self.database.close().await;
        match self.server {
            Some((server, _lock)) => server.stop().map_err(Failure::database),
            None => Ok(()),
        }
    }
}

pub(super) async fn open(place: &Place) -> Result<Opened, Failure> {
    let all = Layers::read(place.config.as_deref())?.control_plane()?;
    let trust = Trust::read(&all.trust.ca_files).map_err(Failure::usage)?;
    let mut config = all.storage;
    if config.kind == StorageKind::Fs {
        let root = config.root.get_or_insert_with(|| place.data.join("storage"));
        // An empty folder in the place of one that is not mounted would look like the loss of everything.
        if !root.is_dir() {
            return Err(Failure::usage(format!(
                "storage.root: there is no folder {}; name the server's configuration with --config or its folder with --data",
                root.display()
            )));
        }
    }
    let storage = Storage::open(&config, &trust).map_err(Failure::usage)?;
    let (options, server) = match database()? {
        Some(options) => (options, None),
        None => private(&place.data)?,
    };
    let database = Database::connect(&options, CONNECTIONS).await.map_err(|error| {
        Failure::database(format!("{error}; its schema is made by the server's start or by `cargoman migrate`"))
    })?;
    Ok(Opened { config, trust, storage, database, server })
}

type Private = (PgConnectOptions, Option<(LocalPostgres, File)>);

fn private(data: &Path) -> Result<Private, Failure> {
    let folder = data.join("postgres");
    if !folder.is_dir() {
        return Err(Failure::usage(format!(
            "there is no database in {}: name the data folder of `cargoman up` with --data, or set DATABASE_URL",
            data.display()
        )));
    }
    let mut settings = Settings::new(folder);
    settings.binaries = std::env::var_os("PG_BIN").map(PathBuf::from);
    if let Some(running) = running(&settings.data) {
        let options = PgConnectOptions::from_str(&running.url(&settings.database)).map_err(Failure::database)?;
        return Ok((options, None));
    }
    let lock = data_folder::lock(data)?;
    let server = LocalPostgres::start(&settings).map_err(Failure::database)?;
    let options = PgConnectOptions::from_str(server.url()).map_err(Failure::database)?;
    Ok((options, Some((server, lock))))
}
