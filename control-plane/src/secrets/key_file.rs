//! The file of master keys: 64 hexadecimal digits a line, the newest first, readable to its owner alone. Decides that a file which
//! others can read, or that holds anything else, is refused; and that it is only ever replaced whole.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{KeyError, KeyId, MasterKey};

const LARGEST: u64 = 64 << 10;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the file of master keys {}: {problem}", .path.display())]
pub struct KeyFileError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("cannot be read: {0}; check secrets.key_file and its owner")]
    Read(#[source] io::Error),
    #[error("cannot be written: {0}; look at the permissions of its folder")]
    Write(#[source] io::Error),
    #[error("others than its owner may read it; run chmod 600 on it, and rotate the key if others could have read it")]
    Open,
    #[error("is no file of a few lines; it holds one key a line, the newest first")]
    Form,
    #[error("line {0}: {1}")]
    Key(usize, #[source] KeyError),
    #[error("line {0} holds a key for the second time; delete the line")]
    Double(usize),
    #[error("holds no key; `openssl rand -hex 32` makes one")]
    Empty,
    #[error("{0}")]
    New(#[source] KeyError),
}

/// The keys of the file, newest first.
///
/// # Errors
/// When it cannot be read, others may read it, or a line is no key.
pub fn read(path: &Path) -> Result<Vec<MasterKey>, KeyFileError> {
    lines(path).and_then(|text| parse(&text)).map_err(|problem| KeyFileError { path: path.to_owned(), problem })
}

/// Keys separated by commas or white space, newest first.
pub(super) fn parse_list(text: &str) -> Result<Vec<MasterKey>, String> {
    let lines = Zeroizing::new(text.replace(',', "\n"));
    parse(&lines).map_err(|problem| problem.to_string().replace("line ", "key "))
}

fn parse(text: &str) -> Result<Vec<MasterKey>, Problem> {
    let mut keys: Vec<MasterKey> = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let key = MasterKey::parse(line.trim()).map_err(|error| Problem::Key(at + 1, error))?;
        if keys.iter().any(|other| other.id() == key.id()) {
            return Err(Problem::Double(at + 1));
        }
        keys.push(key);
    }
    if keys.is_empty() { Err(Problem::Empty) } else { Ok(keys) }
}

fn lines(path: &Path) -> Result<Zeroizing<String>, Problem> {
    let file = std::fs::File::open(path).map_err(Problem::Read)?;
    // Of the open file: another one may come into its place meanwhile.
    let found = file.metadata().map_err(Problem::Read)?;
    if !found.is_file() || found.len() > LARGEST {
        return Err(Problem::Form);
    }
    if found.mode() & 0o077 != 0 {
        return Err(Problem::Open);
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LARGEST).read_to_string(&mut text).map_err(Problem::Read)?;
    Ok(text)
}

/// Makes a file with one new key, in the place of whatever was there.
///
/// # Errors
/// When it cannot be written.
pub fn create(path: &Path, new: &str) -> Result<(), KeyFileError> {
    let wrong = |problem| KeyFileError { path: path.to_owned(), problem };
    MasterKey::parse(new).map_err(|error| wrong(Problem::New(error)))?;
    write(path, new).map_err(|error| wrong(Problem::Write(error)))
}

/// Puts a new key on top: from the next sealing on it is the one that seals.
///
/// # Errors
/// When the file cannot be read or written; then it is as before.
pub fn add(path: &Path, new: &str) -> Result<KeyId, KeyFileError> {
    let wrong = |problem| KeyFileError { path: path.to_owned(), problem };
    let key = MasterKey::parse(new).map_err(|error| wrong(Problem::New(error)))?;
    let before = lines(path).map_err(wrong)?;
    parse(&before).map_err(wrong)?;
    write(path, &Zeroizing::new(format!("{new}\n{}", before.trim()))).map_err(|error| wrong(Problem::Write(error)))?;
    Ok(key.id())
}

/// Keeps the newest key and those that `wanted` says; gives the ids of those that went.
///
/// # Errors
/// When the file cannot be read or written; then it is as before.
pub fn retire(path: &Path, wanted: impl Fn(KeyId) -> bool) -> Result<Vec<KeyId>, KeyFileError> {
    let wrong = |problem| KeyFileError { path: path.to_owned(), problem };
    let text = lines(path).map_err(wrong)?;
    parse(&text).map_err(wrong)?;
    let (mut kept, mut gone) = (Zeroizing::new(String::with_capacity(text.len() + 1)), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let id = MasterKey::parse(line).map_err(|error| wrong(Problem::New(error)))?.id();
        if kept.is_empty() || wanted(id) {
            kept.push_str(line);
            kept.push('\n');
        } else {
            gone.push(id);
        }
    }
    if !gone.is_empty() {
        write(path, kept.trim()).map_err(|error| wrong(Problem::Write(error)))?;
    }
    Ok(gone)
}

/// When the file was last written.
///
/// # Errors
/// When it cannot be read.
pub fn written_at(path: &Path) -> Result<std::time::SystemTime, KeyFileError> {
    std::fs::metadata(path)
        .and_then(|found| found.modified())
        .map_err(|error| KeyFileError { path: path.to_owned(), problem: Problem::Read(error) })
}

/// Whole or not at all, and on the disk before anything is sealed with it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let unfinished = path.with_file_name(name);
    // What a killed run left there may have other permissions.
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    // Another owner, as of a file that root renews for a service, stays.
    if let Ok(before) = std::fs::metadata(path) {
        std::os::unix::fs::chown(&unfinished, Some(before.uid()), Some(before.gid()))?;
    }
    std::fs::rename(&unfinished, path)?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn key(seed: u8) -> String {
        format!("{seed:02x}{}", "5a".repeat(31))
    }

    #[test]
    fn keys_are_added_on_top_and_retired() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master-key");
        create(&path, &key(1)).unwrap();
        let first = read(&path).unwrap()[0].id();
        let second = add(&path, &key(2)).unwrap();
        let third = add(&path, &key(3)).unwrap();
        let ids = || read(&path).unwrap().iter().map(MasterKey::id).collect::<Vec<_>>();
        assert_eq!(ids(), [third, second, first]);
        assert_eq!(retire(&path, |id| id == first).unwrap(), [second]);
        assert_eq!(ids(), [third, first]);
        assert_eq!(retire(&path, |_| false).unwrap(), [first]);
        assert_eq!(retire(&path, |_| false).unwrap(), []);
        assert_eq!(ids(), [third]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    /// C-S2: a file that others may read is refused, and nothing of a key is ever repeated.
    #[test]
    fn files_that_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let (one, other) = (key(1), key(2));
        for (text, mode, words) in [
            (one.clone(), 0o640, "chmod 600"),
            (one.clone(), 0o604, "chmod 600"),
            (String::new(), 0o600, "holds no key"),
            (format!("{one}\n{}", &other[1..]), 0o600, "line 2: a master key is 64 hexadecimal digits"),
            (format!("{one}\n\n{one}\n"), 0o600, "line 3 holds a key for the second time"),
            (one.repeat(2000), 0o600, "no file of a few lines"),
        ] {
            std::fs::write(&path, &text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("keys: "), "{error}");
            assert!(!error.contains(&one[..16]) && !error.contains(&other[1..16]), "{error}");
        }
        let error = read(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("secrets.key_file"), "{error}");
        assert!(parse_list(&format!("{one},{other}")).is_ok_and(|keys| keys.len() == 2));
        assert!(parse_list("x").unwrap_err().starts_with("key 1: "));
    }
}
