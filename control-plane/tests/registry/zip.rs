//! Writes zips byte by byte, right ones and such as no tool would write.

use std::io::Write;

/// One entry as its two headers describe it. Whatever differs from a right zip is set by hand.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    /// Name in the header before the content; else the same.
    pub(crate) local_name: Option<Vec<u8>>,
    /// As it stands in the file.
    pub(crate) content: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    pub(crate) crc: u32,
    pub(crate) local_crc: Option<u32>,
    pub(crate) size: u32,
    pub(crate) mode: u32,
    pub(crate) extra: Vec<u8>,
    pub(crate) local_extra: Vec<u8>,
    pub(crate) comment: Vec<u8>,
    /// Bytes between the entry before and this one.
    pub(crate) gap: Vec<u8>,
    /// Bytes behind the content.
    pub(crate) behind: Vec<u8>,
    /// No header and content of its own: the directory points to the entry of this number.
    pub(crate) same_place_as: Option<usize>,
}

impl Entry {
    /// A stored file.
    pub(crate) fn stored(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref().to_vec();
        Self {
            name: name.as_ref().to_vec(),
            local_name: None,
            method: 0,
            flags: 0,
            crc: crc32fast::hash(&content),
            local_crc: None,
            size: u32::try_from(content.len()).unwrap(),
            mode: if name.as_ref().ends_with(b"/") { 0o040_755 } else { 0o100_644 },
            extra: Vec::new(),
            local_extra: Vec::new(),
            comment: Vec::new(),
            gap: Vec::new(),
            behind: Vec::new(),
            same_place_as: None,
            content,
        }
    }

    /// A deflated file.
    pub(crate) fn deflated(name: &str, content: impl AsRef<[u8]>) -> Self {
        let packed = miniz_oxide::deflate::compress_to_vec(content.as_ref(), 6);
        let mut entry = Self::stored(name, content);
        entry.method = 8;
        entry.content = packed;
        entry
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn common(&self, out: &mut Vec<u8>, crc: u32) {
        for short in [self.flags, self.method, 0, 0x21] {
            out.extend(short.to_le_bytes());
        }
        out.extend(crc.to_le_bytes());
        out.extend(u32::try_from(self.content.len()).unwrap().to_le_bytes());
        out.extend(self.size.to_le_bytes());
    }
}

/// A zip and what is odd about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zip {
    pub(crate) entries: Vec<Entry>,
    pub(crate) before: Vec<u8>,
    pub(crate) before_directory: Vec<u8>,
    pub(crate) before_end: Vec<u8>,
    pub(crate) comment: Vec<u8>,
    pub(crate) after: Vec<u8>,
    /// Number of entries that the end record says.
    pub(crate) count: Option<u16>,
    pub(crate) directory_start: Option<u32>,
}

impl Zip {
    /// Deflated files.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self::new(files.iter().map(|(name, content)| Entry::deflated(name, content)).collect())
    }

    pub(crate) fn new(entries: Vec<Entry>) -> Self {
        Self { entries, ..Self::default() }
    }

    /// The smallest one of a package.
    pub(crate) fn package(name: &str) -> Self {
        Self::of(&[("composer.json", &format!(r#"{{"name": "{name}"}}"#)), ("src/A.php", "<?php\n")])
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn and(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = self.before.clone();
        let mut offsets: Vec<u32> = Vec::new();
        for entry in &self.entries {
            if let Some(other) = entry.same_place_as {
                offsets.push(offsets[other]);
                continue;
            }
            out.extend(&entry.gap);
            offsets.push(u32::try_from(out.len()).unwrap());
            let name = entry.local_name.as_ref().unwrap_or(&entry.name);
            out.extend(b"PK\x03\x04\x14\x00");
            entry.common(&mut out, entry.local_crc.unwrap_or(entry.crc));
            out.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            out.extend(u16::try_from(entry.local_extra.len()).unwrap().to_le_bytes());
            out.write_all(name).unwrap();
            out.extend(&entry.local_extra);
            out.extend(&entry.content);
            out.extend(&entry.behind);
        }
        out.extend(&self.before_directory);
        let start = out.len();
        for (entry, offset) in self.entries.iter().zip(offsets) {
            out.extend(b"PK\x01\x02\x14\x03\x14\x00");
            entry.common(&mut out, entry.crc);
            for length in [entry.name.len(), entry.extra.len(), entry.comment.len(), 0, 0] {
                out.extend(u16::try_from(length).unwrap().to_le_bytes());
            }
            out.extend((entry.mode << 16).to_le_bytes());
            out.extend(offset.to_le_bytes());
            out.extend(&entry.name);
            out.extend(&entry.extra);
            out.extend(&entry.comment);
        }
        let size = u32::try_from(out.len() - start).unwrap();
        out.extend(&self.before_end);
        let count = self.count.unwrap_or(u16::try_from(self.entries.len()).unwrap());
        out.extend(b"PK\x05\x06\x00\x00\x00\x00");
        out.extend(count.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend(self.directory_start.unwrap_or(u32::try_from(start).unwrap()).to_le_bytes());
        out.extend(u16::try_from(self.comment.len()).unwrap().to_le_bytes());
        out.extend(&self.comment);
        out.extend(&self.after);
        out
    }
}
