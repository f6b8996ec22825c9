//! Counts what a client sends beside requests. h2 answers or ignores such frames and goes on for ever; a client that sends thousands
//! of them and asks nothing is no client (E-R13). Knows the nine bytes before a frame (RFC 9113, 4.1) and nothing of what is in it.

/// The bytes before each frame.
const HEAD: usize = 9;
/// What a connection begins with (RFC 9113, 3.4).
const PREFACE: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// Where in the stream of frames we are.
#[derive(Debug)]
pub(super) struct Frames {
    head: [u8; HEAD],
    filled: usize,
    /// Bytes that belong to what came before.
    skip: usize,
    /// Since the last request.
    beside: u64,
}

impl Frames {
    pub(super) const fn new() -> Self {
        Self { head: [0; HEAD], filled: 0, skip: PREFACE, beside: 0 }
    }

    /// Takes in what was read.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let wanted = (HEAD - self.filled).min(bytes.len());
            let (part, rest) = bytes.split_at(wanted);
            if let Some(place) = self.head.get_mut(self.filled..self.filled + wanted) {
                place.copy_from_slice(part);
            }
            self.filled += wanted;
            bytes = rest;
            if self.filled == HEAD {
                self.begin();
            }
        }
    }

    /// Frames since the last request that were none, and no part of one.
    pub(super) const fn beside(&self) -> u64 {
        self.beside
    }

    fn begin(&mut self) {
        let [first, second, third, kind, ..] = self.head;
        self.skip = usize::from(first) << 16 | usize::from(second) << 8 | usize::from(third);
        self.filled = 0;
        match kind {
            HEADERS => self.beside = 0,
            // h2 bounds those by itself.
            DATA | CONTINUATION => {}
            _ => self.beside += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(length).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend_from_slice(&[kind, 0, 0, 0, 0, 0]);
        bytes.resize(HEAD + length, 0xff);
        bytes
    }

    fn stream(kinds: &[(u8, usize)]) -> Vec<u8> {
        let mut bytes = vec![0xff; PREFACE];
        kinds.iter().for_each(|(kind, length)| bytes.extend(frame(*kind, *length)));
        bytes
    }

    #[test]
    fn since_the_last_request() {
        let count = |kinds: &[(u8, usize)]| {
            let mut frames = Frames::new();
            frames.read(&stream(kinds));
            frames.beside()
        };
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&[(4, 0), (8, 4), (6, 8)]), 3);
        assert_eq!(count(&[(4, 0), (1, 30), (0, 100), (9, 5)]), 0);
        assert_eq!(count(&[(1, 30), (6, 8), (77, 16_000)]), 2);
    }

    proptest! {
        /// However the bytes come in.
        #[test]
        fn in_pieces(kinds in prop::collection::vec((0_u8..12, 0_usize..300), 0..20), pieces in prop::collection::vec(1_usize..40, 1..20)) {
            let bytes = stream(&kinds);
            let (mut whole, mut parts) = (Frames::new(), Frames::new());
            whole.read(&bytes);
            let (mut rest, mut sizes) = (&bytes[..], pieces.iter().cycle());
            while !rest.is_empty() {
                let (part, left) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                parts.read(part);
                rest = left;
            }
            prop_assert_eq!(whole.beside(), parts.beside());
        }
    }
}
