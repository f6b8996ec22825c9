//! Package and vendor names: which texts are names at all.
//!
//! The rule is Composer's own. A name accepted here is safe in a URL path, a file name and a log line; nothing else may
//! build a `PackageName`. Whether a name *exists* is never decided here.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name accepted, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// `vendor/name` in canonical lower-case form. Cheap to clone.
#[derive(Clone)]
pub struct PackageName {
    text: Arc<str>,
    /// Position of the slash; fits because names are at most 255 bytes long.
    slash: u8,
}

/// The part before the slash, in canonical lower-case form. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VendorName(Arc<str>);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("the name is empty: write it as vendor/name")]
    Empty,
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("the name is {length} bytes long: at most {MAX_NAME_BYTES} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Not exactly one slash with something on both sides.
    #[error("`{name}` is not of the form vendor/name")]
    Shape {
        /// The text as given.
        name: String,
    },
    /// Upper-case letters: names are lower-case everywhere.
    #[error("`{name}` contains the upper-case letter `{letter}`: use `{suggestion}`")]
    UpperCase {
        /// The text as given.
        name: String,
        /// The first upper-case letter.
        letter: char,
        /// The same text in lower case.
        suggestion: String,
    },
    /// A character that may not be there, or not at this place.
    #[error(
        "`{name}`: `{character}` at byte {position} is not allowed there; words of a-z and 0-9 may be joined by one of . _ -"
    )]
    Character {
        /// The text as given.
        name: String,
        /// The character.
        character: char,
        /// Its offset in bytes.
        position: usize,
    },
    /// A part that Windows reserves for devices.
    #[error("`{name}`: `{part}` is reserved and can be neither a vendor nor a package name")]
    Reserved {
        /// The text as given.
        name: String,
        /// The reserved part.
        part: String,
    },
    /// Ends in `.json`, which would make its metadata URL ambiguous.
    #[error("`{name}` ends in .json: use `-json` instead")]
    JsonEnding {
        /// The text as given.
        name: String,
    },
}

impl PackageName {
    /// Accepts exactly the canonical form.
    ///
    /// # Errors
    /// Says which character or part breaks the rule; for upper-case letters it suggests the lower-case name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text)?;
        check_case(text)?;
        let shape = || NameError::Shape { name: text.to_owned() };
        let slash = text.find('/').ok_or_else(shape)?;
        let (vendor, name) = (&text[..slash], &text[slash + 1..]);
        if vendor.is_empty() || name.is_empty() || name.contains('/') {
            return Err(shape());
        }
        check_part(text, vendor, 0, 1)?;
        check_part(text, name, slash + 1, 2)?;
        if text.ends_with(".json") {
            return Err(NameError::JsonEnding { name: text.to_owned() });
        }
        Ok(Self { text: text.into(), slash: u8::try_from(slash).map_err(|_| shape())? })
    }

    /// Like [`parse`](Self::parse) after putting ASCII letters in lower case, as Composer does with names that users type.
    ///
    /// # Errors
    /// As `parse`, save for upper case.
    pub fn parse_lowercasing(text: &str) -> Result<Self, NameError> {
        check_length(text)?;
        Self::parse(&text.to_ascii_lowercase())
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the slash.
    #[must_use]
    pub fn vendor(&self) -> &str {
        &self.text[..usize::from(self.slash)]
    }

    /// The part after the slash.
    #[must_use]
    pub fn short_name(&self) -> &str {
        &self.text[usize::from(self.slash) + 1..]
    }

    /// The part before the slash, as its own type.
    #[must_use]
    pub fn vendor_name(&self) -> VendorName {
        VendorName(self.vendor().into())
    }
}

impl VendorName {
    /// Accepts exactly the canonical form of a vendor.
    ///
    /// # Errors
    /// Says which character breaks the rule; for upper-case letters it suggests the lower-case name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_length(text)?;
        check_case(text)?;
        check_part(text, text, 0, 1)?;
        Ok(Self(text.into()))
    }

    /// Like [`parse`](Self::parse) after putting ASCII letters in lower case.
    ///
    /// # Errors
    /// As `parse`, save for upper case.
    pub fn parse_lowercasing(text: &str) -> Result<Self, NameError> {
        check_length(text)?;
        Self::parse(&text.to_ascii_lowercase())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Is this the name of something Composer finds on the machine (`php`, `ext-*`, `lib-*`, `composer-plugin-api`, …) and
/// therefore never asks a registry for? Any case, as in Composer.
#[must_use]
pub fn is_platform_package(name: &str) -> bool {
    const FIXED: [&str; 9] = [
        "php",
        "php-64bit",
        "php-ipv6",
        "php-zts",
        "php-debug",
        "hhvm",
        "composer",
        "composer-plugin-api",
        "composer-runtime-api",
    ];
    if name.len() > MAX_NAME_BYTES {
        return false;
    }
    let lower = name.to_ascii_lowercase();
    let extension = lower.strip_prefix("ext-").or_else(|| lower.strip_prefix("lib-"));
    FIXED.contains(&lower.as_str()) || extension.is_some_and(|rest| first_misplaced(rest, 1).is_none())
}

fn check_length(text: &str) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        length if length > MAX_NAME_BYTES => Err(NameError::TooLong { length }),
        _ => Ok(()),
    }
}

fn check_case(text: &str) -> Result<(), NameError> {
    match text.chars().find(char::is_ascii_uppercase) {
        Some(letter) => {
            let suggestion = text.to_ascii_lowercase();
            Err(NameError::UpperCase { name: text.to_owned(), letter, suggestion })
        }
        None => Ok(()),
    }
}

/// `part` starts at `offset` in `text`; package names may join words with two dashes, vendors only with one.
fn check_part(text: &str, part: &str, offset: usize, dashes: usize) -> Result<(), NameError> {
    const DEVICES: [&str; 22] = [
        "nul", "con", "prn", "aux", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1",
        "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
    ];
    if let Some(position) = first_misplaced(part, dashes) {
        let character = part[position..].chars().next().unwrap_or('/');
        return Err(NameError::Character { name: text.to_owned(), character, position: offset + position });
    }
    if DEVICES.contains(&part) {
        return Err(NameError::Reserved { name: text.to_owned(), part: part.to_owned() });
    }
    Ok(())
}

/// Where `part` first leaves `[a-z0-9]+` words joined by one of `.`, `_` or up to `dashes` dashes; always on a character.
fn first_misplaced(part: &str, dashes: usize) -> Option<usize> {
    let mut joiners = 0;
    let mut previous = b'.';
    for (position, byte) in part.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => joiners = 0,
            b'.' | b'_' | b'-' => {
                let continues = joiners > 0 && joiners < dashes && byte == b'-' && previous == b'-';
                if position == 0 || (joiners > 0 && !continues) {
                    return Some(position);
                }
                joiners += 1;
            }
            _ => return Some(position),
        }
        previous = byte;
    }
    if part.is_empty() { Some(0) } else { (joiners > 0).then(|| part.len() - 1) }
}

impl PartialEq for PackageName {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PackageName {}

impl PartialOrd for PackageName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PackageName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for PackageName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// The traits both names share: shown, serialized and compared as their text.
macro_rules! text_traits {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:?}", self.as_str())
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_traits!(PackageName);
text_traits!(VendorName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_composer_accepts() {
        for text in ["a/b", "0/0", "acme/pay", "a.b-c_d/e--f.g_h", "acme/a--b", "nul1/com10", "acme/json", "a/b.jsonx"]
        {
            let name = PackageName::parse(text).unwrap();
            assert_eq!(format!("{}/{}", name.vendor(), name.short_name()), text);
            assert_eq!(VendorName::parse(name.vendor()).unwrap(), name.vendor_name());
        }
    }

    #[test]
    fn refuses_with_the_place_and_the_reason() {
        let character =
            |name: &str, character, position| NameError::Character { name: name.into(), character, position };
        let shape = |name: &str| NameError::Shape { name: name.into() };
        for (text, expected) in [
            ("", NameError::Empty),
            ("acme", shape("acme")),
            ("/b", shape("/b")),
            ("a/", shape("a/")),
            ("a/b/c", shape("a/b/c")),
            ("a--b/c", character("a--b/c", '-', 2)),
            ("a/b---c", character("a/b---c", '-', 5)),
            ("a/b..c", character("a/b..c", '.', 4)),
            ("a/b-.c", character("a/b-.c", '.', 4)),
            ("a/_b", character("a/_b", '_', 2)),
            ("a/b-", character("a/b-", '-', 3)),
            ("../b", character("../b", '.', 0)),
            ("a/b\n", character("a/b\n", '\n', 3)),
            ("a/bé", character("a/bé", 'é', 3)),
            ("a/b%2f", character("a/b%2f", '%', 3)),
            ("con/b", NameError::Reserved { name: "con/b".into(), part: "con".into() }),
            ("a/lpt9", NameError::Reserved { name: "a/lpt9".into(), part: "lpt9".into() }),
            ("a/b.json", NameError::JsonEnding { name: "a/b.json".into() }),
            ("Acme/Pay", NameError::UpperCase { name: "Acme/Pay".into(), letter: 'A', suggestion: "acme/pay".into() }),
        ] {
            assert_eq!(PackageName::parse(text), Err(expected), "{text:?}");
        }
        let long = format!("a/{}", "b".repeat(254));
        assert_eq!(PackageName::parse(&long), Err(NameError::TooLong { length: 256 }));
        assert!(PackageName::parse(&long[..255]).is_ok());
    }

    #[test]
    fn lower_cases_when_asked() {
        assert_eq!(PackageName::parse_lowercasing("Acme/PAY").unwrap().as_str(), "acme/pay");
        assert_eq!(VendorName::parse_lowercasing("ACME").unwrap().as_str(), "acme");
        assert!(VendorName::parse("ACME").is_err() && VendorName::parse("a/b").is_err());
        assert!(PackageName::parse_lowercasing("CON/b").is_err());
    }

    #[test]
    fn platform_packages_are_recognised() {
        for name in
            ["php", "PHP", "php-64bit", "hhvm", "ext-json", "Ext-Zend_opcache", "lib-icu-uc", "composer-plugin-api"]
        {
            assert!(is_platform_package(name), "{name}");
        }
        for name in ["php-32bit", "ext-", "ext-a--b", "ext_json", "acme/php", "composer-api", "php\n", "lib-é", ""] {
            assert!(!is_platform_package(name), "{name}");
        }
    }

    #[test]
    fn deserializing_validates() {
        let name: PackageName = serde_json::from_str("\"acme/pay\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"acme/pay\"");
        assert!(serde_json::from_str::<PackageName>("\"Acme/pay\"").is_err());
        assert!(serde_json::from_str::<VendorName>("\"a b\"").is_err());
    }
}
