//! Brings the schema up to date at start. Many instances may start at once: an advisory lock lets one do it.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::store::error::is_away;

/// A server that hangs takes connections and says nothing.
const CONNECT: Duration = Duration::from_secs(5);

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The server does not answer.
    #[error("cannot connect to PostgreSQL: {0}; check DATABASE_URL (or DATABASE_MIGRATE_URL) and that the server runs")]
    Connect(#[source] sqlx::Error),
    /// The database was migrated by a newer release.
    #[error(
        "the database was migrated by a newer release of Cargoman (it knows migration {0}, this program does not); run that release or restore a backup"
    )]
    Newer(i64),
    /// A migration failed and was rolled back.
    #[error("a migration failed and was rolled back: {0}; the role needs to own the database and to have CREATEROLE")]
    Failed(#[source] sqlx::migrate::MigrateError),
}

impl MigrateError {
    /// Whether trying again later may help: the server is away, or went away in the middle.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};
        match self {
            Self::Connect(error) | Self::Failed(Execute(error) | ExecuteMigration(error, _)) => is_away(error),
            Self::Newer(_) | Self::Failed(_) => false,
        }
    }
}

/// Runs what is missing. Safe to call from several instances at once.
///
/// # Errors
/// See [`MigrateError`].
pub async fn migrate(options: &PgConnectOptions) -> Result<(), MigrateError> {
    let quiet = options.clone().application_name("cargoman_migrate").disable_statement_logging();
    let connected = tokio::time::timeout(CONNECT, sqlx::PgConnection::connect_with(&quiet)).await;
    let silent = || sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "it does not answer"));
    let mut connection = connected.unwrap_or_else(|_| Err(silent())).map_err(MigrateError::Connect)?;
    // The migrator takes an advisory lock of its own around the whole run.
    let result = MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::VersionMissing(version) => MigrateError::Newer(version),
        other => MigrateError::Failed(other),
    });
    // The connection is done with either way; that closing it fails changes nothing.
    connection.close().await.ok();
    result
}
