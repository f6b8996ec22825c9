//! What is stored, whoever knows of it; and its removal.

use std::time::SystemTime;

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use opendal::ErrorKind;

use super::{Place, Storage, StorageError, folder, key};

/// A dist that lies in the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Whose.
    pub tenant: TenantId,
    /// Its name, which may or may not be the digest of its bytes.
    pub sha256: Digest,
}

impl Storage {
    /// Every dist of every tenant. Other files and objects are none of ours and are passed over.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn list(&self) -> Result<BoxStream<'static, Result<Stored, StorageError>>, StorageError> {
        let lister = match self.operator.lister_with(key::DISTS).recursive(true).await {
            Ok(lister) => lister,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(futures::stream::empty().boxed()),
            Err(error) => return Err(error.into()),
        };
        let stored = lister.map_err(StorageError::from).try_filter_map(|entry| async move {
            Ok(key::read(entry.path()).map(|(tenant, sha256)| Stored { tenant, sha256 }))
        });
        Ok(stored.boxed())
    }

    /// Size of a stored dist in bytes and when it was written; none when it is not there.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn look(&self, stored: Stored) -> Result<Option<(u64, DateTime<Utc>)>, StorageError> {
        match self.operator.stat(&key::of(stored.tenant, stored.sha256)).await {
            Ok(found) => {
                // What says no time is not known to be old.
                let written = found.last_modified().map(SystemTime::from).unwrap_or_else(SystemTime::now);
                Ok(Some((found.content_length(), written.into())))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a dist, whether it is there or not.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn remove(&self, stored: Stored) -> Result<(), StorageError> {
        Ok(self.operator.delete(&key::of(stored.tenant, stored.sha256)).await?)
    }

    /// Removes what writes left behind that were cut by a crash before `before`; how much there was. Buckets do that themselves,
    /// when they are told to.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn remove_unfinished(&self, before: SystemTime) -> Result<u64, StorageError> {
        let Place::Folder(root) = &self.place else { return Ok(0) };
        let unfinished = folder::unfinished(root);
        let cleared = tokio::task::spawn_blocking(move || {
            let mut removed = 0;
            for entry in std::fs::read_dir(&unfinished).into_iter().flatten().flatten() {
                let old = entry.metadata().and_then(|about| about.modified()).is_ok_and(|written| written < before);
                removed += u64::from(old && std::fs::remove_file(entry.path()).is_ok());
            }
            removed
        });
        cleared.await.map_err(|error| StorageError::BrokeOff(std::io::Error::other(error)))
    }
}
