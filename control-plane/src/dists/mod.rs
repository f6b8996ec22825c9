//! The life of a dist between database and storage: stored before its row is written, healed when its bytes are missing or wrong, gone
//! through, carried to another storage, and taken away after its row. What must never happen: bytes go that somebody needs, or is
//! about to.

pub mod collect;
pub mod heal;
pub mod migrate;
pub mod verify;

use std::path::Path;

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;

use crate::crash::{self, Point};
use crate::storage::{Storage, StorageError};
use crate::store::{Database, StoreError};

/// Why a dist could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreDistError {
    /// The storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The database.
    #[error("cannot write to the database: {0}")]
    Store(#[from] StoreError),
}

/// Stores a dist whose row is to be written next. It is announced first, so that nobody takes bytes away that are there already.
///
/// # Errors
/// When database or storage fail; then no row may be written.
pub async fn store(
    (database, storage): (&Database, &Storage),
    tenant: TenantId,
    (sha256, size): (Digest, u64),
    file: &Path,
) -> Result<(), StoreDistError> {
    database.system().announce_dist(tenant, sha256).await?;
    crash::point(Point::DistAnnounced);
    Ok(storage.put(tenant, sha256, size, file).await?)
}
