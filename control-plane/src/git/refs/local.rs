//! Decides what refs a repository in the file system has, by reading its files: names stay bytes, and one broken ref is left
//! out rather than fatal.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::super::failure::Result;
use super::super::protocol::{Failed, FailureCode, Limits};
use super::super::text::printable;
use super::{Head, Listing, RemoteRef, parse_oid, sha256_repository, shallow_repository};

const DEEPEST: usize = 16;
const LARGEST_FILE: u64 = 64 << 20;

/// The folder that holds a repository's objects and shared refs, found from the folder people name: a bare repository, a working
/// copy, or a linked worktree.
///
/// # Errors
/// When there is no repository, or it is of an unsupported kind.
pub(in crate::git) fn repository_folder(path: &Path) -> Result<PathBuf> {
    let absent = |what: &str| {
        Failed::new(
            FailureCode::NotFound,
            format!("there is no git repository at {}: {what}", path.display()),
            "check the path in `repository_url`, and that the registry's user may read it",
        )
    };
    let dot_git = path.join(".git");
    let mut folder = path.to_owned();
    if let Ok(metadata) = fs::metadata(&dot_git) {
        folder = dot_git.clone();
        if metadata.is_file() {
            let text = fs::read_to_string(&dot_git).map_err(|error| absent(&error.to_string()))?;
            let target =
                text.trim_end().strip_prefix("gitdir: ").ok_or_else(|| absent("its .git file cannot be read"))?;
            folder = path.join(target);
        }
    }
    if let Ok(shared) = fs::read_to_string(folder.join("commondir")) {
        folder = folder.join(shared.trim_end());
    }
    if !folder.join("objects").is_dir() || !folder.join("HEAD").is_file() {
        return Err(absent("it has no HEAD and objects"));
    }
    if folder.join("shallow").exists() {
        return Err(shallow_repository());
    }
    if folder.join("objects/info/alternates").exists() {
        return Err(Failed::new(
            FailureCode::Unsupported,
            "the repository borrows objects of another one (objects/info/alternates), which is not supported",
            "run `git repack -a` in it and remove objects/info/alternates, or give the original repository",
        ));
    }
    Ok(folder)
}

/// Reads HEAD, loose refs and packed refs.
///
/// # Errors
/// When the repository is of an unsupported kind, or has too many refs.
pub(in crate::git) fn listing(folder: &Path, limits: &Limits) -> Result<Listing> {
    let mut refs = Vec::new();
    for area in ["heads", "tags"] {
        loose(&folder.join("refs").join(area), format!("refs/{area}").as_bytes(), 0, limits, &mut refs)?;
    }
    // Loose refs come first, and the first of equal names stays.
    packed(folder, limits, &mut refs)?;
    let mut seen = std::collections::HashSet::new();
    refs.retain(|entry: &RemoteRef| seen.insert(entry.name.clone()));
    Ok(Listing::new(head(folder)?, refs))
}

fn head(folder: &Path) -> Result<Head> {
    let Some(content) = read(&folder.join("HEAD")) else {
        return Ok(Head::Absent);
    };
    let content = content.trim_ascii_end();
    match content.strip_prefix(b"ref:").map(<[u8]>::trim_ascii) {
        Some(b"refs/heads/.invalid") => Err(Failed::new(
            FailureCode::Unsupported,
            "the repository keeps its refs in the reftable format, which is not supported",
            "run `git refs migrate --ref-format=files` in it, or give its https address",
        )),
        Some(target) => Ok(Head::Symbolic(target.to_vec())),
        None if content.len() == 64 => Err(sha256_repository()),
        None => Ok(parse_oid(content).map_or(Head::Absent, Head::Detached)),
    }
}

fn loose(folder: &Path, prefix: &[u8], depth: usize, limits: &Limits, refs: &mut Vec<RemoteRef>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let mut name = prefix.to_vec();
        name.push(b'/');
        name.extend_from_slice(entry.file_name().as_bytes());
        if kind.is_dir() && depth < DEEPEST {
            loose(&entry.path(), &name, depth + 1, limits, refs)?;
        } else if kind.is_file()
            && !name.ends_with(b".lock")
            && let Some(content) = read(&entry.path())
        {
            push(name, content.trim_ascii_end(), limits, refs)?;
        }
    }
    Ok(())
}

fn packed(folder: &Path, limits: &Limits, refs: &mut Vec<RemoteRef>) -> Result<()> {
    let Some(content) = read(&folder.join("packed-refs")) else {
        return Ok(());
    };
    for line in content.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#") && !line.starts_with(b"^")) {
        if let Some(at) = line.iter().position(|byte| *byte == b' ') {
            push(line[at + 1..].to_vec(), &line[..at], limits, refs)?;
        }
    }
    Ok(())
}

fn push(name: Vec<u8>, oid: &[u8], limits: &Limits, refs: &mut Vec<RemoteRef>) -> Result<()> {
    if oid.len() == 64 && oid.iter().all(u8::is_ascii_hexdigit) {
        return Err(sha256_repository());
    }
    // Both places may hold a ref, hence the factor.
    if refs.len() >= limits.refs.saturating_mul(2) {
        return Err(Failed::limit(format!("the repository has more than {} branches and tags", limits.refs)));
    }
    match parse_oid(oid) {
        Some(oid) => refs.push(RemoteRef { name, oid }),
        None => tracing::debug!(name = printable(&name), "a ref that holds no object id is left out"),
    }
    Ok(())
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path).ok()?.take(LARGEST_FILE).read_to_end(&mut content).ok()?;
    Some(content)
}
