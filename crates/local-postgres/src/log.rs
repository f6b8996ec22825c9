//! The server's log: beside the data folder, turned over at start so that it cannot grow for ever, and its last
//! lines for error messages.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::StartError;
use crate::settings::Layout;

/// A log larger than this becomes `.1` at the next start (and the older `.1` goes).
const TURN_OVER_BYTES: u64 = 4 << 20;
/// What an error message shows.
const TAIL_LINES: usize = 15;
const TAIL_BYTES: u64 = 16 << 10;

/// The log, and where this start began in it.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    from: u64,
}

impl Log {
    /// Opens the log for appending; the file goes to the server as its standard error.
    pub(crate) fn open(layout: &Layout) -> Result<(Self, File), StartError> {
        let path = layout.beside(".log");
        let fail = |source| StartError::io("write", &path, source);
        if path.metadata().is_ok_and(|metadata| metadata.len() > TURN_OVER_BYTES) {
            std::fs::rename(&path, layout.beside(".log.1")).map_err(fail)?;
        }
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(fail)?;
        let from = file.metadata().map_err(fail)?.len();
        Ok((Self { path, from }, file))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The last lines since this start, or a remark that there are none.
    pub(crate) fn tail(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(self.from.max(length.saturating_sub(TAIL_BYTES))))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let text = read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        last_lines(&text)
    }
}

/// The last lines of a text, or a remark that there are none.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return "(nothing was printed)".to_owned();
    }
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn shows_this_start_only_and_turns_over() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::resolve(&folder.path().join("postgres"), true).unwrap();
        std::fs::write(layout.beside(".log"), "of yesterday\n").unwrap();
        let (log, mut file) = Log::open(&layout).unwrap();
        assert_eq!(log.tail(), "(nothing was printed)");
        for line in 0..40 {
            writeln!(file, "line {line}").unwrap();
        }
        let tail = log.tail();
        assert!(tail.starts_with("line 25") && tail.ends_with("line 39"), "{tail}");

        file.write_all(&vec![b'x'; usize::try_from(TURN_OVER_BYTES).unwrap()]).unwrap();
        Log::open(&layout).unwrap();
        assert_eq!(layout.beside(".log").metadata().unwrap().len(), 0);
        assert!(layout.beside(".log.1").metadata().unwrap().len() > TURN_OVER_BYTES);
    }
}
