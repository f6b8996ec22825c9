//! Decides which folders of a repository hold packages of their own, and which tags are whose releases. Pure: it knows names and
//! patterns, and no repository.

use crate::domain::branches::fits;
use crate::domain::text;

/// A pattern has at most so many segments; deeper no package lies.
const MOST_SEGMENTS: usize = 8;
/// Patterns of one repository.
pub const MOST_PATTERNS: usize = 50;
const LONGEST: usize = 250;

/// Something is wrong with a pattern; the text says what and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

fn wrong<T>(message: impl Into<String>) -> Result<T, PatternError> {
    Err(PatternError(message.into()))
}

/// Folders, as in `packages/*` or `src/Symfony/*/*`: in a segment `*` stands for any characters, and never for a `/`. With a `!` in
/// front: those folders are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    excludes: bool,
    segments: Vec<String>,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is empty, leads out of the repository, or holds what no folder's name holds.
    pub fn parse(given: &str) -> Result<Self, PatternError> {
        let line = text::line(given, LONGEST).map_err(|error| PatternError(error.to_string()))?;
        let (excludes, path) = line.strip_prefix('!').map_or((false, line.as_str()), |rest| (true, rest));
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.contains('\\') || path.contains("**") {
            return wrong("must be a path with `/` and `*`, such as packages/* (not `\\` and not `**`)");
        }
        let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
        if segments.len() > MOST_SEGMENTS {
            return wrong(format!("must have at most {MOST_SEGMENTS} segments"));
        }
        if segments.iter().any(|segment| matches!(segment.as_str(), "" | "." | "..")) {
            return wrong("must be a path below the repository's root, such as packages/* or src/*/Component/*");
        }
        Ok(Self { excludes, segments })
    }

    /// As written.
    #[must_use]
    pub fn as_text(&self) -> String {
        format!("{}{}", if self.excludes { "!" } else { "" }, self.segments.join("/"))
    }

    /// Whether it takes folders away.
    #[must_use]
    pub fn excludes(&self) -> bool {
        self.excludes
    }

    /// How many folders deep it leads.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.segments.len()
    }

    /// Whether a folder's name fits at a depth, which begins with 0.
    #[must_use]
    pub fn fits_at(&self, depth: usize, name: &str) -> bool {
        self.segments.get(depth).is_some_and(|segment| fits(segment, name))
    }

    /// Whether a folder fits as a whole.
    #[must_use]
    pub fn fits(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        names.len() == self.segments.len() && names.iter().enumerate().all(|(depth, name)| self.fits_at(depth, name))
    }
}

/// Whether a folder is a package's: one pattern takes it in and none takes it out.
#[must_use]
pub fn covers(patterns: &[PathPattern], path: &str) -> bool {
    let any = |excludes| patterns.iter().any(|pattern| pattern.excludes == excludes && pattern.fits(path));
    any(false) && !any(true)
}

/// How the tags of releases are written: `{package}/v{version}`. `{package}` is a package's whole name, what stands behind its slash, or
/// the name of its folder; without it a tag is a release of all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPattern(String);

const PACKAGE: &str = "{package}";
const VERSION: &str = "{version}";

impl TagPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it does not hold `{version}` once, or holds `{package}` more than once.
    pub fn parse(given: &str) -> Result<Self, PatternError> {
        let line = text::line(given, LONGEST).map_err(|error| PatternError(error.to_string()))?;
        if line.matches(VERSION).count() != 1 {
            return wrong("must hold {version} once, as in {package}/v{version}");
        }
        if line.matches(PACKAGE).count() > 1 {
            return wrong("must hold {package} at most once, as in {package}/v{version}");
        }
        let others = line.replace(VERSION, "").replace(PACKAGE, "");
        if others.contains(['{', '}', ' ', '~', '^', ':', '?', '*', '[', '\\']) {
            return wrong("must hold nothing but {package}, {version} and what tags may hold");
        }
        Ok(Self(line))
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The version that a tag says of the package that has one of these names; none when it is not its tag.
    #[must_use]
    pub fn version<'a>(&self, tag: &'a str, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| {
            let whole = self.0.replace(PACKAGE, name);
            let (front, back) = whole.split_once(VERSION)?;
            tag.strip_prefix(front)?.strip_suffix(back).filter(|version| !version.is_empty() && !version.contains('/'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders() {
        for (pattern, path, expected) in [
            ("packages/*", "packages/pay", true),
            ("packages/*/", "packages/pay", true),
            ("packages/*", "packages/pay/src", false),
            ("packages/*", "packages", false),
            ("packages/*", "other/pay", false),
            ("src/Symfony/*/*", "src/Symfony/Component/Console", true),
            ("src/Symfony/Component/*", "src/Symfony/Component/Console", true),
            ("src/Symfony/Component/*", "src/Symfony/Bridge/Twig", false),
            ("plugin-*-core", "plugin-pay-core", true),
            ("plugin-*-core", "plugin-core", false),
            ("*a*b*", "xaxbx", true),
            ("*a*b*", "xbxa", false),
            ("*", "", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            let parsed = PathPattern::parse(pattern).unwrap();
            assert_eq!(parsed.fits(path), expected, "{pattern} {path}");
        }
        for bad in ["", "/packages", "a//b", "../x", "a/./b", "a\\b", "packages/**", "!", "a/b/c/d/e/f/g/h/i", "a\nb"] {
            assert!(PathPattern::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(PathPattern::parse("!packages/internal/").unwrap().as_text(), "!packages/internal");
    }

    #[test]
    fn some_are_taken_out() {
        let patterns: Vec<PathPattern> = ["packages/*", "!packages/internal-*", "tools/*"]
            .iter()
            .map(|one| PathPattern::parse(one).unwrap())
            .collect();
        for (path, expected) in
            [("packages/pay", true), ("packages/internal-x", false), ("tools/cli", true), ("docs/x", false)]
        {
            assert_eq!(covers(&patterns, path), expected, "{path}");
        }
    }

    #[test]
    fn tags() {
        let names = ["acme/pay", "pay", "payment"];
        for (pattern, tag, expected) in [
            ("{package}/v{version}", "acme/pay/v1.2.0", Some("1.2.0")),
            ("{package}/v{version}", "pay/v1.2.0", Some("1.2.0")),
            ("{package}/v{version}", "payment/v1.2.0", Some("1.2.0")),
            ("{package}/v{version}", "other/v1.2.0", None),
            ("{package}/v{version}", "v1.2.0", None),
            ("{package}@{version}", "pay@1.0", Some("1.0")),
            ("{package}-{version}", "pay-1.0.0-beta1", Some("1.0.0-beta1")),
            ("release-{version}", "release-2.0", Some("2.0")),
            ("release-{version}", "release-", None),
            ("{version}-{package}", "2.0-pay", Some("2.0")),
            ("{package}/v{version}", "pay/v1/2", None),
        ] {
            assert_eq!(TagPattern::parse(pattern).unwrap().version(tag, &names), expected, "{pattern} {tag}");
        }
        for bad in
            ["", "{package}", "{version}{version}", "{package}{package}{version}", "{vendor}/{version}", "a b{version}"]
        {
            assert!(TagPattern::parse(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        /// Against the obvious way of writing it.
        #[test]
        fn a_segment_fits_as_a_naive_match_says(segment in "[ab*]{0,8}", name in "[ab]{0,8}") {
            fn naive(segment: &[u8], name: &[u8]) -> bool {
                match segment.split_first() {
                    None => name.is_empty(),
                    Some((b'*', rest)) => (0..=name.len()).any(|at| naive(rest, &name[at..])),
                    Some((byte, rest)) => name.first() == Some(byte) && naive(rest, &name[1..]),
                }
            }
            proptest::prop_assert_eq!(fits(&segment, &name), naive(segment.as_bytes(), name.as_bytes()));
        }
    }
}
