//! Opens a storage as the configuration says. Every single call to a bucket is bounded in time and tried again when what failed may
//! pass by itself; what is done of several calls is bounded where it is done.

use std::path::Path;
use std::time::Duration;

use opendal::Operator;
use opendal::layers::{RetryEvent, RetryLayer, TimeoutLayer};

use super::{Place, Storage, StorageError, fault, folder, s3};
use crate::config::{StorageConfig, StorageKind};
use crate::trust::Trust;

/// How long one call may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// One without bytes.
    pub(super) call: Duration,
    /// One with a piece of bytes.
    pub(super) piece: Duration,
}

const PATIENCE: Patience = Patience { call: Duration::from_secs(15), piece: Duration::from_secs(30) };
/// How often a call that failed is made again.
const MOST_RETRIES: usize = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Storage {
    /// The storage that the configuration names. Nothing is asked of it yet: [`Storage::probe`] does that.
    ///
    /// # Errors
    /// When a folder cannot be made, or a setting is missing.
    pub fn open(config: &StorageConfig, trust: &Trust) -> Result<Self, StorageError> {
        Self::open_with(config, trust, PATIENCE)
    }

    pub(super) fn open_with(config: &StorageConfig, trust: &Trust, patience: Patience) -> Result<Self, StorageError> {
        match config.kind {
            StorageKind::Fs => {
                let root = config.root.as_deref();
                Self::in_folder(root.ok_or_else(|| StorageError::Setting("storage.root must be set".to_owned()))?)
            }
            StorageKind::S3 => {
                let operator = patient(s3::operator(config, config.endpoint.as_deref(), trust)?, patience);
                let public = config.public_endpoint.as_deref().or(config.endpoint.as_deref());
                let signer = Box::new(s3::operator(config, public, trust)?);
                Ok(Self { operator, place: Place::Bucket { signer, shown: s3::shown(config) } })
            }
        }
    }

    /// Storage in a folder.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn in_folder(root: &Path) -> Result<Self, StorageError> {
        let wrong = |error: &dyn std::fmt::Display| {
            StorageError::Setting(format!(
                "storage.root: cannot use the folder {}: {error}; correct the path or its permissions",
                root.display()
            ))
        };
        std::fs::create_dir_all(root).map_err(|error| wrong(&error))?;
        let unfinished = folder::unfinished(root);
        let builder = opendal::services::Fs::default()
            .root(&root.to_string_lossy())
            .atomic_write_dir(&unfinished.to_string_lossy());
        let operator = Operator::new(builder).map_err(|error| wrong(&fault::words(&error)))?;
        Ok(Self { operator, place: Place::Folder(root.to_owned()) })
    }
}

/// Bounds each call, and makes it again when that may help.
fn patient(operator: Operator, patience: Patience) -> Operator {
    let retry = RetryLayer::new()
        .with_jitter()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_max_times(MOST_RETRIES)
        .with_notify(|event: RetryEvent<'_>| {
            tracing::warn!(
                attempt = event.attempt,
                error = fault::words(event.err),
                "the storage failed; trying again"
            );
        });
    operator.layer(TimeoutLayer::new().with_timeout(patience.call).with_io_timeout(patience.piece)).layer(retry)
}
