//! Decides whether a package name falls under a pattern such as `acme/*`.

use cargoman_composer::name::PackageName;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A package name in which `*` stands for any run of characters, the slash included; lower-case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PackageGlob(String);

/// The text is no pattern of package names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no package pattern: use lower-case letters, digits, `_ . - /` and `*`, for example `acme/*`")]
pub struct ParsePackageGlobError(String);

impl PackageGlob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is empty, longer than 255 bytes or holds a character that no package name has.
    pub fn parse(text: &str) -> Result<Self, ParsePackageGlobError> {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-/*".contains(&byte);
        if text.is_empty() || text.len() > 255 || !text.bytes().all(known) {
            return Err(ParsePackageGlobError(text.chars().filter(|c| !c.is_control()).take(80).collect()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The pattern that one name alone falls under.
    #[must_use]
    pub fn exactly(name: &PackageName) -> Self {
        Self(name.as_str().to_owned())
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name` falls under it. Linear: one pass per star, without backtracking further than the last star.
    #[must_use]
    pub fn matches(&self, name: &PackageName) -> bool {
        self.takes(name.as_str())
    }

    /// Whether every name under `other` falls under this one too: then whoever has this may hand out that. The star of `other`
    /// is taken for a letter of its own, which only a star can match.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        self.takes(&other.0)
    }

    fn takes(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl Serialize for PackageGlob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PackageGlob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (pattern, name, expected) in [
            ("acme/pay", "acme/pay", true),
            ("acme/pay", "acme/pay2", false),
            ("acme/*", "acme/pay", true),
            ("acme/*", "acme-labs/pay", false),
            ("*", "acme/pay", true),
            ("*/pay", "acme/pay", true),
            ("acme/*-pay", "acme/pay", false),
            ("acme/*-pay", "acme/x-pay", true),
            ("a*e/p*y", "acme/pay", true),
            ("acme/pay*pay", "acme/pay", false),
        ] {
            let glob = PackageGlob::parse(pattern).unwrap();
            assert_eq!(glob.matches(&PackageName::parse(name).unwrap()), expected, "{pattern} {name}");
        }
        for (wide, narrow, expected) in [
            ("*", "acme/*", true),
            ("acme/*", "acme/*", true),
            ("acme/*", "acme/pay", true),
            ("acme/*", "acme/pay-*", true),
            ("acme/*", "*", false),
            ("acme/*", "acme*", false),
            ("acme/pay", "acme/*", false),
            ("a*/*", "acme/*", true),
            ("acme/*-*", "acme/*", false),
        ] {
            let [wide, narrow] = [wide, narrow].map(|text| PackageGlob::parse(text).unwrap());
            assert_eq!(wide.includes(&narrow), expected, "{wide:?} {narrow:?}");
        }
        for bad in ["", "Acme/*", "acme/\u{1b}", "acme/ x"] {
            assert!(PackageGlob::parse(bad).is_err(), "{bad}");
        }
    }
}
