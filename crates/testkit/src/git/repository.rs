//! A bare repository and the words to fill it: `write`, `commit`, `tag`, `branch`. There is no work tree; changes
//! wait until the next `commit` and go through `git fast-import`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use url::Url;

use super::fast_import::{Change, Stream};
use super::shape::Shape;
use crate::output;

/// When the first commit of every repository is made: 2020-09-13 12:26:40 UTC.
pub(super) const FIRST_DATE: u64 = 1_600_000_000;
/// How much later each further commit or tag is made.
pub(super) const DATE_STEP: u64 = 3600;
const LIMIT: Duration = Duration::from_secs(120);

/// A bare repository. All methods that change something give it back, so that they can be chained.
#[derive(Debug)]
pub struct Repository {
    path: PathBuf,
    next: Mutex<Next>,
    _folder: Option<TempDir>,
}

/// What the next commit will be.
#[derive(Debug)]
struct Next {
    branch: String,
    seconds: u64,
    changes: Vec<(String, Change)>,
}

impl Repository {
    /// An empty repository in a temporary folder; its default branch is `main`.
    pub fn bare() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut repository = Self::bare_at(&folder.path().join("repository.git"));
        repository._folder = Some(folder);
        repository
    }

    /// An empty repository in a temporary folder, filled by `fill`.
    pub fn bare_with(fill: impl FnOnce(&Self)) -> Self {
        let repository = Self::bare();
        fill(&repository);
        repository
    }

    /// An empty repository in the new folder `path`, which stays.
    pub fn bare_at(path: &Path) -> Self {
        std::fs::create_dir_all(path).expect("the repository's folder");
        let next = Next { branch: "main".to_owned(), seconds: FIRST_DATE, changes: Vec::new() };
        let repository = Self { path: path.to_owned(), next: Mutex::new(next), _folder: None };
        repository.git(&["init", "--quiet", "--bare", "--initial-branch=main", "."]);
        repository
    }

    /// A repository of this shape in a temporary folder.
    pub fn shaped(shape: &Shape) -> Self {
        let repository = Self::bare();
        repository.fill(shape);
        repository
    }

    /// Fills an empty repository with this shape.
    pub fn fill(&self, shape: &Shape) -> &Self {
        self.import(&shape.stream());
        self.default_branch(&shape.main_branch());
        self.next().branch = shape.main_branch();
        self
    }

    /// The repository's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The `file://` URL.
    pub fn url(&self) -> String {
        Url::from_file_path(&self.path).expect("an absolute path").into()
    }

    /// Writes a file with the next commit.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        self.change(path, Change::Write { mode: "100644", bytes: content.as_ref().to_vec() })
    }

    /// Writes an executable file with the next commit.
    pub fn executable(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        self.change(path, Change::Write { mode: "100755", bytes: content.as_ref().to_vec() })
    }

    /// Makes a symbolic link with the next commit; `target` may be anything.
    pub fn symlink(&self, path: &str, target: &str) -> &Self {
        self.change(path, Change::Write { mode: "120000", bytes: target.as_bytes().to_vec() })
    }

    /// Adds a submodule with the next commit (only the entry; write `.gitmodules` yourself).
    pub fn submodule(&self, path: &str, commit: &str) -> &Self {
        self.change(path, Change::Link { commit: commit.to_owned() })
    }

    /// Removes a file or folder with the next commit.
    pub fn remove(&self, path: &str) -> &Self {
        self.change(path, Change::Remove)
    }

    /// Sets the date of the next commit or tag, in seconds since 1970; later ones follow an hour apart.
    pub fn date(&self, seconds: u64) -> &Self {
        self.next().seconds = seconds;
        self
    }

    /// Commits what was written since the last commit, to the current branch. May be empty.
    pub fn commit(&self, message: &str) -> &Self {
        self.commit_onto(&[], message)
    }

    /// Like [`Self::commit`], with `other` (a branch, tag or id) as second parent.
    pub fn merge(&self, other: &str, message: &str) -> &Self {
        self.commit_onto(&[self.resolve(other)], message)
    }

    /// Makes `name`, or moves it, to the current branch's last commit and goes on there.
    pub fn branch(&self, name: &str) -> &Self {
        self.update_ref(&format!("refs/heads/{name}"), "HEAD").checkout(name)
    }

    /// Goes on with branch `name`; one that does not exist starts without history at the next commit.
    pub fn checkout(&self, name: &str) -> &Self {
        self.next().branch = name.to_owned();
        self
    }

    /// Deletes a branch.
    pub fn delete_branch(&self, name: &str) -> &Self {
        self.delete_ref(&format!("refs/heads/{name}"))
    }

    /// Sets what `HEAD` of the repository names: the branch that clients see as default.
    pub fn default_branch(&self, name: &str) -> &Self {
        self.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{name}")]);
        self
    }

    /// A lightweight tag on the current branch's last commit.
    pub fn tag(&self, name: &str) -> &Self {
        self.update_ref(&format!("refs/tags/{name}"), "HEAD")
    }

    /// A tag object on the current branch's last commit, dated like a commit.
    pub fn annotated_tag(&self, name: &str, message: &str) -> &Self {
        let seconds = self.tick();
        let mut stream = Stream::default();
        stream.annotated_tag(name, &self.head(), seconds, message);
        self.import(&stream)
    }

    /// Lets an existing tag name the current branch's last commit.
    pub fn move_tag(&self, name: &str) -> &Self {
        self.resolve(&format!("refs/tags/{name}"));
        self.tag(name)
    }

    /// Deletes a tag.
    pub fn delete_tag(&self, name: &str) -> &Self {
        self.delete_ref(&format!("refs/tags/{name}"))
    }

    /// Sets any ref by its full name. `target`: an id, branch or tag, or `HEAD` for the current branch's last commit.
    pub fn update_ref(&self, name: &str, target: &str) -> &Self {
        let target = if target == "HEAD" { self.head() } else { self.resolve_object(target) };
        self.git(&["update-ref", name, &target]);
        self
    }

    /// Deletes any ref by its full name, which must exist.
    pub fn delete_ref(&self, name: &str) -> &Self {
        self.git(&["rev-parse", "--quiet", "--verify", name]);
        self.git(&["update-ref", "-d", name]);
        self
    }

    /// Sets a value of the repository's own configuration, such as `uploadpack.allowFilter`.
    pub fn configure(&self, key: &str, value: &str) -> &Self {
        self.git(&["config", key, value]);
        self
    }

    /// The id of the current branch's last commit.
    pub fn head(&self) -> String {
        let branch = self.next().branch.clone();
        self.resolve(&format!("refs/heads/{branch}"))
    }

    /// The id of the commit that `name` (a branch, tag or id) names; panics if there is none.
    pub fn resolve(&self, name: &str) -> String {
        self.resolve_object(&format!("{name}^{{commit}}"))
    }

    /// Stores an object as it is, however wrong, and gives its id. `kind`: `blob`, `tree`, `commit` or `tag`.
    pub fn raw_object(&self, kind: &str, bytes: &[u8]) -> String {
        self.git_with(&["hash-object", "-t", kind, "--literally", "-w", "--stdin"], bytes)
    }

    /// Runs any git command in the repository; gives what it printed, trimmed. Panics if it fails.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        self.git_with(arguments, b"")
    }

    #[track_caller]
    fn git_with(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut command = super::command(&self.path);
        // `--git-dir`: a broken repository must not be taken for the one around it.
        command.args(["--git-dir", "."]).args(arguments);
        let output = output::run(&mut command, input, LIMIT);
        assert!(output.status.success(), "git {arguments:?}: {}", output.combined);
        output.stdout.trim().to_owned()
    }

    fn resolve_object(&self, name: &str) -> String {
        self.git(&["rev-parse", "--quiet", "--verify", "--end-of-options", name])
    }

    fn commit_onto(&self, others: &[String], message: &str) -> &Self {
        let seconds = self.tick();
        let (branch, changes) = {
            let mut next = self.next();
            (next.branch.clone(), std::mem::take(&mut next.changes))
        };
        let exists = self.git(&["for-each-ref", "--format=yes", &format!("refs/heads/{branch}")]) == "yes";
        let mut parents: Vec<String> = exists.then(|| format!("refs/heads/{branch}^0")).into_iter().collect();
        parents.extend_from_slice(others);
        let mut stream = Stream::default();
        let changes = changes.iter().map(|(path, change)| (path.as_str(), change));
        stream.commit(&branch, &parents, seconds, message, changes);
        self.import(&stream)
    }

    fn import(&self, stream: &Stream) -> &Self {
        // `--force`: a test may rewrite history.
        self.git_with(&["fast-import", "--quiet", "--force", "--date-format=raw"], &stream.0);
        self
    }

    fn change(&self, path: &str, change: Change) -> &Self {
        self.next().changes.push((path.to_owned(), change));
        self
    }

    fn tick(&self) -> u64 {
        let mut next = self.next();
        let seconds = next.seconds;
        next.seconds += DATE_STEP;
        seconds
    }

    fn next(&self) -> MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
