//! The folder in which one machine keeps everything.

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
