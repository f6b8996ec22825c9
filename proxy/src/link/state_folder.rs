//! The folder in which an edge keeps what must outlive it: who it is, what it knows, what it has not reported yet. One living process
//! has it at a time, and the kernel lets go when that process ends, however it ends: so a new one proves the old one dead.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// A state folder that is this process's alone.
#[derive(Debug)]
pub(crate) struct StateFolder {
    /// The same for every process that has this folder.
    pub(crate) id: Uuid,
    /// Where it is.
    pub(crate) path: PathBuf,
    _lock: File,
}

impl StateFolder {
    /// Makes the folder if it is missing, and takes it.
    ///
    /// # Errors
    /// When another process has it, or it cannot be used.
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let lock = File::options().write(true).create(true).truncate(false).mode(0o600).open(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {
                return Err(std::io::Error::other(
                    "another edge uses it; stop that one or give this one a folder of its own",
                ));
            }
        }
        Ok(Self { id: id(&path.join("state-id"))?, path: path.to_owned(), _lock: lock })
    }
}

/// The id in the file, made at first use: whole or not at all.
fn id(path: &Path) -> std::io::Result<Uuid> {
    let mut text = String::new();
    match File::open(path) {
        Ok(mut file) => {
            file.read_to_string(&mut text)?;
            return Uuid::try_parse(text.trim()).map_err(|_| {
                std::io::Error::other(format!("{} holds no id; remove the folder if it is no edge's", path.display()))
            });
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let id = Uuid::now_v7();
    let unfinished = path.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_one_id_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let first = StateFolder::open(&path).unwrap();
        assert!(StateFolder::open(&path).unwrap_err().to_string().contains("another edge"));
        let id = first.id;
        drop(first);
        assert_eq!(StateFolder::open(&path).unwrap().id, id);
    }
}
