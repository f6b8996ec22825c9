//! Which PostgreSQL binaries run a cluster: those of exactly the major version that made it; for a new cluster
//! the newest installed. Data files of one major version are unreadable to every other.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::StartError;

/// The oldest major version that does: older ones get no security fixes.
const OLDEST_MAJOR: u32 = 14;

/// A folder with `postgres` and `initdb`, and their version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binaries {
    folder: PathBuf,
    pub(crate) major: u32,
}

impl Binaries {
    /// Finds binaries for the cluster in `data`, or for a new one when it holds none.
    pub(crate) fn find(given: Option<&Path>, data: &Path) -> Result<Self, StartError> {
        let wanted = cluster_major(data)?;
        let candidates = given.map_or_else(installed_folders, |folder| vec![folder.to_owned()]);
        let found: Vec<Self> = candidates.iter().filter_map(|folder| Self::inspect(folder)).collect();
        choose(&found, wanted).cloned().ok_or_else(|| match wanted {
            Some(major) => StartError::MissingMajor { data: data.to_owned(), major, found: listing(&found) },
            None => StartError::NoBinaries {
                minimum: OLDEST_MAJOR,
                looked: candidates.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", "),
            },
        })
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The client; some packages install it elsewhere than the server.
    pub(crate) fn client(&self) -> PathBuf {
        let beside = self.program("psql");
        if beside.exists() { beside } else { PathBuf::from("psql") }
    }

    fn inspect(folder: &Path) -> Option<Self> {
        let server = folder.join("postgres");
        if !server.is_file() || !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(server).arg("--version").stdin(Stdio::null()).output().ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder: std::path::absolute(folder).ok()?, major })
    }
}

/// The `psql` of the newest installed server; `psql` by its name alone if there is none.
pub fn client_program() -> PathBuf {
    let found: Vec<Binaries> = installed_folders().iter().filter_map(|folder| Binaries::inspect(folder)).collect();
    choose(&found, None).map_or_else(|| PathBuf::from("psql"), Binaries::client)
}

/// The version that made the cluster; `None` when there is no cluster yet.
pub(crate) fn cluster_major(data: &Path) -> Result<Option<u32>, StartError> {
    let path = data.join("PG_VERSION");
    match std::fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(major) => Ok(Some(major)),
            Err(_) => Err(StartError::NotACluster { data: data.to_owned() }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StartError::io("read", &path, error)),
    }
}

fn choose(found: &[Binaries], wanted: Option<u32>) -> Option<&Binaries> {
    match wanted {
        Some(major) => found.iter().find(|binaries| binaries.major == major),
        // Of equals the last one wins; the places looked at first are the surer ones.
        None => {
            found.iter().rev().filter(|binaries| binaries.major >= OLDEST_MAJOR).max_by_key(|binaries| binaries.major)
        }
    }
}

fn installed_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).output() {
        let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !folder.is_empty() {
            folders.push(PathBuf::from(folder));
        }
    }
    folders.extend(subfolders(Path::new("/usr/lib/postgresql"), "").into_iter().map(|folder| folder.join("bin")));
    folders.extend(subfolders(Path::new("/usr"), "pgsql-").into_iter().map(|folder| folder.join("bin")));
    folders.push(PathBuf::from("/usr/local/pgsql/bin"));
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    let mut seen = std::collections::HashSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
}

fn subfolders(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)))
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    folders
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` is 15; development versions read `17devel`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let end = number.find(|character: char| !character.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

fn listing(found: &[Binaries]) -> String {
    if found.is_empty() {
        return "none".to_owned();
    }
    found
        .iter()
        .map(|binaries| format!("{} in {}", binaries.major, binaries.folder.display()))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 17devel\n", Some(17)),
            ("postgres (PostgreSQL) 16", Some(16)),
            ("mysqld 8", None),
            ("", None),
        ] {
            assert_eq!(major_of(text), major, "{text:?}");
        }
    }

    #[test]
    fn the_clusters_own_version_else_the_newest() {
        let found = [13, 16, 15].map(|major| Binaries { folder: format!("/pg/{major}").into(), major });
        for (wanted, expected) in [(Some(15), Some(15)), (Some(13), Some(13)), (Some(17), None), (None, Some(16))] {
            assert_eq!(choose(&found, wanted).map(|binaries| binaries.major), expected, "{wanted:?}");
        }
        assert_eq!(choose(&found[..1], None), None, "too old for a new cluster");
        let twice = ["/first", "/second"].map(|folder| Binaries { folder: folder.into(), major: 16 });
        assert_eq!([choose(&twice, None), choose(&twice, Some(16))], [Some(&twice[0]); 2]);
    }
}
