//! Where dists lie: a folder, or a bucket of an S3 service. The only place that knows opendal: its 0.x releases break often.
//!
//! A key is written once, and again only to heal it. Nothing is visible under a key before all of its bytes are: a folder gets
//! files by renaming, a bucket gets objects whole. What was written is known to be there before anybody is told: a folder's
//! files and entries are flushed to the disk, a bucket's objects are read back. What must never happen: a key made of what a
//! user wrote.

mod fault;
mod folder;
mod key;
mod list;
mod open;
mod probe;
mod read;
mod redirect;
mod s3;
mod write;

use std::path::PathBuf;
use std::time::Duration;

use opendal::Operator;

pub use self::list::Stored;
pub use self::read::{Bytes, Condition};

/// A failure of the storage. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A setting is wrong, as the storage itself says.
    #[error("{0}")]
    Setting(String),
    /// The storage cannot be used.
    #[error("the storage failed: {}", fault::words(.0))]
    Storage(#[from] opendal::Error),
    /// It broke off in the middle of the bytes.
    #[error("the storage broke off: {0}")]
    BrokeOff(#[source] std::io::Error),
    /// The file that is to be stored cannot be read.
    #[error("cannot read {path}: {source}")]
    Source {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file that is to be stored is not what it was said to be.
    #[error("{0} changed while it was stored; look for what else writes there")]
    SourceChanged(PathBuf),
    /// The disk did not take it.
    #[error("cannot flush {0} to the disk: {1}; look at the disk and at the permissions of storage.root")]
    Flush(PathBuf, #[source] std::io::Error),
    /// What is read is not what was written a moment ago.
    #[error("the storage does not give back what was written to it ({0}); look at its own log and its disks")]
    Altered(String),
    /// It takes too long.
    #[error("the storage did not do it within {} s; look whether it is overloaded, and at the network between", .0.as_secs())]
    Slow(Duration),
}

impl StorageError {
    /// Whether it says that a setting is wrong: then waiting does not help.
    #[must_use]
    pub fn is_of_setting(&self) -> bool {
        matches!(self, Self::Setting(_))
    }
}

/// Stored dists.
#[derive(Debug, Clone)]
pub struct Storage {
    operator: Operator,
    place: Place,
}

/// What differs between the kinds.
#[derive(Debug, Clone)]
enum Place {
    /// Its root.
    Folder(PathBuf),
    /// What signs addresses for customers, and the bucket in words.
    Bucket { signer: Box<Operator>, shown: String },
}

impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Place::Folder(root) => write!(f, "the folder {}", root.display()),
            Place::Bucket { shown, .. } => f.write_str(shown),
        }
    }
}

/// Bytes that are in memory at a time.
const CHUNK: usize = 1 << 20;

#[cfg(test)]
mod tests;
