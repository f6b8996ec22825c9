//! Where the server's socket lies: in a directory that only its owner may enter, under a path short enough for
//! the kernel. That directory is the only wall in front of the database.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::database::ROLE;
use crate::error::StartError;
use crate::settings::Layout;

/// The number in the socket's name; there is no port.
pub(crate) const PORT: &str = "5432";
/// Socket paths are 107 bytes at most on Linux and 103 on the BSDs and macOS; `/.s.PGSQL.5432.lock` counts.
const LONGEST_PATH: usize = 103;
const FILE_NAME: &str = "/.s.PGSQL.5432";

/// Makes the directory, private to the account. Beside the data folder if the path fits, else under `temporary`.
pub(crate) fn prepare(layout: &Layout, account: &Account, temporary: &Path) -> Result<PathBuf, StartError> {
    let directory = place(layout, account.uid(), temporary);
    let refuse = |reason: String| StartError::SocketDirectory { directory: directory.clone(), reason };
    match DirBuilder::new().mode(0o700).create(&directory) {
        Ok(()) => account.own(&directory)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            // In a shared temporary folder someone else may have been faster: never trust what lies there.
            let found = directory.symlink_metadata().map_err(|source| StartError::io("read", &directory, source))?;
            if !found.is_dir() {
                return Err(refuse("it is no directory".to_owned()));
            }
            let ours = rustix::process::geteuid().as_raw();
            if found.uid() != account.uid() && found.uid() != ours {
                return Err(refuse(format!("it belongs to uid {}", found.uid())));
            }
            if found.mode() & 0o077 != 0 {
                return Err(refuse(format!("others may enter it (mode {:o})", found.mode() & 0o777)));
            }
            account.own(&directory)?;
        }
        Err(error) => return Err(StartError::io("create", &directory, error)),
    }
    Ok(directory)
}

/// The URL of a database on the socket: the form that libpq and sqlx both understand.
pub(crate) fn url(directory: &Path, database: &str) -> String {
    let mut host = String::new();
    for byte in directory.as_os_str().as_encoded_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => host.push(char::from(*byte)),
            _ => host.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("postgres://{ROLE}@localhost/{database}?host={host}")
}

/// Where temporary sockets go: the user's runtime directory, which others cannot even look into, else `/tmp`.
pub(crate) fn temporary_folder() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    // Root drops to another account, who may not enter root's runtime directory.
    let runtime = runtime.filter(|folder| folder.is_dir() && !rustix::process::geteuid().is_root());
    runtime.unwrap_or_else(std::env::temp_dir)
}

fn place(layout: &Layout, uid: u32, temporary: &Path) -> PathBuf {
    let beside = layout.beside(".socket");
    if is_usable(&beside) {
        return beside;
    }
    temporary.join(format!("cargoman-{uid}-{:016x}", fingerprint(layout.data.as_os_str().as_encoded_bytes())))
}

/// Short enough, and free of what PostgreSQL's list of directories gives a meaning to.
fn is_usable(directory: &Path) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@=:~ ".contains(&byte);
    directory.to_str().is_some_and(|text| text.len() + FILE_NAME.len() <= LONGEST_PATH && text.bytes().all(plain))
}

/// FNV-1a: the same name at every start and from every build.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_the_data_if_it_fits() {
        let long = format!("/srv/{}/postgres", "x".repeat(90));
        let cases = [
            ("/srv/cargoman/postgres", true),
            ("/srv/a b/postgres", true),
            ("/srv/a,b/postgres", false),
            ("/srv/\"a\"/postgres", false),
            ("/srv/ü/postgres", false),
            (long.as_str(), false),
        ];
        let mut seen = std::collections::HashSet::new();
        for (data, beside) in cases {
            let layout = Layout { data: data.into() };
            let directory = place(&layout, 1000, Path::new("/tmp"));
            assert_eq!(directory == layout.beside(".socket"), beside, "{data}");
            assert!(is_usable(&directory), "{directory:?}");
            assert!(seen.insert(directory), "{data}: two clusters on one socket");
        }
    }

    #[test]
    fn urls() {
        assert_eq!(
            url(Path::new("/a/b.socket"), "cargoman"),
            "postgres://cargoman@localhost/cargoman?host=/a/b.socket"
        );
        assert_eq!(url(Path::new("/a b/+@"), "x"), "postgres://cargoman@localhost/x?host=/a%20b/%2B%40");
    }

    #[test]
    fn a_directory_that_others_may_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout { data: folder.path().join("postgres") };
        prepare(&layout, &Account::Own, folder.path()).unwrap();
        let directory = prepare(&layout, &Account::Own, folder.path()).unwrap();
        assert_eq!(directory.metadata().unwrap().mode() & 0o777, 0o700);

        std::fs::remove_dir(&directory).unwrap();
        DirBuilder::new().mode(0o755).create(&directory).unwrap();
        let message = prepare(&layout, &Account::Own, folder.path()).unwrap_err().to_string();
        assert!(message.contains("mode 755"), "{message}");

        std::fs::remove_dir(&directory).unwrap();
        std::os::unix::fs::symlink("/tmp", &directory).unwrap();
        let message = prepare(&layout, &Account::Own, folder.path()).unwrap_err().to_string();
        assert!(message.contains("no directory"), "{message}");
    }
}
