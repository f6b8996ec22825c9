//! Where dists lie. The only place that knows opendal: its 0.x releases break often.
//!
//! Keys are `dists/<tenant id>/<first two digits>/<sha256>.zip`. A key is written once, and again only to heal it; what
//! is read is checked by whoever asked, against the digest that is its name.

use std::path::{Path, PathBuf};

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use futures::{Stream, StreamExt, TryStreamExt};
use opendal::Operator;
use ring::digest;

/// A failure of the storage.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The storage cannot be used.
    #[error("the storage failed: {0}")]
    Storage(#[from] opendal::Error),
    /// The file that is to be stored cannot be read.
    #[error("cannot read {path}: {source}")]
    Source {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Stored dists.
#[derive(Debug, Clone)]
pub struct Storage {
    operator: Operator,
}

const CHUNK: usize = 1 << 20;

impl Storage {
    /// Storage in a folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn in_folder(root: &Path) -> Result<Self, StorageError> {
        let root_text = root.to_string_lossy();
        // Without a folder for unfinished writes, files would be written in place and a crash could leave half of one.
        let unfinished = root.join("unfinished");
        let builder = opendal::services::Fs::default().root(&root_text).atomic_write_dir(&unfinished.to_string_lossy());
        Ok(Self { operator: Operator::new(builder)? })
    }

    fn key(tenant: TenantId, sha256: Digest) -> String {
        let digest = sha256.to_hex();
        format!("dists/{tenant}/{}/{digest}.zip", digest.get(..2).unwrap_or_default())
    }

    /// Stores the file under its digest, unless that is there already with the right bytes: broken ones are replaced.
    ///
    /// # Errors
    /// When the file cannot be read or the storage fails; then nothing is visible under the key.
    pub async fn put(&self, tenant: TenantId, sha256: Digest, size: u64, file: &Path) -> Result<(), StorageError> {
        let key = Self::key(tenant, sha256);
        match self.operator.stat(&key).await {
            Ok(found) if found.content_length() == size && self.is_whole(&key, sha256).await => return Ok(()),
            Ok(_) => tracing::warn!(key, "a stored dist is broken and is written again"),
            Err(error) if error.kind() == opendal::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let failed = |source| StorageError::Source { path: file.to_owned(), source };
        let source = tokio::fs::File::open(file).await.map_err(failed)?;
        let mut chunks = tokio_util::io::ReaderStream::with_capacity(source, CHUNK);
        let mut writer = self.operator.writer(&key).await?;
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => writer.write(chunk).await?,
                Err(error) => {
                    writer.abort().await?;
                    return Err(failed(error));
                }
            }
        }
        writer.close().await?;
        Ok(())
    }

    /// Whether the bytes under the key have the digest; bytes that cannot be read are as good as wrong ones.
    async fn is_whole(&self, key: &str, sha256: Digest) -> bool {
        let hashed = async {
            let reader = self.operator.reader_with(key).chunk(CHUNK).await?;
            let mut stream = reader.into_bytes_stream(..).await.map_err(std::io::Error::other)?;
            let mut context = digest::Context::new(&digest::SHA256);
            while let Some(bytes) = stream.try_next().await? {
                context.update(&bytes);
            }
            Ok::<_, std::io::Error>(context.finish())
        };
        match hashed.await {
            Ok(found) => found.as_ref() == sha256.as_bytes(),
            Err(error) => {
                tracing::warn!(key, %error, "a stored dist cannot be read");
                false
            }
        }
    }

    /// The bytes of a dist, in pieces; none when it is not stored.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn read(
        &self,
        tenant: TenantId,
        sha256: Digest,
    ) -> Result<Option<impl Stream<Item = std::io::Result<bytes::Bytes>> + Send + 'static>, StorageError> {
        let key = Self::key(tenant, sha256);
        let reader = match self.operator.stat(&key).await {
            Ok(_) => self.operator.reader_with(&key).chunk(CHUNK).await?,
            Err(error) if error.kind() == opendal::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(reader.into_bytes_stream(..).await?.map_err(std::io::Error::other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_put_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::in_folder(&folder.path().join("storage")).unwrap();
        let bytes = vec![7u8; 3 << 20];
        let file = folder.path().join("x.zip");
        std::fs::write(&file, &bytes).unwrap();
        let (tenant, other) = (TenantId(uuid::Uuid::from_u128(1)), TenantId(uuid::Uuid::from_u128(2)));
        let digest = Digest::of(&bytes);
        storage.put(tenant, digest, bytes.len() as u64, &file).await.unwrap();
        storage.put(tenant, digest, bytes.len() as u64, &file).await.unwrap();
        let stream = storage.read(tenant, digest).await.unwrap().unwrap();
        let read: Vec<bytes::Bytes> = stream.try_collect().await.unwrap();
        assert_eq!(read.concat(), bytes);
        assert!(storage.read(other, digest).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn broken_bytes_are_healed_and_whole_ones_left_alone() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("storage");
        let storage = Storage::in_folder(&root).unwrap();
        let bytes: Vec<u8> = (0..(2 << 20) + 5).map(|index: u32| index.to_le_bytes()[1]).collect();
        let (tenant, digest, size) = (TenantId(uuid::Uuid::from_u128(1)), Digest::of(&bytes), bytes.len() as u64);
        let file = folder.path().join("x.zip");
        std::fs::write(&file, &bytes).unwrap();
        storage.put(tenant, digest, size, &file).await.unwrap();
        let stored = root.join(Storage::key(tenant, digest));
        let mut flipped = bytes.clone();
        flipped[1 << 20] ^= 1;
        for broken in [&flipped[..], &bytes[1..], b""] {
            std::fs::write(&stored, broken).unwrap();
            storage.put(tenant, digest, size, &file).await.unwrap();
            assert!(std::fs::read(&stored).unwrap() == bytes, "{} broken bytes stayed", broken.len());
        }
        let inode = std::fs::metadata(&stored).unwrap().ino();
        storage.put(tenant, digest, size, &file).await.unwrap();
        assert_eq!(std::fs::metadata(&stored).unwrap().ino(), inode, "whole bytes are not written again");
    }
}
