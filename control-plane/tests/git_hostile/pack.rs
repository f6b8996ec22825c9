//! Packs as git writes them, and as it never would.

use libdeflater::{CompressionLvl, Compressor};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

pub(crate) const COMMIT: u8 = 1;
pub(crate) const TREE: u8 = 2;
pub(crate) const BLOB: u8 = 3;
const OFFSET_DELTA: u8 = 6;
const NAMED_DELTA: u8 = 7;

/// A pack that is being written: what is said of it need not be true.
pub(crate) struct Pack {
    entries: Vec<u8>,
    count: u32,
}

impl Pack {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), count: 0 }
    }

    /// Where the next entry begins.
    pub(crate) fn offset(&self) -> usize {
        12 + self.entries.len()
    }

    pub(crate) fn object(&mut self, kind: u8, content: &[u8]) -> &mut Self {
        self.entry(kind, content.len() as u64, b"", &zlib(content))
    }

    /// An entry of a kind, with a stated size, and bytes behind its head.
    pub(crate) fn entry(&mut self, kind: u8, size: u64, base: &[u8], packed: &[u8]) -> &mut Self {
        let mut byte = (kind << 4) | u8::try_from(size & 15).unwrap();
        let mut rest = size >> 4;
        while rest > 0 {
            self.entries.push(byte | 0x80);
            byte = u8::try_from(rest & 0x7f).unwrap();
            rest >>= 7;
        }
        self.entries.push(byte);
        self.entries.extend_from_slice(base);
        self.entries.extend_from_slice(packed);
        self.count += 1;
        self
    }

    /// A delta of what begins so many bytes earlier.
    pub(crate) fn offset_delta(&mut self, back: usize, delta: &[u8]) -> &mut Self {
        let mut distance = vec![u8::try_from(back & 0x7f).unwrap()];
        let mut rest = back >> 7;
        while rest > 0 {
            rest -= 1;
            distance.insert(0, u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        self.entry(OFFSET_DELTA, delta.len() as u64, &distance, &zlib(delta))
    }

    /// A delta of the object with this id.
    pub(crate) fn named_delta(&mut self, base: [u8; 20], delta: &[u8]) -> &mut Self {
        self.entry(NAMED_DELTA, delta.len() as u64, &base, &zlib(delta))
    }

    pub(crate) fn finish(&self) -> Vec<u8> {
        self.finish_as(2, self.count)
    }

    /// With another version, or another count, than is true.
    pub(crate) fn finish_as(&self, version: u32, count: u32) -> Vec<u8> {
        let mut out = [&b"PACK"[..], &version.to_be_bytes(), &count.to_be_bytes(), &self.entries].concat();
        let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &out);
        out.extend_from_slice(sum.as_ref());
        out
    }
}

pub(crate) fn zlib(content: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::fastest());
    let mut out = vec![0; compressor.zlib_compress_bound(content.len())];
    let length = compressor.zlib_compress(content, &mut out).unwrap();
    out.truncate(length);
    out
}

/// The head of a delta: sizes of base and result; then instructions.
pub(crate) fn delta(base: u64, result: u64, instructions: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for mut size in [base, result] {
        while size > 0x7f {
            out.push(u8::try_from(size & 0x7f).unwrap() | 0x80);
            size >>= 7;
        }
        out.push(u8::try_from(size).unwrap());
    }
    out.extend_from_slice(instructions);
    out
}
