//! The folder that an edge keeps between its runs, and that one process at a time owns.
//!
//! Its id names it to the control plane: whoever shows the same id proves, by the lock, that the process before is dead.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// An edge's state folder, ours until this is dropped or the process dies, however it dies.
#[derive(Debug)]
pub(crate) struct StateFolder {
    /// Of the folder, for as long as it exists.
    pub(crate) id: Uuid,
    /// Where it is.
    pub(crate) path: PathBuf,
    lock: File,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenStateError {
    /// Another process has it.
    #[error("{0} is in use by another process: stop that one, or name another folder in edge.state_directory")]
    Taken(PathBuf),
    /// The system refuses.
    #[error("cannot use edge.state_directory {0}: {1}")]
    Io(PathBuf, #[source] io::Error),
}

impl StateFolder {
    /// Makes the folder if need be, and takes it.
    ///
    /// # Errors
    /// See [`OpenStateError`].
    pub(crate) fn open(path: &Path) -> Result<Self, OpenStateError> {
        let fail = |error| OpenStateError::Io(path.to_owned(), error);
        // It will hold who downloaded what: nobody else's to read.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fail)?;
        // It may have been made by another hand.
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(fail)?;
        let mut options = OpenOptions::new();
        let lock =
            options.write(true).create(true).truncate(false).mode(0o600).open(path.join("lock")).map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenStateError::Taken(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        Ok(Self { id: id(path).map_err(fail)?, path: path.to_owned(), lock })
    }
}

impl StateFolder {
    /// Names the machine and this folder on it: other ones in a copy, wherever it lies.
    pub(crate) fn home(&self) -> String {
        let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        let inode = fs::metadata(self.path.join("state-id")).map(|metadata| metadata.ino()).unwrap_or_default();
        format!("{}:{inode}", machine.trim())
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        // Closing alone is not enough: a child that another thread is just spawning holds a copy until it execs.
        let _ = self.lock.unlock();
    }
}

/// Reads the folder's id, or gives it one that survives a power cut.
fn id(path: &Path) -> io::Result<Uuid> {
    let file = path.join("state-id");
    match fs::read_to_string(&file) {
        Ok(text) => {
            return Uuid::try_parse(text.trim()).map_err(|_| {
                io::Error::other("its file `state-id` holds no UUID; move the folder aside to begin anew")
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let id = Uuid::now_v7();
    let new = path.join("state-id.new");
    let mut unfinished = File::create(&new)?;
    unfinished.write_all(id.to_string().as_bytes())?;
    unfinished.sync_all()?;
    fs::rename(&new, &file)?;
    File::open(path)?.sync_all()?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_always_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/state");
        let first = StateFolder::open(&path).unwrap();
        let refused = StateFolder::open(&path).unwrap_err().to_string();
        assert!(refused.contains(&path.display().to_string()) && refused.contains("another process"), "{refused}");
        let id = first.id;
        drop(first);
        assert_eq!(StateFolder::open(&path).unwrap().id, id);
        assert_ne!(StateFolder::open(&folder.path().join("b")).unwrap().id, id);
        fs::write(path.join("state-id"), "nonsense").unwrap();
        let refused = StateFolder::open(&path).unwrap_err().to_string();
        assert!(refused.contains("state-id"), "{refused}");
    }
}
