//! Decides what the bare mirror of a repository looks like on disk. Published versions must survive the loss of their source, so
//! objects are only ever added; the refs are replaced as a whole, after their objects are complete. One worker at a time.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use git2::Repository;

use super::failure::Result;
use super::object::Objects;
use super::protocol::{Failed, FailureCode};
use super::refs::RemoteRef;

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
        let written = fs::write(&partial, content).and_then(|()| fs::rename(&partial, self.path.join("packed-refs")));
        written.map_err(|error| Failed::machine("writing the mirror's refs", error))
    }

    /// Takes over the object files of a repository in this file system, as they are: what is broken or missing there is broken
    /// or missing here, and costs only the versions that need it.
    pub(super) fn copy_objects(&self, from: &Path, progress: &mut dyn FnMut(u64, u64) -> Result<()>) -> Result<()> {
        let files = object_files(&from.join("objects"))
            .map_err(|error| Failed::machine(format_args!("reading {}", from.display()), error))?;
        let to = self.path.join("objects");
        let missing: Vec<PathBuf> = files.into_iter().filter(|file| !to.join(file).exists()).collect();
        let total = missing.len() as u64;
        for (file, done) in missing.iter().zip(0..) {
            if done % 256 == 0 {
                progress(done, total)?;
            }
            match copy(&from.join("objects").join(file), &to.join(file)) {
                Err(Copy::Write(error)) => return Err(Failed::machine("copying objects into the mirror", error)),
                Err(Copy::Read(error)) => {
                    tracing::warn!(file = %file.display(), %error, "an object file cannot be read and is left out")
                }
                Ok(()) => {}
            }
        }
        let refreshed = self.repository.odb().and_then(|odb| odb.refresh());
        refreshed.map_err(|error| Failed::machine("opening the mirror's objects", error.message()))
    }

    fn remove_leftovers(&self) {
        let Ok(entries) = fs::read_dir(self.path.join("objects/pack")) else { return };
        for entry in entries.flatten() {
            if is_pack_file(&entry.file_name().to_string_lossy()).is_none() {
                let _ = fs::remove_file(entry.path());
            }
        }
        let _ = fs::remove_file(self.path.join("packed-refs.partial"));
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
}
