//! Whether the bytes of a file are those that its digest names. They are looked at once; after that it is enough that the file looks
//! as it did then.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use cargoman_credential::Digest;
use ring::digest::{Context, SHA256};

use super::fill::FillError;
use super::shelf::Stored;

/// What a file looked like when its bytes were last checked. Its time of change tells of any write, and of its being removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file whose bytes were checked when it looked like this.
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    pub(super) look: Look,
    pub(super) stored: Arc<Stored>,
}

impl Opened {
    /// Whether it still looks so.
    pub(super) fn is_as_checked(&self) -> bool {
        look(&self.file).is_ok_and(|look| look == self.look)
    }
}

/// What a file looks like now.
pub(super) fn look(file: &File) -> io::Result<Look> {
    let metadata = file.metadata()?;
    Ok(Look {
        inode: metadata.ino(),
        size: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// Opens a file, reading all of it unless it looks as it did when that was done last.
pub(super) fn open_checked(
    path: &Path,
    sha256: &Digest,
    size: u64,
    stored: Arc<Stored>,
) -> Result<Arc<Opened>, FillError> {
    let file = Arc::new(File::open(path)?);
    let look = look(&file)?;
    if stored.checked() != Some(look) {
        if look.size != size || sum(&file)? != *sha256 {
            return Err(FillError::Mismatch("the file changed on disk"));
        }
        stored.set_checked(look);
    }
    Ok(Arc::new(Opened { file, look, stored }))
}

fn sum(file: &File) -> io::Result<Digest> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 256 << 10];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut buffer, at)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        context.update(bytes);
        at += read as u64;
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    Ok(Digest::from_bytes(out))
}
