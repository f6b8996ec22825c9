//! The lock that makes one program the owner of a data folder. The kernel releases it when the owner dies,
//! however it dies; the file itself stays and means nothing.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::{FlockOperation, flock};

use crate::error::StartError;
use crate::settings::Layout;

/// Holds the folder until it is dropped. Children do not inherit it.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock or says who has it.
    pub(crate) fn take(layout: &Layout) -> Result<Self, StartError> {
        let path = layout.beside(".lock");
        let fail = |source| StartError::io("lock", &path, source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fail)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // The owner may not have written its pid yet.
                let _ = file.read_to_string(&mut pid);
                let pid = if pid.trim().is_empty() { "unknown" } else { pid.trim() }.to_owned();
                return Err(StartError::Locked { data: layout.data.clone(), lock: path, pid });
            }
            Err(error) => return Err(fail(error.into())),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(fail)?;
        writeln!(file, "{}", std::process::id()).map_err(fail)?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone is not enough: a child that another thread is just spawning holds a copy until it execs.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}
