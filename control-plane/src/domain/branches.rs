//! Decides which branches are versions. The default branch always is: it names the package.

use crate::domain::text;

/// Patterns of one package.
pub const MOST_PATTERNS: usize = 50;
const LONGEST: usize = 250;

/// A branch's name in which `*` stands for any characters, `/` too; with a `!` in front those branches are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchPattern {
    excludes: bool,
    name: String,
}

/// Something is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BranchPatternError(String);

impl BranchPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When no branch can have such a name.
    pub fn parse(given: &str) -> Result<Self, BranchPatternError> {
        let line = text::line(given, LONGEST).map_err(|error| BranchPatternError(error.to_string()))?;
        let (excludes, name) = line.strip_prefix('!').map_or((false, line.as_str()), |rest| (true, rest));
        if name.is_empty() || name.contains([' ', '~', '^', ':', '?', '[', '\\']) || name.starts_with("refs/") {
            let message = "must be a branch's name, with `*` for any characters, such as main, 2.* or !feature/*";
            return Err(BranchPatternError(message.to_owned()));
        }
        Ok(Self { excludes, name: name.to_owned() })
    }

    /// As written.
    #[must_use]
    pub fn as_text(&self) -> String {
        format!("{}{}", if self.excludes { "!" } else { "" }, self.name)
    }
}

/// Whether a branch is a version: no pattern takes it out, and one takes it in or there is none that does.
#[must_use]
pub fn wanted(patterns: &[BranchPattern], branch: &str) -> bool {
    let any = |excludes| patterns.iter().any(|one| one.excludes == excludes && fits(&one.name, branch));
    let takes_in = patterns.iter().any(|one| !one.excludes);
    !any(true) && (!takes_in || any(false))
}

/// Whether `name` fits a pattern in which `*` stands for any characters. Linear: each part is looked for behind the one before.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    let mut rest = rest;
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_branches() {
        let read = |all: &[&str]| all.iter().map(|one| BranchPattern::parse(one).unwrap()).collect::<Vec<_>>();
        for (patterns, branch, expected) in [
            (&[][..], "main", true),
            (&["main", "2.*"], "2.x", true),
            (&["main", "2.*"], "3.x", false),
            (&["!feature/*"], "feature/a/b", false),
            (&["!feature/*"], "main", true),
            (&["release/*", "!release/old-*"], "release/1", true),
            (&["release/*", "!release/old-*"], "release/old-1", false),
            (&["release/*", "!release/old-*"], "main", false),
        ] {
            assert_eq!(wanted(&read(patterns), branch), expected, "{patterns:?} {branch}");
        }
        for bad in ["", "!", "a b", "a~1", "refs/heads/x", "a\nb"] {
            assert!(BranchPattern::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(BranchPattern::parse("!feature/*").unwrap().as_text(), "!feature/*");
    }
}
