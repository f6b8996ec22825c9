//! What a caller decides about its cluster. Nothing here reads the environment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::StartError;

/// What a caller decides about its cluster; [`Settings::new`] gives the defaults of `cargoman up`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of the cluster, for example `DIR/postgres`; made if missing. Other files lie beside it.
    pub data: PathBuf,
    /// The folder that holds `postgres` and `initdb`; `None` looks for installed ones.
    pub binaries: Option<PathBuf>,
    /// Whether committed data survives crashes.
    pub durability: Durability,
    /// The database, made if missing and owned by the role `cargoman`; `[a-z_][a-z0-9_]*`, 63 bytes at most.
    pub database: String,
    /// How long the server may take until it accepts connections, recovery after a crash included.
    pub start_timeout: Duration,
    /// PostgreSQL's `max_connections`.
    pub max_connections: u16,
    /// The account to run as when started as root and the cluster has no owner yet; `None` means `postgres`.
    pub run_as: Option<String>,
}

/// Whether committed data survives a crash of the server or of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It does: every commit is on the disk before it is answered.
    Full,
    /// It does not (the last commits are lost, the cluster may be ruined): several times faster, for tests only.
    None,
}

impl Settings {
    /// The defaults of `cargoman up` for the cluster in `data`: durable, database `cargoman`, 100 connections.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            binaries: None,
            durability: Durability::Full,
            database: "cargoman".to_owned(),
            start_timeout: Duration::from_secs(60),
            max_connections: 100,
            run_as: None,
        }
    }

    /// Refuses database names that would need quoting in SQL or in a URL.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let name = self.database.as_bytes();
        let first = name.first().is_some_and(|byte| byte.is_ascii_lowercase() || *byte == b'_');
        let rest = name.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_');
        if first && rest && name.len() <= 63 {
            Ok(())
        } else {
            Err(StartError::DatabaseName { name: self.database.clone() })
        }
    }
}

/// The data folder without symbolic links, and the names of the files beside it.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) data: PathBuf,
}

impl Layout {
    /// Resolves `data`, which need not exist; makes its parent when `make_parent`.
    pub(crate) fn resolve(data: &Path, make_parent: bool) -> Result<Self, StartError> {
        let absolute = std::path::absolute(data).map_err(|source| StartError::io("resolve", data, source))?;
        if let Ok(data) = absolute.canonicalize() {
            return Ok(Self { data });
        }
        let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
            return Err(StartError::NotACluster { data: absolute });
        };
        if make_parent {
            std::fs::create_dir_all(parent).map_err(|source| StartError::io("create", parent, source))?;
        }
        let parent = parent.canonicalize().map_err(|source| StartError::io("resolve", parent, source))?;
        Ok(Self { data: parent.join(name) })
    }

    /// A file beside the data folder: `DIR/postgres` and `.lock` give `DIR/postgres.lock`.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.data.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    }

    /// The folder that holds the data folder and everything beside it.
    pub(crate) fn parent(&self) -> &Path {
        self.data.parent().unwrap_or(Path::new("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_names() {
        for (name, fine) in
            [("cargoman", true), ("_a9", true), ("", false), ("9a", false), ("a-b", false), ("a\"; drop", false)]
        {
            let settings = Settings { database: name.to_owned(), ..Settings::new("/nowhere") };
            assert_eq!(settings.check().is_ok(), fine, "{name:?}");
        }
    }
}
