//! Decides how a file's content stands in an archive, once per distinct content: deflated when that is smaller, else as it is.
//! Many versions share most files, so archives are put together from these pieces.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

use git2::Oid;
use libdeflater::{CompressionLvl, Compressor};

/// Part of the bytes that are stored for ever: a change makes other archives of the same commits.
const LEVEL: i32 = 6;
/// Small pieces stay in memory up to this sum; the rest waits in a file without a name.
const MEMORY: usize = 64 << 20;
const SMALL: usize = 64 << 10;

/// A content as it stands in an archive.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// CRC-32 of the content.
    pub(super) crc: u32,
    /// Bytes of the content.
    pub(super) raw: u32,
    /// Bytes in the archive.
    pub(super) packed: u32,
    /// Whether they are deflated.
    pub(super) deflated: bool,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Memory(Rc<[u8]>),
    Scratch(u64),
}

/// All pieces of one sync.
pub(super) struct Pieces {
    known: HashMap<Oid, Piece>,
    compressor: Compressor,
    buffer: Vec<u8>,
    in_memory: usize,
    scratch: Scratch,
}

impl Pieces {
    /// An empty set; large pieces go to a nameless file in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        // The level is a constant inside the library's range, so its default never stands in.
        let level = CompressionLvl::new(LEVEL).unwrap_or_default();
        let scratch = Scratch { folder: folder.to_owned(), file: OnceCell::new(), length: 0 };
        Self { known: HashMap::new(), compressor: Compressor::new(level), buffer: Vec::new(), in_memory: 0, scratch }
    }

    pub(super) fn get(&self, oid: Oid) -> Option<&Piece> {
        self.known.get(&oid)
    }

    /// Adds a content. It must be shorter than 4 GiB; limits see to that.
    pub(super) fn add(&mut self, oid: Oid, content: &[u8]) -> io::Result<()> {
        let raw = u32::try_from(content.len()).map_err(io::Error::other)?;
        self.buffer.resize(self.compressor.deflate_compress_bound(content.len()), 0);
        let packed = self.compressor.deflate_compress(content, &mut self.buffer).map_err(io::Error::other)?;
        let deflated = packed < content.len();
        let bytes = if deflated { self.buffer.get(..packed).unwrap_or_default() } else { content };
        let place = if bytes.len() <= SMALL && self.in_memory + bytes.len() <= MEMORY {
            self.in_memory += bytes.len();
            Place::Memory(bytes.into())
        } else {
            Place::Scratch(self.scratch.append(bytes)?)
        };
        let packed = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.known.insert(oid, Piece { crc: crc32fast::hash(content), raw, packed, deflated, place });
        if self.buffer.capacity() > MEMORY {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Writes a piece's bytes.
    pub(super) fn write(&self, piece: &Piece, out: &mut impl Write) -> io::Result<()> {
        match &piece.place {
            Place::Memory(bytes) => out.write_all(bytes),
            Place::Scratch(offset) => self.scratch.copy(*offset, piece.packed as usize, out),
        }
    }
}

struct Scratch {
    folder: std::path::PathBuf,
    file: OnceCell<File>,
    length: u64,
}

impl Scratch {
    fn open(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let path = self.folder.join(format!(".scratch-{}-{:p}", std::process::id(), self));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        // Without a name it goes away with the process, however that ends.
        std::fs::remove_file(&path)?;
        Ok(self.file.get_or_init(|| file))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let offset = self.length;
        self.open()?.write_all_at(bytes, offset)?;
        self.length += bytes.len() as u64;
        Ok(offset)
    }

    fn copy(&self, offset: u64, length: usize, out: &mut impl Write) -> io::Result<()> {
        let file = self.open()?;
        let mut buffer = vec![0; length.min(1 << 18)];
        let mut done = 0;
        while done < length {
            let part = (length - done).min(buffer.len());
            let part = buffer.get_mut(..part).unwrap_or_default();
            file.read_exact_at(part, offset + done as u64)?;
            out.write_all(part)?;
            done += part.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut pieces = Pieces::new(folder.path());
        let mut noise = vec![0u8; 300_000];
        let mut state = 1u32;
        for byte in &mut noise {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        let contents = [Vec::new(), b"x".to_vec(), b"hello ".repeat(1000), noise, b"other".to_vec()];
        for (index, content) in contents.iter().enumerate() {
            pieces.add(Oid::from_bytes(&[index as u8; 20]).unwrap(), content).unwrap();
        }
        for (index, content) in contents.iter().enumerate() {
            let piece = pieces.get(Oid::from_bytes(&[index as u8; 20]).unwrap()).unwrap();
            let mut packed = Vec::new();
            pieces.write(piece, &mut packed).unwrap();
            assert_eq!(packed.len(), piece.packed as usize);
            let mut back = vec![0; content.len()];
            if piece.deflated {
                libdeflater::Decompressor::new().deflate_decompress(&packed, &mut back).unwrap();
            } else {
                back = packed;
            }
            assert_eq!(&back, content);
            assert_eq!(piece.crc, crc32fast::hash(content));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the scratch file has no name");
    }
}
