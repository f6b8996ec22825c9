//! Running a program to its end, or to a deadline, and keeping what it printed.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a program printed, and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed to standard output.
    pub stdout: String,
    /// What it printed to standard error.
    pub stderr: String,
    /// Both, standard output first.
    pub combined: String,
}

impl Output {
    /// Panics with everything that was printed unless the program succeeded.
    #[track_caller]
    pub fn expect_success(&self) -> &Self {
        assert!(self.status.success(), "{}:\n{}", self.status, self.combined);
        self
    }

    /// Panics with everything that was printed if the program succeeded.
    #[track_caller]
    pub fn expect_failure(&self) -> &Self {
        assert!(!self.status.success(), "it should have failed:\n{}", self.combined);
        self
    }

    /// Panics with everything that was printed unless these words are in it.
    #[track_caller]
    pub fn says(&self, words: &str) -> &Self {
        assert!(self.combined.contains(words), "{words:?} is missing:\n{}", self.combined);
        self
    }

    /// Panics with everything that was printed if these words are in it.
    #[track_caller]
    pub fn does_not_say(&self, words: &str) -> &Self {
        assert!(!self.combined.contains(words), "{words:?} is there:\n{}", self.combined);
        self
    }
}

/// Runs `command` with `input`; kills it and panics after `limit`. Files take the output, because a pipe that
/// nobody reads would block the program.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> Output {
    let mut files = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
    files[0].write_all(input).unwrap();
    files[0].rewind().unwrap();
    let [stdin, stdout, stderr] = files.each_ref().map(|file| Stdio::from(file.try_clone().unwrap()));
    let spawned = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("cannot run {:?}: {error}", command.get_program()));
    let status = wait(&mut child, limit);
    let [_, stdout, stderr] = files.map(|mut file| text(&mut file));
    let combined = format!("{stdout}{stderr}");
    let Some(status) = status else { panic!("{command:?} did not end within {limit:?}:\n{combined}") };
    Output { status, stdout, stderr, combined }
}

/// How the child ended; `None` when it had to be killed after `limit`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("our own child") {
            return Some(status);
        }
        if start.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_input_output_and_status() {
        let mut command = Command::new("sh");
        command.args(["-c", "cat; echo warning >&2; exit 3"]);
        let output = run(&mut command, b"input\n", Duration::from_secs(10));
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str(), output.status.code()),
            ("input\n", "warning\n", Some(3))
        );
        output.expect_failure();
    }

    #[test]
    #[should_panic(expected = "did not end within")]
    fn ends_what_does_not_end() {
        run(Command::new("sleep").arg("60"), b"", Duration::from_millis(50));
    }
}
