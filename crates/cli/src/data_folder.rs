//! The folder in which one machine keeps everything.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// Makes the folder if it is missing, and gives its absolute path.
///
/// When started as root the private PostgreSQL runs as another user, who must be able to pass through: others may enter, but
/// not list.
pub(crate) fn prepare(path: &Path) -> Result<PathBuf, Failure> {
    let failed =
        |error: std::io::Error| Failure::failed(format!("cannot use the data folder {}: {error}", path.display()));
    let root = rustix::process::geteuid().is_root();
    let mode = if root { 0o711 } else { 0o700 };
    if !path.exists() {
        std::fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(failed)?;
        // The process's mask may have taken bits away.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    path.canonicalize().map_err(failed)
}

/// Takes the folder for this process alone, until the file is dropped: two registries on one folder would clear away each
/// other's mirrors and cached dists. The kernel lets go of it when the process ends, however it ends.
pub(crate) fn lock(data: &Path) -> Result<File, Failure> {
    let path = data.join("lock");
    let failed = |error: std::io::Error| Failure::failed(format!("cannot lock {}: {error}", path.display()));
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) => return Err(failed(error)),
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Only for the message; the owner may be writing it this moment.
            file.read_to_string(&mut owner).ok();
            let owner = if owner.trim().is_empty() { "unknown" } else { owner.trim() };
            return Err(Failure::failed(format!(
                "the data folder {} is in use by process {owner}; stop that process or choose another folder with --data",
                data.display()
            )));
        }
    }
    file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(file)
}
