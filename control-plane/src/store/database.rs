//! Connections: two pools, one per role. Decides that no connection is handed out that could see past row level security.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor};

use crate::store::{Heard, StoreError};

/// The way to the database for everything that belongs to one tenant.
#[derive(Debug, Clone)]
pub struct Database {
    pub(super) app: PgPool,
    system: System,
    heard: Heard,
}

/// The way to the database across tenants. Never given to a handler of a tenant's resources.
#[derive(Debug, Clone)]
pub struct System {
    pub(super) pool: PgPool,
}

/// How long a caller waits for a connection: the API answers 503 within a second of the database's going away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(900);

/// A connection that was used within this needs no test.
const FRESH: Duration = Duration::from_secs(1);

/// How long closing the connections may take.
const CLOSE: Duration = Duration::from_secs(2);

impl Database {
    /// Connects with both roles; the database must be migrated.
    ///
    /// # Errors
    /// When it cannot be reached, or a role may bypass row level security.
    pub async fn connect(options: &PgConnectOptions, connections: u32) -> Result<Self, StoreError> {
        let heard = Heard::new();
        let app = pool(options, "cargoman_app", connections, &heard).await?;
        let system = System { pool: pool(options, "cargoman_system", connections, &heard).await? };
        Ok(Self { app, system, heard })
    }

    /// When it last answered.
    #[must_use]
    pub fn heard(&self) -> Heard {
        self.heard.clone()
    }

    /// The way across tenants.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.app.execute("select 1").await?;
        Ok(())
    }

    /// Closes every connection. A server that hangs is not waited for.
    pub async fn close(&self) {
        let closed = async { tokio::join!(self.app.close(), self.system.pool.close()) };
        if tokio::time::timeout(CLOSE, closed).await.is_err() {
            tracing::warn!("the database does not let go of its connections; leaving them to it");
        }
    }
}

/// Begins a transaction, to the end: given up half-way, it would leave a connection in the pool with a transaction open that nobody
/// knows of, and what the next one writes there would be lost.
pub(super) async fn begin(
    pool: &PgPool,
    statement: Option<String>,
) -> sqlx::Result<sqlx::Transaction<'static, sqlx::Postgres>> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move {
        match statement {
            Some(statement) => pool.begin_with(sqlx::AssertSqlSafe(statement)).await,
            None => pool.begin().await,
        }
    });
    begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

async fn pool(
    options: &PgConnectOptions,
    role: &'static str,
    connections: u32,
    heard: &Heard,
) -> Result<PgPool, StoreError> {
    let heard = heard.clone();
    let options = options.clone().application_name(role).disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A connection that was used a moment ago is there: asking it first would double the way of every short question.
        .test_before_acquire(false)
        .before_acquire(move |connection, used| {
            // It was tested when it was given back.
            heard.note(used.idle_for);
            Box::pin(async move {
                if used.idle_for > FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move {
                let become_role = match role {
                    "cargoman_system" => "set role cargoman_system",
                    _ => "set role cargoman_app",
                };
                connection.execute(become_role).await?;
                connection
                    .execute("set statement_timeout = '60s'; set lock_timeout = '10s'; set idle_in_transaction_session_timeout = '2s'; set time zone 'UTC'")
                    .await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await?;
    let bypasses: bool =
        sqlx::query_scalar("select rolsuper or rolbypassrls from pg_roles where rolname = current_user")
            .fetch_one(&pool)
            .await?;
    if bypasses {
        return Err(StoreError::inconsistent(
            "pg_roles",
            format_args!(
                "the role {role} bypasses row level security; run `alter role {role} nosuperuser nobypassrls`"
            ),
        ));
    }
    Ok(pool)
}
