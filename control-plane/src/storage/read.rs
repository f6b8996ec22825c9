//! Reads dists. What is read is checked by whoever asked, against the digest that is its name.

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use opendal::ErrorKind;
use ring::digest;

use super::{CHUNK, Place, Storage, StorageError, key};

/// How a stored dist was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Its bytes are those its name says.
    Whole,
    /// It is not there.
    Missing,
    /// It has other bytes.
    Damaged {
        /// How many.
        size: u64,
    },
}

/// The bytes of a dist, in pieces.
pub type Bytes = BoxStream<'static, std::io::Result<bytes::Bytes>>;

impl Storage {
    /// The bytes of a dist, in pieces; none when it is not stored. The first piece has been read when this answers.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn read(&self, tenant: TenantId, sha256: Digest) -> Result<Option<Bytes>, StorageError> {
        self.read_key(&key::of(tenant, sha256)).await
    }

    async fn read_key(&self, key: &str) -> Result<Option<Bytes>, StorageError> {
        let reader = match self.place {
            Place::Folder(_) => self.operator.reader_with(key).chunk(CHUNK).await?,
            // One call for all of it.
            Place::Bucket { .. } => self.operator.reader_with(key).await?,
        };
        let mut stream = match reader.into_bytes_stream(..).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match stream.next().await {
            None => Ok(Some(futures::stream::empty().boxed())),
            Some(Ok(first)) => Ok(Some(futures::stream::once(async { Ok(first) }).chain(stream).boxed())),
            Some(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Some(Err(error)) => Err(broke_off(error)),
        }
    }

    /// Reads all of a dist and says how it is.
    ///
    /// # Errors
    /// When the storage fails: that says nothing about the dist.
    pub async fn check(&self, tenant: TenantId, sha256: Digest, size: u64) -> Result<Condition, StorageError> {
        self.check_key(&key::of(tenant, sha256), sha256, size).await
    }

    pub(super) async fn check_key(&self, key: &str, sha256: Digest, size: u64) -> Result<Condition, StorageError> {
        let Some(mut bytes) = self.read_key(key).await? else { return Ok(Condition::Missing) };
        let mut context = digest::Context::new(&digest::SHA256);
        let mut length = 0;
        while let Some(piece) = bytes.try_next().await.map_err(broke_off)? {
            length += piece.len() as u64;
            context.update(&piece);
        }
        Ok(match length == size && context.finish().as_ref() == sha256.as_bytes() {
            true => Condition::Whole,
            false => Condition::Damaged { size: length },
        })
    }
}

/// The library's own error, where it is inside.
fn broke_off(error: std::io::Error) -> StorageError {
    match error.downcast::<opendal::Error>() {
        Ok(error) => StorageError::Storage(error),
        Err(error) => StorageError::BrokeOff(error),
    }
}
