//! Decides whether an uploaded zip may be published: one that every reader reads alike, that unpacks inside its folder, and that
//! Composer will not refuse. It is read from the file in pieces; nothing of it is ever written to disk (Z-9, Z-10).
//!
//! Readers of zip files differ: one begins at the end of the file, another at its start; one takes the first entry of a name,
//! another the last. So every byte of the file must be accounted for by exactly one entry, the central directory or its end
//! record, and what is said twice must be said alike.

mod content;
mod directory;
mod name;

use std::fs::File;

use crate::upload::directory::{Directory, Entry};

/// Bounds of an acceptable zip.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entries.
    pub entries: usize,
    /// Bytes of all contents together.
    pub content: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 50_000, content: 1 << 30 }
    }
}

/// Composer (since 2.7.7) takes an archive for a bomb whose contents are over this size and this many times its own.
const BOMB_SIZE: u64 = 50 << 20;
const BOMB_RATIO: u64 = 100;

/// Largest composer.json that is read.
const MOST_MANIFEST: u64 = cargoman_composer::manifest::MAX_MANIFEST_BYTES as u64;

/// Why a zip is refused. The message names the entry and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// What no acceptable zip looks like.
    #[error("{0}")]
    Zip(String),
    /// The file cannot be read.
    #[error("the uploaded file cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
}

impl Refused {
    fn zip(message: impl Into<String>) -> Self {
        Self::Zip(message.into())
    }

    /// Something is wrong with one entry.
    fn entry(name: &str, problem: impl std::fmt::Display) -> Self {
        let name: String = name.chars().take(200).flat_map(char::escape_debug).collect();
        Self::Zip(format!("the entry `{name}` {problem}"))
    }
}

/// Checks the whole zip; the bytes of its composer.json, at the root or in the one folder that holds everything, if it has one.
/// Takes as long as unpacking it: not for a thread that must go on.
///
/// # Errors
/// When it may not be published, or cannot be read.
pub fn check(file: &File, limits: Limits) -> Result<Option<Vec<u8>>, Refused> {
    let length = file.metadata()?.len();
    let directory = Directory::read(file, length, limits)?;
    let content: u64 = directory.entries.iter().map(|entry| entry.size).sum();
    if content > limits.content {
        let message = format!("the contents of the zip are larger than {} MiB together", limits.content >> 20);
        return Err(Refused::zip(message));
    }
    if content > BOMB_SIZE && content > length.saturating_mul(BOMB_RATIO) {
        return Err(Refused::zip(
            "the contents of the zip are more than 100 times its size: Composer takes that for a bomb and refuses it",
        ));
    }
    let names: Vec<(&str, bool)> = directory.entries.iter().map(|entry| (entry.name.as_str(), entry.folder)).collect();
    name::check_together(&names)?;
    let wanted = manifest_of(&directory.entries)?;
    let mut manifest = None;
    for entry in &directory.entries {
        let kept = content::check(file, entry, wanted == Some(entry.name.as_str()))?;
        manifest = manifest.or(kept);
    }
    Ok(manifest)
}

/// Name of the entry that Composer takes for the package's composer.json.
fn manifest_of(entries: &[Entry]) -> Result<Option<&str>, Refused> {
    const NAME: &str = "composer.json";
    let at_root = entries.iter().find(|entry| entry.name == NAME);
    let in_folder = || {
        // Composer strips the one folder that holds everything.
        let first = entries.first()?.name.split_once('/')?.0;
        let all_inside = entries.iter().all(|entry| entry.name.split_once('/').is_some_and(|(top, _)| top == first));
        let wanted = format!("{first}/{NAME}");
        entries.iter().find(|entry| all_inside && entry.name == wanted)
    };
    let Some(found) = at_root.or_else(in_folder) else { return Ok(None) };
    if found.size > MOST_MANIFEST {
        return Err(Refused::entry(&found.name, "is larger than 1 MiB; Composer's own file is never so large"));
    }
    Ok(Some(found.name.as_str()))
}
