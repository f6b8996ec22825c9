//! Whether the storage can be used as it is set up: asked once at the start, so that a wrong setting is found by whoever made it and
//! not by the first release.

use std::time::Duration;

use futures::StreamExt;

use super::{Storage, StorageError, fault, key};

/// How long the whole question may take.
const PATIENCE: Duration = Duration::from_secs(5);

const WORDS: &[u8] = b"written by cargoman at its start and removed at once\n";

impl Storage {
    /// Writes, reads, lists and removes something.
    ///
    /// # Errors
    /// [`StorageError::Setting`] when it says that a setting is wrong; others may pass by themselves.
    pub async fn probe(&self) -> Result<(), StorageError> {
        let name = format!("probe/{}", uuid::Uuid::now_v7().as_simple());
        let asked = tokio::time::timeout(PATIENCE, self.ask(&name)).await;
        match asked.map_err(|_| StorageError::Slow(PATIENCE))? {
            Err(StorageError::Storage(error)) => match fault::setting(&error, &self.to_string()) {
                Some(said) => Err(StorageError::Setting(said)),
                None => Err(error.into()),
            },
            asked => asked,
        }
    }

    async fn ask(&self, name: &str) -> Result<(), StorageError> {
        self.operator.write(name, WORDS).await?;
        let read = self.operator.read(name).await?;
        self.operator.delete(name).await?;
        if read.to_bytes() != WORDS {
            return Err(StorageError::Altered(name.to_owned()));
        }
        // A bucket without anything in it has nothing to list, which is fine.
        match self.operator.lister_with(key::DISTS).limit(1).await?.next().await {
            Some(Err(error)) if error.kind() != opendal::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
