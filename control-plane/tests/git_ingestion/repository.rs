//! Repositories for tests, made by the `git` program with fixed people and dates and no configuration from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A working copy in a folder of its own.
pub(crate) struct Repository {
    pub(crate) folder: tempfile::TempDir,
    clock: u64,
}

impl Repository {
    pub(crate) fn new() -> Self {
        let repository = Self { folder: tempfile::tempdir().unwrap(), clock: 1_700_000_000 };
        fs::create_dir(repository.path()).unwrap();
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// With one commit on `main` that holds a composer.json of this name.
    pub(crate) fn with_package(name: &str) -> Self {
        let mut repository = Self::new();
        repository
            .write("composer.json", format!(r#"{{"name":"{name}","require":{{"php":">=8.1","acme/base":"^1.0"}}}}"#));
        repository.commit("first");
        repository
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(crate) fn url(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Commits all that is there, one minute after the commit before; gives its id.
    pub(crate) fn commit(&mut self, message: &str) -> String {
        self.clock += 60;
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn tag(&self, name: &str) {
        self.git(&["tag", name]);
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.git_with(arguments, &[])
    }

    /// Runs git with bytes on its standard input; gives its standard output without the last line end.
    pub(crate) fn git_with(&self, arguments: &[&str], input: &[u8]) -> String {
        String::from_utf8(self.git_bytes(arguments, input)).unwrap().trim_end().to_owned()
    }

    pub(crate) fn git_bytes(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        git(&self.path(), arguments, input, self.clock)
    }
}

/// Runs git in a folder; panics with its words when it fails.
pub(crate) fn git(folder: &Path, arguments: &[&str], input: &[u8], clock: u64) -> Vec<u8> {
    use std::io::Write;
    let mut child = isolated("git", folder, clock)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A program for which git, if it runs it, sees nothing of the machine.
pub(crate) fn isolated(program: &str, folder: &Path, clock: u64) -> Command {
    let mut command = Command::new(program);
    let date = format!("{clock} +0000");
    command.current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.envs([
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "A U Thor"),
        ("GIT_AUTHOR_EMAIL", "author@example.com"),
        ("GIT_COMMITTER_NAME", "C O Mitter"),
        ("GIT_COMMITTER_EMAIL", "committer@example.com"),
        ("GIT_AUTHOR_DATE", date.as_str()),
        ("GIT_COMMITTER_DATE", date.as_str()),
        ("TZ", "UTC"),
    ]);
    command
}
