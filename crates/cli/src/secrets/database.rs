//! The database whose secrets are looked at: that of `DATABASE_URL`, else the private one of a data folder, which is started for the
//! while if it does not run.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use cargoman_control_plane::sqlx_options::PgConnectOptions;
use cargoman_control_plane::store::Database;
use cargoman_local_postgres::{LocalPostgres, Settings};

use crate::control_plane::database;
use crate::exit::Failure;

const CONNECTIONS: u32 = 2;

/// Where the database is.
pub(super) struct Source {
    options: PgConnectOptions,
    /// Started here, and stopped here.
    started: Option<LocalPostgres>,
}

impl Source {
    /// Finds or starts it.
    pub(super) fn find(data: Option<&Path>) -> Result<Self, Failure> {
        if let Some(options) = database()? {
            return Ok(Self { options, started: None });
        }
        let Some(folder) = data.map(|data| data.join("postgres")).filter(|folder| folder.exists()) else {
            return Err(Failure::usage(
                "no database: set DATABASE_URL, or name the data folder of `cargoman up` with --data",
            ));
        };
        let mut settings = Settings::new(folder.clone());
        settings.binaries = std::env::var_os("PG_BIN").map(PathBuf::from);
        let running = cargoman_local_postgres::running(&folder).map(|server| server.url(&settings.database));
        let (url, started) = match running {
            Some(url) => (url, None),
            None => {
                let server = LocalPostgres::start(&settings).map_err(Failure::database)?;
                (server.url().to_owned(), Some(server))
            }
        };
        Ok(Self { options: PgConnectOptions::from_str(&url).map_err(Failure::database)?, started })
    }

    /// Connects.
    pub(super) async fn connect(&self) -> Result<Database, Failure> {
        Database::connect(&self.options, CONNECTIONS)
            .await
            .map_err(|error| Failure::database(format!("cannot use the database: {error}")))
    }

    /// Stops what was started.
    pub(super) fn end(self) -> Result<(), Failure> {
        self.started.map_or(Ok(()), |server| server.stop().map_err(Failure::database))
    }
}
