//! As whom the server runs. PostgreSQL refuses to run as root; started as root we drop to the cluster's owner or,
//! for a new cluster, to an unprivileged account. We never widen permissions of folders we did not make.

use std::os::unix::fs::{MetadataExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::StartError;
use crate::settings::{Layout, Settings};

/// As whom the server and its tools run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    /// As we do: we are not root.
    Own,
    /// As someone else: we are root.
    Other { uid: u32, gid: u32, name: String },
}

impl Account {
    /// Decides the account, and sees to it that it may reach the cluster.
    pub(crate) fn choose(settings: &Settings, layout: &Layout) -> Result<Self, StartError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let account = match layout.data.metadata() {
            // A cluster keeps its owner: changing the owner of files someone else controls is how root gets fooled.
            Ok(metadata) if metadata.uid() != 0 => {
                Self::Other { uid: metadata.uid(), gid: metadata.gid(), name: format!("uid {}", metadata.uid()) }
            }
            _ => Self::named(settings.run_as.as_deref().unwrap_or("postgres"))?,
        };
        account.check_way_to(layout.parent())?;
        if layout.data.exists() && layout.data.metadata().is_ok_and(|metadata| metadata.uid() == 0) {
            // Root's own copy, for example of a backup: it can only run as the account.
            account.own_all(&layout.data)?;
        }
        Ok(account)
    }

    /// A command that runs as the account, without any of our environment's PostgreSQL settings, in English.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Self::Other { uid, gid, .. } = self {
            // With a uid, and as root, std also drops the supplementary groups.
            command.uid(*uid).gid(*gid);
        }
        command
    }

    /// Gives one file or folder to the account.
    pub(crate) fn own(&self, path: &Path) -> Result<(), StartError> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid, .. } => lchown(path, Some(*uid), Some(*gid))
                .map_err(|source| StartError::io("change the owner of", path, source)),
        }
    }

    /// The uid that the account's files have.
    pub(crate) fn uid(&self) -> u32 {
        match self {
            Self::Own => rustix::process::geteuid().as_raw(),
            Self::Other { uid, .. } => *uid,
        }
    }

    fn named(name: &str) -> Result<Self, StartError> {
        let missing = || StartError::NoAccount { name: name.to_owned() };
        let local = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (uid, gid) = find_in_passwd(&local, name).or_else(|| directory_entry(name)).ok_or_else(missing)?;
        if uid == 0 {
            return Err(missing());
        }
        Ok(Self::Other { uid, gid, name: name.to_owned() })
    }

    /// Follows links nowhere: a link's target is not ours to give away.
    fn own_all(&self, folder: &Path) -> Result<(), StartError> {
        let fail = |source| StartError::io("read", folder, source);
        for entry in std::fs::read_dir(folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if entry.file_type().map_err(fail)?.is_dir() {
                self.own_all(&entry.path())?;
            } else {
                self.own(&entry.path())?;
            }
        }
        self.own(folder)
    }

    /// Names the first folder that stops the account. It asks the kernel, as the account: mode bits alone would
    /// miss access lists and mount options.
    fn check_way_to(&self, folder: &Path) -> Result<(), StartError> {
        let Self::Other { name, .. } = self else { return Ok(()) };
        if self.may_enter(folder)? {
            return Ok(());
        }
        let mut way: Vec<&Path> = folder.ancestors().collect();
        way.reverse();
        for directory in way {
            if !self.may_enter(directory)? {
                return Err(StartError::NotTraversable { directory: directory.to_owned(), account: name.clone() });
            }
        }
        Ok(())
    }

    fn may_enter(&self, directory: &Path) -> Result<bool, StartError> {
        let shell = Path::new("/bin/sh");
        let status = self
            .command(shell)
            .args(["-c", "cd -- \"$1\"", "sh"])
            .arg(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|source| StartError::io("run", shell, source))?;
        Ok(status.success())
    }
}

/// Accounts that are not in the local file (LDAP and the like).
fn directory_entry(name: &str) -> Option<(u32, u32)> {
    let output = Command::new("getent").args(["passwd", name]).stdin(Stdio::null()).output().ok()?;
    find_in_passwd(&String::from_utf8_lossy(&output.stdout), name)
}

fn find_in_passwd(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwd_lines() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\npostgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n";
        for (name, expected) in
            [("postgres", Some((101, 104))), ("root", Some((0, 0))), ("post", None), ("", None), ("x", None)]
        {
            assert_eq!(find_in_passwd(passwd, name), expected, "{name:?}");
        }
    }

    #[test]
    fn root_is_no_account_to_drop_to() {
        assert!(matches!(Account::named("root"), Err(StartError::NoAccount { .. })));
        let message = Account::named("no-such-account-here").unwrap_err().to_string();
        assert!(message.contains("no-such-account-here") && message.contains("useradd"), "{message}");
    }
}
