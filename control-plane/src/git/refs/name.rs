//! Decides which ref names are acceptable: git's own rules (`git check-ref-format`), visible characters only, at most 255 bytes.
//! An unacceptable ref is skipped; it never stops a sync, and never reaches libgit2.

use super::super::text::is_visible;

const LONGEST: usize = 255;

/// The name as text when it is acceptable, else the reason why it is not.
///
/// # Errors
/// One sentence for people.
pub(in crate::git) fn check(name: &[u8]) -> Result<&str, &'static str> {
    if name.len() > LONGEST {
        return Err("its name is longer than 255 bytes");
    }
    let Ok(text) = std::str::from_utf8(name) else {
        return Err("its name is not UTF-8");
    };
    if text.contains(|character: char| character != ' ' && !is_visible(character)) {
        return Err("its name holds characters that cannot be seen");
    }
    let forbidden =
        text.contains([' ', '~', '^', ':', '?', '*', '[', '\\']) || text.contains("..") || text.contains("@{");
    let part_is_bad = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    if forbidden || text.ends_with('.') || text.split('/').any(part_is_bad) {
        return Err("its name breaks git's rules for ref names");
    }
    if super::short(text).starts_with('-') {
        return Err("its name begins with `-`");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acceptable() {
        for name in [
            "refs/heads/main",
            "refs/tags/v1.0.0",
            "refs/heads/feature/größe#1",
            "refs/tags/1.0@beta",
            "refs/heads/@",
            "refs/tags/a'b;rm",
            "refs/heads/日本",
        ] {
            assert_eq!(check(name.as_bytes()), Ok(name));
        }
    }

    /// G-R1.
    #[test]
    fn unacceptable() {
        let long = format!("refs/tags/{}", "a".repeat(300));
        for name in [
            "refs/tags/../../x",
            "refs/tags/a..b",
            "refs/tags/x.lock",
            "refs/tags/x.lock/y",
            "refs/tags/@{u}",
            "refs/tags/-rf",
            "refs/heads/-x",
            "refs/tags/a\x1b[31m",
            "refs/tags/a\nb",
            "refs/tags/a\u{202e}b",
            "refs/tags/a\u{200b}b",
            "refs/tags/a b",
            "refs/tags/a\u{a0}b",
            "refs/tags/a^{}",
            "refs/tags/",
            "refs/tags//a",
            "refs/tags/a/",
            "refs/tags/.a",
            "refs/tags/a.",
            "refs/tags/a~1",
            "refs/tags/a:b",
            "refs/tags/a?b",
            "refs/tags/a*",
            "refs/tags/a[b",
            "refs/tags/a\\b",
            "refs/tags/a\x7f",
            &long,
        ] {
            assert!(check(name.as_bytes()).is_err(), "{name:?}");
        }
        assert_eq!(check(b"refs/tags/v1.0-\xff\xfe"), Err("its name is not UTF-8"));
    }
}
