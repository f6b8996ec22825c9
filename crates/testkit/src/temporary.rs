//! Temporary folders that PostgreSQL can live in even when the tests run as root.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

/// A folder that others may pass through but not list: as root, PostgreSQL and its folder belong to another
/// account, who has to get there.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("cargoman-test-").tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).expect("permissions of our own folder");
    folder
}
