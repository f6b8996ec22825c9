//! The database of `up`: the server of `DATABASE_URL`, else a private one in the data folder.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use cargoman_control_plane::sqlx_options::PgConnectOptions;
use cargoman_local_postgres::{LocalPostgres, Settings, StopError};

use crate::control_plane::{database, database_for_migrations};
use crate::exit::Failure;

pub(super) struct Opened {
    pub(super) options: PgConnectOptions,
    pub(super) migrate: Option<PgConnectOptions>,
    private: Option<LocalPostgres>,
}

pub(super) fn open(data: &Path) -> Result<Opened, Failure> {
    if let Some(options) = database()? {
        return Ok(Opened { options, migrate: database_for_migrations()?, private: None });
    }
    let mut settings = Settings::new(data.join("postgres"));
    settings.binaries = std::env::var_os("PG_BIN").map(PathBuf::from);
    let private = LocalPostgres::start(&settings).map_err(Failure::database)?;
    let options = PgConnectOptions::from_str(private.url()).map_err(Failure::database)?;
    Ok(Opened { options, migrate: None, private: Some(private) })
}

impl Opened {
    /// Whether nobody else can be using it.
    pub(super) fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// Stops it, if it is ours.
    pub(super) fn stop(self) -> Result<(), Failure> {
        match self.private.map(LocalPostgres::stop) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(error @ (StopError::Forced { .. } | StopError::AlreadyEnded { .. }))) => {
                tracing::warn!(%error, "PostgreSQL did not end as it should");
                Ok(())
            }
            Some(Err(error)) => Err(Failure::database(error)),
        }
    }
}
