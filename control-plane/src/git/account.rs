//! Decides as whom the git worker runs: as we do, or, where we are root, as a user of its own who can read nothing of ours. Must never
//! run it as root because a name could not be found.

use std::io;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::Path;
use std::process::{Command, Stdio};

/// A user for the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Of the user.
    pub uid: u32,
    /// Of its first group; further ones are dropped.
    pub gid: u32,
}

/// The worker cannot run as that user.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Nobody else may change who he is.
    #[error(
        "git.user: only root can run the git worker as another user; leave it out, or start the control plane as root"
    )]
    NotRoot,
    /// There is no such user, or it is root.
    #[error(
        "git.user: there is no user `{0}` other than root; make one with `useradd --system --shell /usr/sbin/nologin {0}`"
    )]
    Unknown(String),
    /// The folder of the mirrors.
    #[error("git.user: cannot give the folder of the mirrors, {0}, to the user: {1}")]
    Folder(String, #[source] io::Error),
}

impl Account {
    /// The user of that name.
    ///
    /// # Errors
    /// When we are not root, or there is no such user.
    pub fn named(name: &str) -> Result<Self, AccountError> {
        if !rustix::process::geteuid().is_root() {
            return Err(AccountError::NotRoot);
        }
        let local = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = in_passwd(&local, name).or_else(|| in_directory(name)).filter(|account| account.uid != 0);
        found.ok_or_else(|| AccountError::Unknown(name.to_owned()))
    }

    /// Makes the folder of the mirrors, and gives it and all in it to the user, if they are not the user's yet.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn take(self, root: &Path) -> Result<(), AccountError> {
        let failed = |error| AccountError::Folder(root.display().to_string(), error);
        std::fs::create_dir_all(root).map_err(failed)?;
        if root.metadata().map_err(failed)?.uid() == self.uid {
            return Ok(());
        }
        self.own_all(root).map_err(failed)
    }

    /// Follows links nowhere. The folder itself last: what is broken off is begun anew.
    fn own_all(self, folder: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.own_all(&entry.path())?;
            } else {
                lchown(entry.path(), Some(self.uid), Some(self.gid))?;
            }
        }
        lchown(folder, Some(self.uid), Some(self.gid))
    }
}

/// Users that are not in the local file (LDAP and the like).
fn in_directory(name: &str) -> Option<Account> {
    let asked = Command::new("getent").args(["passwd", "--", name]).stdin(Stdio::null()).output().ok()?;
    in_passwd(&String::from_utf8_lossy(&asked.stdout), name)
}

fn in_passwd(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        Some(Account { uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    })
}

/// Makes a folder in which the worker works, and gives it, and those that had to be made above it, to its user.
///
/// # Errors
/// When the system refuses.
pub fn make_folder(account: Option<Account>, folder: &Path) -> io::Result<()> {
    let Some(account) = account else { return std::fs::create_dir_all(folder) };
    let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.exists()).collect();
    std::fs::create_dir_all(folder)?;
    missing.into_iter().try_for_each(|made| lchown(made, Some(account.uid), Some(account.gid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_and_root_is_none() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\ngit:x:998:997::/nonexistent:/usr/sbin/nologin\nbroken:x:y\n";
        assert_eq!(in_passwd(passwd, "git"), Some(Account { uid: 998, gid: 997 }));
        for none in ["gi", "", "broken", "x"] {
            assert_eq!(in_passwd(passwd, none), None, "{none}");
        }
        for bad in ["root", "no such user", "-s"] {
            assert!(Account::named(bad).is_err(), "{bad}");
        }
    }
}
