//! The order of versions: PHP's `version_compare`, and a total order that agrees with it.
//!
//! PHP's comparison is not an order on every text: with a stray `#` or a separator at the end it can call `a < b` and
//! `b < a` at once. Normalized numeric versions never contain those, branch names may. Matching constraints uses PHP's
//! answer to the letter; sorting uses the total order, because Rust's sort relies on one.

use std::cmp::Ordering;

/// A version cut into comparable pieces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pieces {
    pieces: Box<[Piece]>,
    /// The canonical text ended in a separator.
    trailing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Piece {
    /// Saturates like `strtol`.
    Number(i64),
    /// The rank of a word; all unknown words are equal.
    Word(i8),
}

/// What PHP puts in the place of a number, or of the end of the text, to compare it with a word.
const NUMBER_RANK: i8 = 4;

/// Words and their ranks. A piece that merely starts with one of them counts as that word.
const RANKS: [(&str, i8); 10] = [
    ("dev", 0),
    ("alpha", 1),
    ("a", 1),
    ("beta", 2),
    ("b", 2),
    ("RC", 3),
    ("rc", 3),
    ("#", NUMBER_RANK),
    ("pl", 5),
    ("p", 5),
];

/// PHP's `version_compare($a, $b)`.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    Pieces::of(a).compare(&Pieces::of(b))
}

impl Pieces {
    pub(crate) fn of(version: &str) -> Self {
        let canonical = canonical(version);
        if canonical.is_empty() {
            return Self { pieces: Box::default(), trailing: false };
        }
        let mut pieces: Vec<&[u8]> = canonical.split(|byte| *byte == b'.').collect();
        let trailing = pieces.last().is_some_and(|piece| piece.is_empty());
        if trailing {
            pieces.pop();
        }
        Self { pieces: pieces.into_iter().map(Piece::of).collect(), trailing }
    }

    /// PHP's answer.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        if self.pieces.is_empty() || other.pieces.is_empty() {
            return other.pieces.is_empty().cmp(&self.pieces.is_empty());
        }
        let shared = self.pieces.len().min(other.pieces.len());
        for (a, b) in self.pieces.iter().zip(other.pieces.iter()) {
            match a.compare(*b) {
                Ordering::Equal => {}
                different => return different,
            }
        }
        if self.pieces.len() > shared || self.trailing {
            rest_against_end(&self.pieces[shared..], self.trailing)
        } else if other.pieces.len() > shared || other.trailing {
            rest_against_end(&other.pieces[shared..], other.trailing).reverse()
        } else {
            Ordering::Equal
        }
    }

    /// A total order: piece by piece, where the end of the text ranks between release candidates and numbers.
    pub(crate) fn total(&self, other: &Self) -> Ordering {
        self.keys().cmp(other.keys())
    }

    fn keys(&self) -> impl Iterator<Item = (i8, i64)> + '_ {
        let end = if self.trailing { (-2, 0) } else { (NUMBER_RANK, -2) };
        let empty = self.pieces.is_empty().then_some((-3, 0));
        let keys = self.pieces.iter().map(|piece| match *piece {
            Piece::Number(number) => (NUMBER_RANK, number),
            Piece::Word(NUMBER_RANK) => (NUMBER_RANK, -1),
            Piece::Word(rank) => (rank, 0),
        });
        empty.into_iter().chain(keys).chain([end])
    }
}

/// Compares what is left of one version with the end of the other.
fn rest_against_end(rest: &[Piece], trailing: bool) -> Ordering {
    for piece in rest {
        match *piece {
            Piece::Number(_) => return Ordering::Greater,
            Piece::Word(NUMBER_RANK) => {}
            Piece::Word(rank) => return rank.cmp(&NUMBER_RANK),
        }
    }
    if trailing { Ordering::Less } else { Ordering::Equal }
}

impl Piece {
    fn of(piece: &[u8]) -> Self {
        if piece.first().is_some_and(u8::is_ascii_digit) {
            let digits = piece.iter().take_while(|byte| byte.is_ascii_digit());
            let add = |sum: i64, digit: &u8| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
            return Self::Number(digits.fold(0, add));
        }
        let found = RANKS.iter().find(|(word, _)| piece.starts_with(word.as_bytes()));
        Self::Word(found.map_or(-1, |(_, rank)| *rank))
    }

    fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.cmp(&b),
            (Self::Word(a), Self::Word(b)) => a.cmp(&b),
            (Self::Number(_), Self::Word(b)) => NUMBER_RANK.cmp(&b),
            (Self::Word(a), Self::Number(_)) => a.cmp(&NUMBER_RANK),
        }
    }
}

/// One dot between any two pieces, and between digits and anything else. PHP reads a C string, so NUL ends it,
/// and leaves texts that start with `#` as they are.
fn canonical(version: &str) -> Vec<u8> {
    let bytes = version.split('\0').next().unwrap_or_default().as_bytes();
    let Some((&first, rest)) = bytes.split_first() else { return Vec::new() };
    if first == b'#' {
        return bytes.to_vec();
    }
    let mut canonical = Vec::with_capacity(bytes.len() * 2);
    canonical.push(first);
    let mut previous = first;
    for &byte in rest {
        let special = matches!(byte, b'-' | b'_' | b'+');
        let word_then_digit = is_other(previous) && byte.is_ascii_digit();
        let digit_then_word = previous.is_ascii_digit() && is_other(byte);
        let keeps = !special && (word_then_digit || digit_then_word || byte.is_ascii_alphanumeric());
        let splits = !keeps || word_then_digit || digit_then_word;
        if splits && canonical.last() != Some(&b'.') {
            canonical.push(b'.');
        }
        if keeps {
            canonical.push(byte);
        }
        previous = byte;
    }
    canonical
}

/// Neither digit nor dot.
fn is_other(byte: u8) -> bool {
    !byte.is_ascii_digit() && byte != b'.'
}
