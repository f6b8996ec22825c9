//! Decides the bytes of a version's dist: a zip of the commit's tree as `git archive` shows it, the same for every machine and
//! every run. Nothing is checked out; no file is named after anything that stands in the repository.
//!
//! Unlike `git archive`, contents are never converted: no `export-subst`, no `ident`, no line ends.

mod piece;
mod view;
mod zip;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use git2::Oid;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

use self::piece::Pieces;
use self::view::{Entry, EntryKind, Views};
use self::zip::{DosTime, ZipWriter};
use super::object::{Commit, ObjectError, Objects};
use super::protocol::{Dist, Limits, SkipCode};
use super::text::hex;
use crate::crash::{self, Point};

/// Composer refuses to unpack what is larger than this and more than a hundred times its packed size.
const BOMB: u64 = 50 << 20;
const BOMB_RATIO: u64 = 100;

/// Why a commit has no archive. All but `Machine` concern this version only.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    #[error("its tree holds {0}: {1}")]
    Name(&'static str, String),
    #[error("its tree {0}")]
    Limit(String),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Machine(#[from] io::Error),
}

impl ArchiveError {
    pub(super) const fn skip_code(&self) -> SkipCode {
        match self {
            Self::Object(ObjectError::Unreadable { .. }) => SkipCode::UnreadableObject,
            _ => SkipCode::Archive,
        }
    }
}

/// Makes the archives of one sync.
pub(super) struct Archiver<'a, 'mirror> {
    objects: &'a Objects<'mirror>,
    views: Views<'a, 'mirror>,
    pieces: Pieces,
    output: PathBuf,
    most_bytes: u64,
    made: HashMap<(Oid, i64), Dist>,
}

impl<'a, 'mirror> Archiver<'a, 'mirror> {
    pub(super) fn new(objects: &'a Objects<'mirror>, output: &Path, limits: &Limits) -> Self {
        Self {
            objects,
            views: Views::new(objects, limits.archive_entries),
            pieces: Pieces::new(output),
            output: output.to_owned(),
            most_bytes: limits.archive_bytes,
            made: HashMap::new(),
        }
    }

    /// The archive of a commit's tree with that date in it (seconds since 1970), complete on disk under its digest's name.
    pub(super) fn build(&mut self, commit: &Commit, date: i64) -> Result<Dist, ArchiveError> {
        if let Some(dist) = self.made.get(&(commit.tree, date)) {
            return Ok(dist.clone());
        }
        let entries = self.views.root(commit.tree)?;
        self.pack(&entries)?;
        let dist = self.write((commit.tree, date), &entries)?;
        self.made.insert((commit.tree, date), dist.clone());
        Ok(dist)
    }

    /// Sees to it that every content is there as a piece, and that the sum keeps the limits.
    fn pack(&mut self, entries: &[std::rc::Rc<Entry>]) -> Result<(), ArchiveError> {
        let mut raw = 0u64;
        let mut packed = 0u64;
        for entry in entries {
            let EntryKind::Blob(_, oid) = entry.kind else { continue };
            if self.pieces.get(oid).is_none() {
                let size = self.objects.blob_size(oid)?;
                self.check_size(raw.saturating_add(size))?;
                let pieces = &mut self.pieces;
                self.objects.blob(oid, |content| pieces.add(oid, content))??;
            }
            if let Some(piece) = self.pieces.get(oid) {
                raw = raw.saturating_add(u64::from(piece.raw));
                packed = packed.saturating_add(u64::from(piece.packed));
            }
            self.check_size(raw)?;
        }
        if raw > BOMB && raw / BOMB_RATIO >= packed {
            return Err(ArchiveError::Limit(
                "packs to less than a hundredth of its size: Composer would refuse it as a zip bomb".into(),
            ));
        }
        Ok(())
    }

    fn check_size(&self, raw: u64) -> Result<(), ArchiveError> {
        if raw > self.most_bytes {
            return Err(ArchiveError::Limit(format!("holds more than {} MiB", self.most_bytes >> 20)));
        }
        Ok(())
    }

    fn write(&self, (tree, date): (Oid, i64), entries: &[std::rc::Rc<Entry>]) -> Result<Dist, ArchiveError> {
        let partial = Partial(self.output.join(format!(".partial-{}-{tree}", std::process::id())));
        let out = BufWriter::with_capacity(1 << 18, Hashing::new(File::create(&partial.0)?));
        let mut zip = ZipWriter::new(out, DosTime::new(date));
        for entry in entries {
            match entry.kind {
                EntryKind::Folder => zip.folder(&entry.path)?,
                EntryKind::Blob(mode, oid) => {
                    let piece = self.pieces.get(oid).ok_or_else(|| io::Error::other("a piece is missing"))?;
                    zip.file(&entry.path, mode, piece, &self.pieces)?;
                }
            }
        }
        let done = zip.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        let sha256 = hex(done.sha256.finish().as_ref());
        let path = self.output.join(format!("{sha256}.zip"));
        crash::point(Point::WorkerDistWritten);
        fs::rename(&partial.0, &path)?;
        crash::point(Point::WorkerDistNamed);
        Ok(Dist { sha256, sha1: hex(done.sha1.finish().as_ref()), size: done.size, path, entries: entries.len() })
    }
}

/// A file that is removed unless it has been renamed.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // After a rename there is nothing left to remove.
        let _ = fs::remove_file(&self.0);
    }
}

/// Digests what passes through.
struct Hashing {
    out: File,
    sha1: Context,
    sha256: Context,
    size: u64,
}

impl Hashing {
    fn new(out: File) -> Self {
        Self { out, sha1: Context::new(&SHA1_FOR_LEGACY_USE_ONLY), sha256: Context::new(&SHA256), size: 0 }
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        let bytes = bytes.get(..written).unwrap_or_default();
        self.sha1.update(bytes);
        self.sha256.update(bytes);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
