//! What a folder needs beyond the library: after a power cut an entry of a directory is there only if the directory was flushed too.

use std::path::{Path, PathBuf};

use super::StorageError;

/// Where unfinished writes lie. Without it the library writes in place, and a crash could leave half of a file.
pub(super) fn unfinished(root: &Path) -> PathBuf {
    root.join("unfinished")
}

/// The directories from that of `key` up to `root` that are not there yet, and the one above them: they must be flushed with it.
pub(super) async fn to_flush(root: &Path, key: &str) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let file = root.join(key);
    for directory in file.ancestors().skip(1) {
        directories.push(directory.to_owned());
        if directory == root || tokio::fs::try_exists(directory).await.unwrap_or(false) {
            break;
        }
    }
    directories
}

/// Flushes directories to the disk.
pub(super) async fn flush(directories: Vec<PathBuf>) -> Result<(), StorageError> {
    let flushed = tokio::task::spawn_blocking(move || {
        for directory in directories {
            let done = std::fs::File::open(&directory).and_then(|open| open.sync_all());
            done.map_err(|error| StorageError::Flush(directory, error))?;
        }
        Ok(())
    });
    flushed.await.map_err(|error| StorageError::BrokeOff(std::io::Error::other(error)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn new_directories_are_flushed_up_to_the_first_old_one() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let up = |parts: &[&str]| parts.iter().map(|part| root.join(part)).collect::<Vec<_>>();
        assert_eq!(to_flush(root, "dists/t/ab/x.zip").await, up(&["dists/t/ab", "dists/t", "dists", ""]));
        std::fs::create_dir_all(root.join("dists/t")).unwrap();
        assert_eq!(to_flush(root, "dists/t/ab/x.zip").await, up(&["dists/t/ab", "dists/t"]));
        std::fs::create_dir_all(root.join("dists/t/ab")).unwrap();
        assert_eq!(to_flush(root, "dists/t/ab/x.zip").await, up(&["dists/t/ab"]));
        flush(to_flush(root, "dists/t/ab/x.zip").await).await.unwrap();
        assert!(flush(vec![root.join("absent")]).await.is_err());
    }
}
