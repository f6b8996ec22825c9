//! One file of the spool: whole lines of JSON, each one event. Its name is a random UUID, and the id of the batch it will be.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

/// The file that is being written.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: Uuid,
    pub(super) events: usize,
    pub(super) bytes: u64,
    file: File,
}

impl Open {
    /// Makes a new file. Ids grow with time, so that names tell the order.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let id = Uuid::now_v7();
        let file = File::options().append(true).create_new(true).mode(0o600).open(path(folder, id))?;
        Ok(Self { id, events: 0, bytes: 0, file })
    }

    /// Adds one line, its end included, in one write. After an error nothing may be added any more: the last line may be torn.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let written = self.file.write(line)?;
        if written < line.len() {
            // The disk is full, or nearly so: without its end the rest would grow together with the next line.
            self.file.set_len(self.bytes)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.events += 1;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

/// Where a segment lies.
pub(super) fn path(folder: &Path, id: Uuid) -> PathBuf {
    folder.join(id.to_string())
}

/// What a segment holds, ready to be sent. Events stay as they were written, so that those of another release pass through.
#[derive(Debug, Serialize)]
pub(crate) struct Batch {
    pub(crate) id: Uuid,
    pub(crate) events: Vec<Box<RawValue>>,
}

/// Reads a segment. A torn last line, left by a kill in the middle of a write, is no event: nobody was told that it was kept.
pub(super) fn read(folder: &Path, id: Uuid) -> io::Result<Batch> {
    let bytes = fs::read(path(folder, id))?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = bytes.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut events = Vec::new();
    let mut unreadable = 0_usize;
    for line in lines {
        match serde_json::from_slice(line) {
            Ok(event) => events.push(event),
            Err(_) => unreadable += 1,
        }
    }
    if unreadable > 0 {
        tracing::error!(target: "cargoman::edge", segment = %id, unreadable, "lines of the spool cannot be read");
    }
    Ok(Batch { id, events })
}

/// The segments that lie in a folder, oldest first, with their sizes.
pub(super) fn scan(folder: &Path) -> io::Result<Vec<(Uuid, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let id = entry.file_name().to_str().and_then(|name| Uuid::try_parse(name).ok());
        if let Some(id) = id {
            found.push((id, entry.metadata()?.len()));
        }
    }
    found.sort_unstable();
    Ok(found)
}
