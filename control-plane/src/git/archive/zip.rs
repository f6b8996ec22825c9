//! Decides the bytes of a zip archive: sizes and checksums in front of each file, no data descriptors, no extra fields, no
//! comments, no zip64, one fixed date. The same entries give the same bytes on every machine, for ever.

use std::io::{self, Write};

use super::piece::{Piece, Pieces};

const UTF8: u16 = 1 << 11;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// 2.0: folders and deflate.
const NEEDED: u16 = 20;
/// Made by Unix, version 2.0: the upper half of the external attributes is a Unix mode.
const MADE_BY: u16 = 3 << 8 | 20;

/// DOS date and time in UTC: even seconds, between 1980 and 2107.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DosTime {
    date: u16,
    time: u16,
}

impl DosTime {
    /// From seconds since 1970; what DOS cannot say becomes the nearest that it can.
    pub(super) fn new(seconds: i64) -> Self {
        use chrono::{DateTime, Datelike, Timelike};
        // 1980-01-01 00:00:00 and 2107-12-31 23:59:58.
        let moment = DateTime::from_timestamp(seconds.clamp(315_532_800, 4_354_819_198), 0).unwrap_or_default();
        let part = |number: u32| u16::try_from(number).unwrap_or(0);
        let year = u16::try_from(moment.year() - 1980).unwrap_or(0);
        Self {
            date: year << 9 | part(moment.month()) << 5 | part(moment.day()),
            time: part(moment.hour()) << 11 | part(moment.minute()) << 5 | part(moment.second() / 2),
        }
    }
}

/// Writes one archive.
pub(super) struct ZipWriter<W> {
    out: W,
    written: u64,
    time: DosTime,
    directory: Vec<u8>,
    entries: u16,
}

impl<W: Write> ZipWriter<W> {
    pub(super) fn new(out: W, time: DosTime) -> Self {
        Self { out, written: 0, time, directory: Vec::new(), entries: 0 }
    }

    /// Adds a folder; `path` ends in a slash.
    pub(super) fn folder(&mut self, path: &str) -> io::Result<()> {
        let header = Header { crc: 0, raw: 0, packed: 0, method: STORED, attributes: 0o040_755 << 16 | 0x10 };
        self.entry(path, &header)
    }

    /// Adds a file or symbolic link.
    pub(super) fn file(&mut self, path: &str, mode: u32, piece: &Piece, pieces: &Pieces) -> io::Result<()> {
        let method = if piece.deflated { DEFLATED } else { STORED };
        self.entry(
            path,
            &Header { crc: piece.crc, raw: piece.raw, packed: piece.packed, method, attributes: mode << 16 },
        )?;
        pieces.write(piece, &mut self.out)?;
        self.written += u64::from(piece.packed);
        Ok(())
    }

    fn entry(&mut self, path: &str, header: &Header) -> io::Result<()> {
        let offset = u32::try_from(self.written).map_err(|_| too_large())?;
        let length = u16::try_from(path.len()).map_err(|_| too_large())?;
        self.entries = self.entries.checked_add(1).filter(|entries| *entries < u16::MAX).ok_or_else(too_large)?;
        let shared = header.shared(path, self.time, length);
        let mut local = Vec::with_capacity(30 + path.len());
        local.extend_from_slice(b"PK\x03\x04");
        local.extend_from_slice(&shared);
        local.extend_from_slice(path.as_bytes());
        self.out.write_all(&local)?;
        self.written += local.len() as u64;

        let directory = &mut self.directory;
        directory.extend_from_slice(b"PK\x01\x02");
        directory.extend_from_slice(&MADE_BY.to_le_bytes());
        directory.extend_from_slice(&shared);
        // Comment length, disk, internal attributes.
        directory.extend_from_slice(&[0; 6]);
        directory.extend_from_slice(&header.attributes.to_le_bytes());
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(path.as_bytes());
        Ok(())
    }

    /// Writes the directory; gives back the sink.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let offset = u32::try_from(self.written).map_err(|_| too_large())?;
        let length = u32::try_from(self.directory.len()).map_err(|_| too_large())?;
        self.out.write_all(&self.directory)?;
        let mut end = Vec::with_capacity(22);
        end.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        end.extend_from_slice(&self.entries.to_le_bytes());
        end.extend_from_slice(&self.entries.to_le_bytes());
        end.extend_from_slice(&length.to_le_bytes());
        end.extend_from_slice(&offset.to_le_bytes());
        end.extend_from_slice(&[0; 2]);
        self.out.write_all(&end)?;
        Ok(self.out)
    }
}

fn too_large() -> io::Error {
    io::Error::other("the archive would need zip64")
}

struct Header {
    crc: u32,
    raw: u32,
    packed: u32,
    method: u16,
    attributes: u32,
}

impl Header {
    /// The 26 bytes that a file's own header and its line in the directory have in common.
    fn shared(&self, path: &str, time: DosTime, length: u16) -> [u8; 26] {
        let flags = if path.is_ascii() { 0 } else { UTF8 };
        let mut out = [0; 26];
        for (at, short) in [(0, NEEDED), (2, flags), (4, self.method), (6, time.time), (8, time.date), (22, length)] {
            out[at..at + 2].copy_from_slice(&u16::to_le_bytes(short));
        }
        for (at, long) in [(10, self.crc), (14, self.packed), (18, self.raw)] {
            out[at..at + 4].copy_from_slice(&u32::to_le_bytes(long));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, date, time) in [
            (0, 0x21, 0),
            (i64::MIN, 0x21, 0),
            (315_532_800, 0x21, 0),
            (1_700_000_001, 43 << 9 | 11 << 5 | 14, 22 << 11 | 13 << 5 | 10),
            (i64::MAX, 127 << 9 | 12 << 5 | 31, 23 << 11 | 59 << 5 | 29),
        ] {
            assert_eq!(DosTime::new(seconds), DosTime { date, time }, "{seconds}");
        }
    }

    #[test]
    fn an_empty_archive_is_22_bytes() {
        let bytes = ZipWriter::new(Vec::new(), DosTime::new(0)).finish().unwrap();
        assert_eq!(bytes, b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    }
}
