//! What is in an archive, as programs other than ours see it: our zips through Python's zipfile, git's tars through its tarfile.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::repository::{Repository, isolated};

/// Path → mode and content. Folders and submodules end in a slash; the content of a link is its target.
pub(crate) type Contents = BTreeMap<String, (u32, Vec<u8>)>;

/// Entries of our zips. The form is checked on the way: checksums, order, no name twice, nothing that we never write.
pub(crate) fn of_zips(zips: &[&Path]) -> Vec<Contents> {
    const SCRIPT: &str = r"
import sys, zipfile
for path in sys.argv[1:]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = [info.filename for info in archive.infolist()]
        assert len(names) == len(set(names)), names
        assert names == sorted(names, key=lambda name: name.encode()), names
        for info in archive.infolist():
            assert not info.extra and not info.comment and not info.flag_bits & 8
            print(info.filename.encode().hex(), info.external_attr >> 16, archive.read(info).hex() or '-')
    print('end')
";
    let mut python = Command::new("python3");
    python.arg("-c").arg(SCRIPT).args(zips);
    read(python)
}

/// What `git archive` shows of commits. Of trees, rather, so that an archive may be empty.
pub(crate) fn of_git_archive(repository: &Repository, commits: &[String]) -> Vec<Contents> {
    const SCRIPT: &str = r"
import io, subprocess, sys, tarfile
for commit in sys.argv[1:]:
    command = ['git', '-c', 'tar.umask=0022', 'archive', '--format=tar', commit + '^{tree}']
    tar = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    archive = tarfile.open(fileobj=io.BytesIO(tar))
    for info in archive:
        if info.issym():
            kind, content = 0o120000, info.linkname.encode()
        elif info.isdir():
            kind, content = 0o040000, b''
        else:
            kind, content = 0o100000, archive.extractfile(info).read()
        print((info.name + '/' * info.isdir()).encode().hex(), kind | info.mode, content.hex() or '-')
    print('end')
";
    let mut python = isolated("python3", &repository.path(), 0);
    python.arg("-c").arg(SCRIPT).args(commits);
    read(python)
}

fn read(mut python: Command) -> Vec<Contents> {
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut all = Vec::new();
    let mut current = Contents::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            [path, mode, content] => {
                let path = String::from_utf8(bytes(path)).unwrap();
                current.insert(path, (mode.parse().unwrap(), bytes(content)));
            }
            _ => all.push(std::mem::take(&mut current)),
        }
    }
    all
}

/// Bytes from hexadecimal digits; a dash stands for none.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let hex = hex.trim_matches('-');
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect()
}
