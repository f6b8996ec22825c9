//! Releases what has waited long enough.

use std::time::Duration;

use cargoman_edge_protocol::{Change, TenantId};
use serde_json::json;

use crate::domain::id::PackageId;
use crate::state::State;
use crate::store::releases::{self, Which};
use crate::store::{Actor, StoreError, TenantTransaction, package_syncs, packages};

const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Packages at once.
const MOST: i64 = 50;

/// Releases for as long as the program runs. Several instances may do so at once.
pub(super) async fn run(state: State) {
    loop {
        if let Err(error) = once(&state).await {
            tracing::warn!(%error, "cannot release what has waited long enough; trying again");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn once(state: &State) -> Result<(), StoreError> {
    for (tenant, package) in state.database.system().due_releases(MOST).await? {
        release(state, tenant, package).await?;
    }
    Ok(())
}

async fn release(state: &State, tenant: TenantId, package: PackageId) -> Result<(), StoreError> {
    let mut transaction = TenantTransaction::begin(&state.database, tenant, Actor::Job("release".to_owned())).await?;
    if !packages::touch(&mut transaction, package).await? {
        return Ok(());
    }
    let Some(known) = package_syncs::sync_state(&mut transaction, package).await? else { return Ok(()) };
    let released = releases::release(&mut transaction, package, Which::Due).await?;
    if released.is_empty() {
        // Another instance was faster.
        return Ok(());
    }
    transaction.changed(&Change::Package { tenant, name: known.name.clone() });
    for version in &released {
        transaction.audit("version.release", known.name.as_str(), json!({"version": version, "delayed": true}));
    }
    transaction.commit().await?;
    tracing::info!(package = %known.name, versions = released.len(), "released what has waited long enough");
    Ok(())
}
