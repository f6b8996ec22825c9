//! Stores dists. A write that is given up at any moment leaves nothing under its key, and nothing that lies around for ever.

use std::path::Path;
use std::time::Duration;

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use futures::StreamExt;
use opendal::Writer;
use ring::digest;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{CHUNK, Condition, Place, Storage, StorageError, folder, key};

/// Size of a part where a bucket gets a dist in several: the smallest that is taken is 5 MiB, the most parts are 10,000.
const PART: usize = 16 << 20;

/// How long storing may take beside what its size takes.
const LONGEST: Duration = Duration::from_secs(60);
/// Bytes a second that are given time for.
const SLOWEST: u64 = 256 << 10;

/// What a storage gives back wrong is written once more: it may have been the network.
const WRITES: usize = 2;

impl Storage {
    /// Stores the file under its digest, unless that is there already with the right bytes: broken ones are replaced.
    ///
    /// # Errors
    /// When the file cannot be read or the storage fails; then what was under the key, or nothing, is there.
    pub async fn put(&self, tenant: TenantId, sha256: Digest, size: u64, file: &Path) -> Result<(), StorageError> {
        let limit = LONGEST + Duration::from_secs(size / SLOWEST);
        let key = key::of(tenant, sha256);
        let storing = self.store(&key, sha256, size, file);
        tokio::time::timeout(limit, storing).await.unwrap_or(Err(StorageError::Slow(limit)))
    }

    async fn store(&self, key: &str, sha256: Digest, size: u64, file: &Path) -> Result<(), StorageError> {
        match self.check_key(key, sha256, size).await {
            Ok(Condition::Whole) => return Ok(()),
            Ok(Condition::Missing) => {}
            Ok(Condition::Damaged { size }) => {
                tracing::warn!(key, size, "a stored dist is damaged and is written again")
            }
            Err(error) => tracing::warn!(key, %error, "a stored dist cannot be read and is written again"),
        }
        let Place::Folder(root) = &self.place else { return self.store_in_bucket(key, sha256, size, file).await };
        let directories = folder::to_flush(root, key).await;
        self.write(key, sha256, size, file).await?;
        folder::flush(directories).await
    }

    /// The library and the service have many layers between them; what counts is what a reader will get.
    async fn store_in_bucket(&self, key: &str, sha256: Digest, size: u64, file: &Path) -> Result<(), StorageError> {
        for attempt in 1..=WRITES {
            self.write(key, sha256, size, file).await?;
            match self.check_key(key, sha256, size).await? {
                Condition::Whole => return Ok(()),
                found => tracing::error!(key, ?found, attempt, "the storage does not give back what was written to it"),
            }
        }
        Err(StorageError::Altered(key.to_owned()))
    }

    async fn write(&self, key: &str, sha256: Digest, size: u64, file: &Path) -> Result<(), StorageError> {
        let failed = |source| StorageError::Source { path: file.to_owned(), source };
        let source = tokio::fs::File::open(file).await.map_err(failed)?;
        let mut chunks = tokio_util::io::ReaderStream::with_capacity(source, CHUNK);
        let mut context = digest::Context::new(&digest::SHA256);
        let mut length = 0;
        let mut upload = self.begin(key).await?;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(failed)?;
            context.update(&chunk);
            length += chunk.len() as u64;
            upload.write(chunk).await?;
        }
        if length != size || context.finish().as_ref() != sha256.as_bytes() {
            return Err(StorageError::SourceChanged(file.to_owned()));
        }
        upload.finish().await
    }

    async fn begin(&self, key: &str) -> Result<Upload, StorageError> {
        let writer = match self.place {
            Place::Folder(_) => self.operator.writer(key).await?,
            // What is smaller than a part is one call.
            Place::Bucket { .. } => self.operator.writer_with(key).chunk(PART).content_type("application/zip").await?,
        };
        Ok(Upload::begin(writer))
    }
}

/// A write under way, in a task of its own: the library loses a writer whose call is given up half-way, and with it the way to abort.
/// Dropped before it is finished, it is aborted: parts of an upload that nobody ends are stored, and paid for, for ever.
struct Upload {
    pieces: mpsc::Sender<Piece>,
    ended: JoinHandle<Result<(), StorageError>>,
}

enum Piece {
    Bytes(bytes::Bytes),
    End,
}

impl Upload {
    fn begin(writer: Writer) -> Self {
        let (pieces, coming) = mpsc::channel(1);
        Self { pieces, ended: tokio::spawn(run(writer, coming)) }
    }

    async fn write(&mut self, bytes: bytes::Bytes) -> Result<(), StorageError> {
        match self.pieces.send(Piece::Bytes(bytes)).await {
            Ok(()) => Ok(()),
            // It ended with an error, which says why.
            Err(_) => self.end().await,
        }
    }

    async fn finish(mut self) -> Result<(), StorageError> {
        // An error means that it has ended already.
        self.pieces.send(Piece::End).await.ok();
        self.end().await
    }

    async fn end(&mut self) -> Result<(), StorageError> {
        let ended = (&mut self.ended).await;
        ended.map_err(|error| StorageError::BrokeOff(std::io::Error::other(error)))?
    }
}

async fn run(mut writer: Writer, mut pieces: mpsc::Receiver<Piece>) -> Result<(), StorageError> {
    loop {
        let done = match pieces.recv().await {
            Some(Piece::Bytes(bytes)) => writer.write(bytes).await,
            Some(Piece::End) => match writer.close().await {
                Ok(_) => return Ok(()),
                Err(error) => Err(error),
            },
            None => Err(opendal::Error::new(opendal::ErrorKind::Unexpected, "the write was given up")),
        };
        if let Err(error) = done {
            if let Err(error) = writer.abort().await {
                tracing::debug!(%error, "an unfinished write could not be taken back");
            }
            return Err(error.into());
        }
    }
}
