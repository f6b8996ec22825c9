//! Reads the structure of a zip: the end record, the central directory, the header before each content. Everything must be where
//! it should be, without gaps, and both headers of an entry must say the same.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::upload::{Limits, Refused, name};

const END: [u8; 4] = *b"PK\x05\x06";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";
const END_LENGTH: u64 = 22;
const CENTRAL_LENGTH: usize = 46;
const LOCAL_LENGTH: usize = 30;
/// Names and extra fields of 50,000 entries and much room: a directory is held in memory as a whole.
const MOST_DIRECTORY: u64 = 32 << 20;

/// Flags that an entry may carry: how hard it was deflated, and that its name is UTF-8.
const KNOWN_FLAGS: u16 = DEFLATE_EFFORT | UTF8;
const DEFLATE_EFFORT: u16 = 0b110;
const UTF8: u16 = 1 << 11;
const DESCRIPTOR: u16 = 1 << 3;
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// Extra fields that change what an entry is.
const ZIP64: u16 = 0x0001;
const UNICODE_PATH: u16 = 0x7075;
const UNICODE_COMMENT: u16 = 0x6375;
const AES: u16 = 0x9901;
/// PKWARE's strong encryption.
const ENCRYPTION_HEADER: u16 = 0x0017;

/// Type bits of a Unix mode.
const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
const SPECIAL_BITS: u32 = 0o7_000;

/// One entry.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// As it is unpacked; a folder's ends with a slash.
    pub(super) name: String,
    /// Whether it is a folder.
    pub(super) folder: bool,
    /// Whether the content is deflated.
    pub(super) deflated: bool,
    /// CRC-32 of the content.
    pub(super) crc: u32,
    /// Bytes of the content.
    pub(super) size: u64,
    /// Where the content begins in the file.
    pub(super) start: u64,
    /// Bytes it takes in the file.
    pub(super) packed: u64,
}

/// The entries of a zip, in the order in which they stand in the file.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) entries: Vec<Entry>,
}

impl Directory {
    /// Reads and checks the structure; contents are not looked at.
    pub(super) fn read(file: &File, length: u64, limits: Limits) -> Result<Self, Refused> {
        let (count, start) = end_record(file, length)?;
        if count > limits.entries {
            return Err(Refused::zip(format!("the zip has {count} entries; at most {} are taken", limits.entries)));
        }
        let size = length - END_LENGTH - start;
        if size > MOST_DIRECTORY {
            return Err(Refused::zip("the central directory of the zip is larger than 32 MiB"));
        }
        let bytes = read_at(file, start, usize::try_from(size).unwrap_or_default())?;
        let mut headers = Vec::with_capacity(count);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (header, after) = Central::read(rest)?;
            headers.push(header);
            rest = after;
        }
        if headers.len() != count {
            return Err(Refused::zip(format!("the zip has {} entries but its end record says {count}", headers.len())));
        }
        headers.sort_by_key(|header| header.offset);
        let mut entries = Vec::with_capacity(count);
        let mut at = 0;
        for header in headers {
            if u64::from(header.offset) != at {
                return Err(Refused::entry(
                    &header.name,
                    "does not follow the one before it: every byte of the zip must belong to one entry",
                ));
            }
            let entry = header.local(file, start)?;
            at = entry.start + entry.packed;
            entries.push(entry);
        }
        if at != start {
            return Err(Refused::zip("there are bytes between the last entry of the zip and its central directory"));
        }
        Ok(Self { entries })
    }
}

/// Number of entries, and where the central directory begins; it must reach up to the end record.
fn end_record(file: &File, length: u64) -> Result<(usize, u64), Refused> {
    let Some(at) = length.checked_sub(END_LENGTH) else {
        return Err(Refused::zip("this is no zip: it is too short"));
    };
    let record = read_at(file, at, END_LENGTH as usize)?;
    let mut reader = Reader(&record);
    if reader.signature()? != END {
        return Err(Refused::zip(
            "the zip must end with its end record, without a comment or anything else behind it; `git archive` writes a \
             comment unless it is given a tree such as `v1.0.0^{tree}`, and `zip -z` takes one away",
        ));
    }
    let (disk, first_disk) = (reader.short()?, reader.short()?);
    let (here, all) = (reader.short()?, reader.short()?);
    let (size, start) = (reader.long()?, reader.long()?);
    let comment = reader.short()?;
    if disk != 0 || first_disk != 0 || here != all || comment != 0 {
        return Err(Refused::zip("the end record of the zip speaks of several disks or of a comment"));
    }
    if all == u16::MAX || size == u32::MAX || start == u32::MAX {
        return Err(Refused::zip("the zip is in the zip64 form, which no archive of an acceptable size needs"));
    }
    match u64::from(start) + u64::from(size) == at {
        true => Ok((usize::from(all), u64::from(start))),
        false => Err(Refused::zip(
            "the central directory of the zip is not where its end record says: something stands before, between or behind",
        )),
    }
}

/// What both headers of an entry say.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Common {
    flags: u16,
    method: u16,
    time: u16,
    date: u16,
    crc: u32,
    packed: u32,
    size: u32,
}

impl Common {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        Ok(Self {
            flags: reader.short()?,
            method: reader.short()?,
            time: reader.short()?,
            date: reader.short()?,
            crc: reader.long()?,
            packed: reader.long()?,
            size: reader.long()?,
        })
    }

    fn check(self, name: &str, folder: bool) -> Result<(), Refused> {
        let problem = match self {
            _ if self.flags & ENCRYPTED != 0 => "is encrypted",
            _ if self.flags & DESCRIPTOR != 0 => {
                "has a data descriptor, which readers take differently; write the zip to a file, not to a pipe (`zip -r`)"
            }
            _ if self.flags & !KNOWN_FLAGS != 0 => "carries flags that readers take differently",
            _ if self.method != STORED && self.method != DEFLATED => {
                "is packed by another method than deflate, which PHP may not know"
            }
            _ if self.packed == u32::MAX || self.size == u32::MAX => {
                "is in the zip64 form, which no archive of an acceptable size needs"
            }
            _ if self.method == STORED && self.packed != self.size => "is stored as it is but has two sizes",
            _ if folder && self.size != 0 => "is a folder with a content",
            _ => return Ok(()),
        };
        Err(Refused::entry(name, problem))
    }
}

/// An entry of the central directory.
#[derive(Debug)]
struct Central {
    common: Common,
    name: String,
    raw_name: Vec<u8>,
    folder: bool,
    offset: u32,
}

impl Central {
    /// The first entry of `bytes`, and what follows it.
    fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Refused> {
        let mut reader = Reader(bytes);
        if reader.signature()? != CENTRAL {
            return Err(Refused::zip("the central directory of the zip holds something that is no entry"));
        }
        let (_made_by, _needed) = (reader.short()?, reader.short()?);
        let common = Common::read(&mut reader)?;
        let (name, extra, comment) = (reader.short()?, reader.short()?, reader.short()?);
        let disk = reader.short()?;
        let _internal = reader.short()?;
        let external = reader.long()?;
        let offset = reader.long()?;
        debug_assert_eq!(bytes.len() - reader.0.len(), CENTRAL_LENGTH);
        let raw_name = reader.take(usize::from(name))?;
        let (name, folder) = name::check(raw_name, common.flags & UTF8 != 0)?;
        check_extra(&name, reader.take(usize::from(extra))?)?;
        if comment != 0 || disk != 0 {
            return Err(Refused::entry(&name, "has a comment or lies on another disk"));
        }
        common.check(&name, folder)?;
        check_mode(&name, folder, external)?;
        Ok((Self { common, raw_name: raw_name.to_vec(), name, folder, offset }, reader.0))
    }

    /// Reads the header before the content, which must say the same.
    fn local(self, file: &File, directory: u64) -> Result<Entry, Refused> {
        let offset = u64::from(self.offset);
        let broken = || Refused::entry(&self.name, "reaches into the central directory");
        if offset + LOCAL_LENGTH as u64 > directory {
            return Err(broken());
        }
        let header = read_at(file, offset, LOCAL_LENGTH)?;
        let mut reader = Reader(&header);
        if reader.signature()? != LOCAL {
            return Err(Refused::entry(&self.name, "is not where the central directory says"));
        }
        let _needed = reader.short()?;
        let common = Common::read(&mut reader)?;
        let (name, extra) = (reader.short()?, reader.short()?);
        let variable = usize::from(name) + usize::from(extra);
        let start = offset + (LOCAL_LENGTH + variable) as u64;
        if start + u64::from(self.common.packed) > directory {
            return Err(broken());
        }
        let rest = read_at(file, offset + LOCAL_LENGTH as u64, variable)?;
        let mut reader = Reader(&rest);
        let raw_name = reader.take(usize::from(name))?;
        check_extra(&self.name, reader.0)?;
        if common != self.common || raw_name != self.raw_name {
            return Err(Refused::entry(
                &self.name,
                "says one thing in the central directory and another before its content",
            ));
        }
        Ok(Entry {
            name: self.name,
            folder: self.folder,
            deflated: common.method == DEFLATED,
            crc: common.crc,
            size: u64::from(common.size),
            start,
            packed: u64::from(common.packed),
        })
    }
}

fn check_extra(name: &str, bytes: &[u8]) -> Result<(), Refused> {
    let mut reader = Reader(bytes);
    while !reader.0.is_empty() {
        let (kind, length) = match (reader.short(), reader.short()) {
            (Ok(kind), Ok(length)) => (kind, length),
            _ => return Err(Refused::entry(name, "has an extra field that is cut off")),
        };
        if reader.take(usize::from(length)).is_err() {
            return Err(Refused::entry(name, "has an extra field that is cut off"));
        }
        let problem = match kind {
            ZIP64 => "is in the zip64 form, which no archive of an acceptable size needs",
            UNICODE_PATH | UNICODE_COMMENT => "has a second name in an extra field, which readers take differently",
            AES | ENCRYPTION_HEADER => "is encrypted",
            _ => continue,
        };
        return Err(Refused::entry(name, problem));
    }
    Ok(())
}

/// The upper half of the attributes is a Unix mode, or nothing; of the lower one bit says folder.
fn check_mode(name: &str, folder: bool, external: u32) -> Result<(), Refused> {
    const DOS_FOLDER: u32 = 0x10;
    let mode = external >> 16;
    let wanted = if folder { FOLDER } else { REGULAR };
    let problem = match mode & TYPE {
        LINK => "is a symbolic link; put the file itself into the zip (`zip -r` without -y)",
        kind if kind != 0 && kind != wanted => "is neither a file nor a folder, or its name says the other one",
        _ if mode & SPECIAL_BITS != 0 => "has a setuid, setgid or sticky bit; take it away with chmod",
        _ if !folder && external & DOS_FOLDER != 0 => "is marked as a folder but its name is a file's",
        _ => return Ok(()),
    };
    Err(Refused::entry(name, problem))
}

fn read_at(file: &File, at: u64, length: usize) -> Result<Vec<u8>, Refused> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

/// Reads numbers, lowest byte first.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Refused> {
        let cut = || Refused::zip("the zip is cut off in the middle of a header");
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(cut)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn signature(&mut self) -> Result<[u8; 4], Refused> {
        self.array()
    }

    fn short(&mut self) -> Result<u16, Refused> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn long(&mut self) -> Result<u32, Refused> {
        Ok(u32::from_le_bytes(self.array()?))
    }
}
