//! Decides which texts from people are taken: what ends in a terminal or a page must hold no control characters.

/// What is wrong with a text; the message names the remedy, the caller names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing but white space.
    #[error("must not be empty")]
    Empty,
    /// Too long.
    #[error("must have at most {most} characters; it has {length}")]
    TooLong {
        /// The bound.
        most: usize,
        /// What was given.
        length: usize,
    },
    /// A control, escape or bidirectional-override character.
    #[error("must not hold control characters (found U+{0:04X}); leave it out")]
    Control(u32),
}

/// Checks one line of text of at most `most` characters and trims it.
///
/// # Errors
/// When it is empty, too long or holds a control character.
pub fn line(text: &str, most: usize) -> Result<String, TextError> {
    let text = text.trim();
    let length = text.chars().count();
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if length > most {
        return Err(TextError::TooLong { most, length });
    }
    match text.chars().find(|c| unprintable(*c)) {
        Some(found) => Err(TextError::Control(u32::from(found))),
        None => Ok(text.to_owned()),
    }
}

/// Control characters, and those that turn the direction of text or are not seen at all.
fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A tenant's short name, the label of its host: lower-case letters, digits and inner hyphens, at most 63.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(line("  Shop & Söhne ", 50), Ok("Shop & Söhne".to_owned()));
        assert_eq!(line(" ", 50), Err(TextError::Empty));
        assert_eq!(line("abc", 2), Err(TextError::TooLong { most: 2, length: 3 }));
        assert_eq!(line("a\u{1b}[31m", 50), Err(TextError::Control(0x1b)));
        assert_eq!(line("a\u{202e}b", 50), Err(TextError::Control(0x202e)));
    }

    #[test]
    fn slugs() {
        for (slug, expected) in [
            ("acme", true),
            ("a", true),
            ("a-1", true),
            ("-a", false),
            ("a-", false),
            ("A", false),
            ("", false),
            ("a_b", false),
        ] {
            assert_eq!(is_slug(slug), expected, "{slug}");
        }
    }
}
