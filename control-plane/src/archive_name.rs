//! Decides which names may stand in an archive: none that leaves the folder it is unpacked in, on any system, and none that
//! reaches into a working copy's `.git`.

const LONGEST_PART: usize = 255;
const LONGEST_PATH: usize = 2048;

/// Checks one part of a path, as it stands in a tree.
///
/// # Errors
/// One clause for people.
pub(crate) fn check_part(part: &[u8]) -> Result<(), &'static str> {
    let Ok(text) = std::str::from_utf8(part) else {
        return Err("a name that is not UTF-8");
    };
    if text.is_empty() || text.chars().all(|character| matches!(character, '.' | ' ')) {
        return Err("a name such as `..` that leads out of its folder");
    }
    if part.len() > LONGEST_PART {
        return Err("a name longer than 255 bytes");
    }
    if text.contains(['/', '\\']) || text.chars().any(char::is_control) {
        return Err("a name with a slash, backslash or control character");
    }
    if is_drive(part) {
        return Err("a name that begins like a drive letter");
    }
    if is_dot_git(text) {
        return Err("a name that means `.git`");
    }
    Ok(())
}

/// Checks a whole path.
///
/// # Errors
/// One clause for people.
pub(crate) fn check_length(path: &[u8]) -> Result<(), &'static str> {
    if path.len() > LONGEST_PATH { Err("a path longer than 2048 bytes") } else { Ok(()) }
}

fn is_drive(part: &[u8]) -> bool {
    matches!(part, [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// `.git` and what file systems take for it: other case, NTFS short name, streams, trailing dots, characters HFS+ ignores.
fn is_dot_git(text: &str) -> bool {
    let bare: String = text
        .chars()
        .filter(
            |character| !matches!(u32::from(*character), 0x200c..=0x200f | 0x202a..=0x202e | 0x206a..=0x206f | 0xfeff),
        )
        .collect();
    let bare = bare.split(':').next().unwrap_or("").trim_end_matches([' ', '.']).to_ascii_lowercase();
    bare == ".git" || bare == "git~1"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Z-1.
    #[test]
    fn parts() {
        let long = "x".repeat(256);
        for bad in [
            "",
            ".",
            "..",
            "...",
            ".. ",
            " ",
            "a/b",
            "/abs",
            "a\\..\\b",
            ".git",
            ".GIT",
            ".Git ",
            ".git.",
            ".git::$INDEX_ALLOCATION",
            "git~1",
            "GIT~1",
            ".g\u{200c}it",
            "C:x",
            "a\nb",
            "a\u{7f}",
            "\u{85}",
            &long,
        ] {
            assert!(check_part(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(check_part(b"a\xff").is_err());
        for good in [".gitignore", ".github", "git", "a b", "größe", ".a", "..a", "a..b", "CON", "xy:z", "-rf", "a'b"]
        {
            assert_eq!(check_part(good.as_bytes()), Ok(()), "{good:?}");
        }
        assert!(check_length(&[b'x'; 2049]).is_err());
    }
}
