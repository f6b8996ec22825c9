//! Reads the content of one entry in pieces: it must inflate to exactly the size and the checksum that its headers say, and take
//! exactly the bytes that they give it. Never holds more than one piece, but for a composer.json.

use std::fs::File;
use std::os::unix::fs::FileExt;

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use crate::upload::Refused;
use crate::upload::directory::Entry;

const PIECE: usize = 64 << 10;

/// Checks an entry's content; with `keep`, its bytes.
pub(super) fn check(file: &File, entry: &Entry, keep: bool) -> Result<Option<Vec<u8>>, Refused> {
    let mut taken = Taken { entry, crc: crc32fast::Hasher::new(), size: 0, kept: keep.then(Vec::new) };
    let mut packed = Packed { file, at: entry.start, end: entry.start + entry.packed };
    match entry.deflated {
        true => inflate_all(&mut packed, &mut taken)?,
        false => {
            let mut buffer = vec![0; PIECE];
            while let Some(piece) = packed.next(&mut buffer)? {
                taken.take(piece)?;
            }
        }
    }
    taken.finish()
}

fn inflate_all(packed: &mut Packed<'_>, taken: &mut Taken<'_>) -> Result<(), Refused> {
    let damaged = |entry: &Entry| Refused::entry(&entry.name, "is damaged: its deflated content cannot be read");
    let mut state = InflateState::new_boxed(DataFormat::Raw);
    let (mut input, mut output) = (vec![0; PIECE], vec![0; PIECE]);
    while let Some(mut piece) = packed.next(&mut input)? {
        loop {
            let step = inflate(&mut state, piece, &mut output, MZFlush::None);
            taken.take(output.get(..step.bytes_written).unwrap_or_default())?;
            piece = piece.get(step.bytes_consumed..).unwrap_or_default();
            match step.status {
                Ok(MZStatus::StreamEnd) if piece.is_empty() && packed.is_over() => return Ok(()),
                Ok(MZStatus::StreamEnd) => {
                    return Err(Refused::entry(&taken.entry.name, "has bytes behind the end of its deflated content"));
                }
                // Nothing more without more input.
                Err(MZError::Buf) => break,
                Ok(_) if piece.is_empty() && step.bytes_written < output.len() => break,
                Ok(_) => {}
                Err(_) => return Err(damaged(taken.entry)),
            }
        }
    }
    Err(damaged(taken.entry))
}

/// The bytes of an entry in the file.
struct Packed<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Packed<'_> {
    fn is_over(&self) -> bool {
        self.at == self.end
    }

    fn next<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Refused> {
        if self.is_over() {
            return Ok(None);
        }
        let length = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let piece = buffer.get_mut(..length).unwrap_or_default();
        self.file.read_exact_at(piece, self.at)?;
        self.at += length as u64;
        Ok(Some(piece))
    }
}

/// What came out so far.
struct Taken<'a> {
    entry: &'a Entry,
    crc: crc32fast::Hasher,
    size: u64,
    kept: Option<Vec<u8>>,
}

impl Taken<'_> {
    fn take(&mut self, piece: &[u8]) -> Result<(), Refused> {
        self.size += piece.len() as u64;
        if self.size > self.entry.size {
            return Err(Refused::entry(&self.entry.name, "holds more than it says"));
        }
        self.crc.update(piece);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(piece);
        }
        Ok(())
    }

    fn finish(self) -> Result<Option<Vec<u8>>, Refused> {
        if self.size != self.entry.size {
            return Err(Refused::entry(&self.entry.name, "holds less than it says"));
        }
        if self.crc.finalize() != self.entry.crc {
            return Err(Refused::entry(&self.entry.name, "is damaged: its checksum is another one"));
        }
        Ok(self.kept)
    }
}
