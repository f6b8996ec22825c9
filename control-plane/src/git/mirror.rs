//! Decides what the bare mirror of a repository looks like on disk. Published versions must survive the loss of their source, so
//! objects are only ever added; the refs are replaced as a whole, after their objects are complete. One worker at a time.
//!
//! What a failed run has added is taken away again: the disk it may have filled is everybody's.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use git2::Repository;

use super::failure::Result;
use super::object::Objects;
use super::protocol::{Failed, FailureCode};
use super::refs::RemoteRef;
use crate::crash::{self, Point};

/// Folder of a mirror for files that are not complete in number yet.
const INCOMING: &str = "incoming";

/// An open mirror, locked against other workers until it is dropped.
pub(super) struct Mirror {
    pub(super) repository: Repository,
    path: PathBuf,
    lock: File,
}

impl Mirror {
    /// Opens the mirror in `path`, making it when there is none, and clears away what a killed worker left.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |error: io::Error| Failed::machine(format_args!("opening the mirror {}", path.display()), error);
        fs::create_dir_all(path).map_err(failed)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("cargoman.lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Failed::new(
                    FailureCode::Busy,
                    "another sync of this repository is running",
                    "wait for it to end",
                ));
            }
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        // `objects` alone tells: a worker killed while making a mirror leaves one that is made again over itself.
        let repository = if path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir() {
            Repository::open_bare(path)
        } else {
            Repository::init_bare(path)
        };
        let repository = repository
            .map_err(|error| Failed::machine(format_args!("opening the mirror {}", path.display()), error.message()))?;
        let mirror = Self { repository, path: path.to_owned(), lock };
        mirror.remove_leftovers();
        Ok(mirror)
    }

    /// The mirror's objects.
    pub(super) fn objects(&self) -> Result<Objects<'_>> {
        let odb =
            self.repository.odb().map_err(|error| Failed::machine("opening the mirror's objects", error.message()))?;
        Ok(Objects::new(odb))
    }

    /// Makes the mirror's refs exactly `refs`, at once: names were checked, order is by bytes. A ref whose object is missing is
    /// left out, for the next negotiation must not promise it.
    pub(super) fn replace_refs(&self, refs: &[RemoteRef]) -> Result<()> {
        let mut content = b"# pack-refs with: sorted \n".to_vec();
        let odb =
            self.repository.odb().map_err(|error| Failed::machine("opening the mirror's objects", error.message()))?;
        for entry in refs.iter().filter(|entry| odb.exists(entry.oid)) {
            content.extend_from_slice(entry.oid.to_string().as_bytes());
            content.push(b' ');
            content.extend_from_slice(&entry.name);
            content.push(b'\n');
        }
        let partial = self.path.join("packed-refs.partial");
        let written = fs::write(&partial, content).and_then(|()| {
            crash::point(Point::WorkerRefsWritten);
            fs::rename(&partial, self.path.join("packed-refs"))
        });
        written.map_err(|error| Failed::machine("writing the mirror's refs", error))
    }

    /// Runs `bring`, which adds objects. When it fails, the files that were not there before are removed, and no others.
    pub(super) fn all_or_nothing<T>(&self, bring: impl FnOnce() -> Result<T>) -> Result<T> {
        let objects = self.path.join("objects");
        // Must be complete: what it lacks would be taken for new, and lost.
        let before =
            files_below(&objects).map_err(|error| Failed::machine("listing the mirror's object files", error))?;
        let outcome = bring();
        if outcome.is_err() {
            self.remove_leftovers();
            if let Err(error) = remove_others(&objects, &before) {
                tracing::warn!(mirror = %self.path.display(), %error, "what a failed sync has written cannot be removed");
            }
        }
        outcome
    }

    /// Takes over the object files of a repository in this file system, as they are: what is broken or missing there is broken
    /// or missing here, and costs only the versions that need it.
    pub(super) fn copy_objects(&self, from: &Path, progress: &mut dyn FnMut(u64, u64) -> Result<()>) -> Result<()> {
        let files = object_files(&from.join("objects"))
            .map_err(|error| Failed::machine(format_args!("reading {}", from.display()), error))?;
        let to = self.path.join("objects");
        let missing: Vec<PathBuf> = files.into_iter().filter(|file| !to.join(file).exists()).collect();
        let incoming = self.path.join(INCOMING);
        let mut copied = Vec::new();
        let total = missing.len() as u64;
        for (file, done) in missing.iter().zip(0..) {
            if done % 256 == 0 {
                progress(done, total)?;
            }
            match copy(&from.join("objects").join(file), &incoming.join(file)) {
                Err(Copy::Write(error)) => return Err(Failed::machine("copying objects into the mirror", error)),
                Err(Copy::Read(error)) => {
                    tracing::warn!(file = %file.display(), %error, "an object file cannot be read and is left out")
                }
                Ok(()) => copied.push(file),
            }
        }
        // Only now: a worker killed while it copied leaves nothing that the next one would take for the mirror's own.
        for file in copied {
            move_file(&incoming.join(file), &to.join(file))
                .map_err(|error| Failed::machine("moving objects into the mirror", error))?;
        }
        let _ = fs::remove_dir_all(&incoming);
        let refreshed = self.repository.odb().and_then(|odb| odb.refresh());
        refreshed.map_err(|error| Failed::machine("opening the mirror's objects", error.message()))
    }

    fn remove_leftovers(&self) {
        let _ = fs::remove_dir_all(self.path.join(INCOMING));
        let _ = fs::remove_file(self.path.join("packed-refs.partial"));
        let Ok(entries) = fs::read_dir(self.path.join("objects/pack")) else { return };
        for entry in entries.flatten() {
            if is_pack_file(&entry.file_name().to_string_lossy()).is_none() {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // Closing would do, were it not for a child of this process that is just being started and still has the file.
        let _ = self.lock.unlock();
    }
}

enum Copy {
    Read(io::Error),
    Write(io::Error),
}

/// Copies through a temporary name, so that a half-written file is never taken for an object.
fn copy(from: &Path, to: &Path) -> std::result::Result<(), Copy> {
    let mut source = File::options()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(from)
        .map_err(Copy::Read)?;
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).map_err(Copy::Write)?;
    let partial = folder.join(".partial");
    let mut target = File::create(&partial).map_err(Copy::Write)?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        let length = io::Read::read(&mut source, &mut buffer).map_err(Copy::Read)?;
        if length == 0 {
            break;
        }
        target.write_all(buffer.get(..length).unwrap_or_default()).map_err(Copy::Write)?;
    }
    target.set_permissions(fs::Permissions::from_mode(0o444)).map_err(Copy::Write)?;
    fs::rename(&partial, to).map_err(Copy::Write)
}

fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    fs::rename(from, to)
}

/// Every file in an `objects` folder and in the folders right below it, or an error: never a part of them.
fn files_below(objects: &Path) -> io::Result<HashSet<PathBuf>> {
    let mut files = HashSet::new();
    for entry in fs::read_dir(objects)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            files.insert(entry.path());
            continue;
        }
        for inner in fs::read_dir(entry.path())? {
            files.insert(inner?.path());
        }
    }
    Ok(files)
}

/// Removes what is not in `kept`, and the fan-out folders that have become empty.
fn remove_others(objects: &Path, kept: &HashSet<PathBuf>) -> io::Result<()> {
    for file in files_below(objects)?.difference(kept) {
        fs::remove_file(file)?;
        if let Some(folder) = file.parent().filter(|folder| !folder.ends_with("pack")) {
            // Refused while something is in it.
            let _ = fs::remove_dir(folder);
        }
    }
    Ok(())
}

/// Loose objects and packs below an `objects` folder; each pack's index last, since it makes the pack visible.
fn object_files(objects: &Path) -> io::Result<Vec<PathBuf>> {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut files = Vec::new();
    for entry in fs::read_dir(objects)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let fan_out = name.len() == 2 && is_hex(&name);
        if !fan_out && name != "pack" {
            continue;
        }
        for inner in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            let file = inner.file_name().to_string_lossy().into_owned();
            let wanted = if fan_out { file.len() == 38 && is_hex(&file) } else { is_pack_file(&file).is_some() };
            if wanted {
                files.push(PathBuf::from(&name).join(file));
            }
        }
    }
    files.sort_by_key(|file| (file.extension().is_some_and(|extension| extension == "idx"), file.clone()));
    Ok(files)
}

/// `pack-<40 digits>.pack` or `.idx`.
fn is_pack_file(name: &str) -> Option<&str> {
    let stem = name.strip_suffix(".pack").or_else(|| name.strip_suffix(".idx"))?;
    stem.strip_prefix("pack-")
        .filter(|digits| digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_at_a_time_and_no_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.git");
        let mirror = Mirror::open(&path).unwrap();
        assert_eq!(Mirror::open(&path).err().unwrap().code, FailureCode::Busy);
        drop(mirror);
        let pack = path.join("objects/pack");
        fs::create_dir_all(&pack).unwrap();
        let kept = format!("pack-{}.idx", "a".repeat(40));
        for name in ["pack_git2_x", "tmp_pack_1", ".partial", kept.as_str()] {
            fs::write(pack.join(name), "x").unwrap();
        }
        drop(Mirror::open(&path).unwrap());
        let left: Vec<_> =
            fs::read_dir(&pack).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(left, [kept]);
    }

    #[test]
    fn a_failure_gives_its_space_back() {
        let folder = tempfile::tempdir().unwrap();
        let (path, from) = (folder.path().join("b.git"), folder.path().join("from"));
        let mirror = Mirror::open(&path).unwrap();
        let objects = path.join("objects");
        let loose = |folder: &Path, number: usize| folder.join(format!("{:02x}/{number:038x}", number % 7));
        let write = |path: &Path| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        write(&loose(&objects, 1));
        (2..600).for_each(|number| write(&loose(&from.join("objects"), number)));
        let before = files_below(&objects).unwrap();
        let stopped = || Failed::machine("copying", "no space");

        // In the middle of copying; a killed worker would leave the same.
        let mut stop = |done: u64, _| if done < 256 { Ok(()) } else { Err(stopped()) };
        assert_eq!(mirror.copy_objects(&from, &mut stop), Err(stopped()));
        assert!(path.join(INCOMING).is_dir());
        assert_eq!(files_below(&objects).unwrap(), before, "nothing is the mirror's before all is there");
        drop(mirror);
        let mirror = Mirror::open(&path).unwrap();
        assert!(!path.join(INCOMING).exists());
        assert_eq!(mirror.all_or_nothing(|| mirror.copy_objects(&from, &mut stop)), Err(stopped()));
        assert!(!path.join(INCOMING).exists());

        // After copying, and with a pack received and another begun.
        let failing = mirror.all_or_nothing(|| {
            mirror.copy_objects(&from, &mut |_, _| Ok(()))?;
            assert!(loose(&objects, 599).is_file() && !path.join(INCOMING).exists());
            write(&objects.join(format!("pack/pack-{}.pack", "a".repeat(40))));
            write(&objects.join("pack/pack_git2_x"));
            Err::<(), _>(stopped())
        });
        assert_eq!(failing, Err(stopped()));
        assert_eq!(files_below(&objects).unwrap(), before);
        assert!(objects.join("pack").is_dir() && !objects.join("02").exists());

        mirror.all_or_nothing(|| mirror.copy_objects(&from, &mut |_, _| Ok(()))).unwrap();
        assert_eq!(files_below(&objects).unwrap().len(), before.len() + 598);
    }
}
