//! What an archive holds, unpacked by programs that are not ours.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use cargoman_testkit::git::{self, Repository};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file: whether it is executable, and its content.
    File(bool, Vec<u8>),
    /// A symbolic link and its target.
    Link(Vec<u8>),
    /// A folder.
    Folder,
}

/// All entries by path.
pub type Tree = BTreeMap<String, Entry>;

/// What `unzip` makes of a zip archive.
#[track_caller]
pub fn unzip(bytes: &[u8]) -> Tree {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("archive.zip");
    std::fs::write(&file, bytes).expect("our own folder");
    let out = folder.path().join("out");
    let output = Command::new("unzip").arg("-q").arg(&file).arg("-d").arg(&out).output();
    let output = output.expect("`unzip` is needed: apt install unzip");
    assert!(output.status.success(), "unzip: {output:?}");
    walk(&out)
}

/// What `git archive` makes of a commit.
#[track_caller]
pub fn git_archive(repository: &Repository, commit: &str) -> Tree {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let archive =
        git::command(repository.path()).args(["archive", "--format=tar", commit]).stdout(Stdio::piped()).spawn();
    let mut archive = archive.expect("git");
    let tar = Command::new("tar")
        .args(["--extract", "--directory"])
        .arg(folder.path())
        .stdin(archive.stdout.take().expect("a pipe"))
        .status();
    assert!(tar.expect("tar").success() && archive.wait().expect("git").success(), "git archive {commit}");
    walk(folder.path())
}

/// Paths at which the files and links of two archives differ, for a message that can be read. Folders are left out: git keeps
/// one of which it has ignored all that is in it, which nobody misses.
pub fn differences(left: &Tree, right: &Tree) -> Vec<String> {
    fn file<'a>(tree: &'a Tree, path: &str) -> Option<&'a Entry> {
        tree.get(path).filter(|entry| **entry != Entry::Folder)
    }
    let paths: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    paths.into_iter().filter(|path| file(left, path) != file(right, path)).cloned().collect()
}

fn walk(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("our own folder").map(|entry| entry.expect("our own folder")) {
            let path = entry.path();
            let name = path.strip_prefix(root).expect("inside").to_string_lossy().into_owned();
            let data = std::fs::symlink_metadata(&path).expect("our own folder");
            let found = if data.is_symlink() {
                Entry::Link(std::fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes())
            } else if data.is_dir() {
                folders.push(path);
                Entry::Folder
            } else {
                Entry::File(data.permissions().mode() & 0o100 != 0, std::fs::read(&path).expect("our own folder"))
            };
            tree.insert(name, found);
        }
    }
    tree
}
