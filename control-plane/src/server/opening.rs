//! Opens the database: tries until it is there. What trying again cannot mend is an error, and ends the program. Asks the storage once.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Access, StartError};
use crate::storage::Storage;
use crate::store::{Actor, Database, Page, StoreError, migrate};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often the log says that it is still away.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// A database with the present schema and a tenant. `away` is told at the first try that fails.
pub(super) async fn open(
    access: &Access,
    connections: u32,
    first_tenant: (&'static str, &'static str),
    away: &watch::Sender<bool>,
) -> Result<Database, StartError> {
    let mut pause = FIRST_PAUSE;
    let mut said: Option<Instant> = None;
    loop {
        match once(access, connections, first_tenant).await {
            Err(error) if is_passing(&error) => {
                away.send_replace(true);
                if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                    said = Some(Instant::now());
                    tracing::warn!(
                        %error,
                        "the database is away; every request gets 503 until it is there: start the server of DATABASE_URL, or correct the address and start again"
                    );
                }
            }
            opened => return opened,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_passing(error: &StartError) -> bool {
    match error {
        StartError::Migrate(error) => error.is_passing(),
        StartError::Store(error) => error.is_passing(),
        _ => false,
    }
}

async fn once(
    access: &Access,
    connections: u32,
    first_tenant: (&'static str, &'static str),
) -> Result<Database, StartError> {
    migrate(access.migrate.as_ref().unwrap_or(&access.database)).await?;
    let database = Database::connect(&access.database, connections).await?;
    if access.alone {
        database.system().retake_all_jobs().await?;
    }
    if database.system().tenants(Page { offset: 0, limit: 1 }).await?.1 == 0 {
        make_default_tenant(&database, first_tenant).await?;
    }
    Ok(database)
}

/// Several instances may come first at the same moment; the unique index lets one win.
async fn make_default_tenant(
    database: &Database,
    (slug, name): (&'static str, &'static str),
) -> Result<(), StoreError> {
    match database.system().insert_tenant(slug, name, true, &Actor::Setup).await {
        Err(error) if error.is_conflict("tenant_one_default") || error.is_conflict("tenant_slug_taken") => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Asks the storage whether it can be used. A wrong setting ends the program: whoever made it is still there. What may pass does not:
/// metadata, and dists in the edges' caches, are served without a storage.
pub(super) async fn probe(storage: &Storage) -> Result<(), StartError> {
    match storage.probe().await {
        Err(error) if error.is_of_setting() => Err(error.into()),
        Err(error) => {
            tracing::error!(
                %error,
                "{storage} does not answer as it should; until it does, no release is published and dists that no edge holds are \
                 answered 503: look whether it runs, and at storage.endpoint"
            );
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
