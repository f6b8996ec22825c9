//! Decides what a commit says about itself: its composer.json, read from the object database, and the one name that all versions
//! of the package are published under.

use std::collections::HashMap;
use std::rc::Rc;

use cargoman_composer::manifest::{Manifest, ManifestError};
use cargoman_composer::name::PackageName;
use git2::Oid;

use super::failure::Result;
use super::object::{Commit, ObjectError, Objects, Peeled, TreeEntry};
use super::protocol::{Failed, FailureCode, Limits, SkipCode};
use super::refs::{self, RemoteRef};
use super::text::printable;

/// Why a ref gives no version.
pub(super) struct Reason {
    pub(super) code: SkipCode,
    pub(super) text: String,
}

impl Reason {
    pub(super) fn new(code: SkipCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl From<ObjectError> for Reason {
    fn from(error: ObjectError) -> Self {
        let code = match error {
            ObjectError::Unreadable { .. } => SkipCode::UnreadableObject,
            ObjectError::Malformed { .. } => SkipCode::Archive,
        };
        Self::new(code, error.to_string())
    }
}

/// Reads manifests, each distinct one once.
pub(super) struct Reader<'a, 'mirror> {
    objects: &'a Objects<'mirror>,
    most_bytes: usize,
    manifests: HashMap<Oid, std::result::Result<Rc<Manifest>, String>>,
    /// What is wrong with the `name` of manifests that are otherwise good.
    bad_names: HashMap<Oid, String>,
}

impl<'a, 'mirror> Reader<'a, 'mirror> {
    pub(super) fn new(objects: &'a Objects<'mirror>, limits: &Limits) -> Self {
        Self { objects, most_bytes: limits.manifest_bytes, manifests: HashMap::new(), bad_names: HashMap::new() }
    }

    /// The entries of a tree.
    pub(super) fn tree(&self, oid: Oid) -> std::result::Result<Rc<[TreeEntry]>, Reason> {
        Ok(self.objects.tree(oid)?)
    }

    /// What is wrong with the name in a composer.json that was read.
    pub(super) fn bad_name(&self, manifest: Oid) -> Option<&str> {
        self.bad_names.get(&manifest).map(String::as_str)
    }

    /// The commit that a ref leads to, with the time of its annotated tag.
    pub(super) fn commit(&self, oid: Oid) -> std::result::Result<(Commit, Option<i64>), Reason> {
        match self.objects.peel(oid)? {
            Peeled::Commit(commit, tagged_at) => Ok((commit, tagged_at)),
            Peeled::Other(what) => {
                Err(Reason::new(SkipCode::NotACommit, format!("it points to {what}, not to a commit")))
            }
        }
    }

    /// composer.json in a commit's root folder, and its blob. Links are not followed.
    pub(super) fn manifest(&mut self, commit: &Commit) -> std::result::Result<(Rc<Manifest>, Oid), Reason> {
        let tree = self.objects.tree(commit.tree)?;
        let entry = tree.iter().find(|entry| entry.name == b"composer.json");
        let entry =
            entry.ok_or_else(|| Reason::new(SkipCode::NoManifest, "there is no composer.json in its root folder"))?;
        if entry.mode & 0o170_000 != 0o100_000 {
            return Err(Reason::new(SkipCode::BadManifest, "composer.json is not a regular file"));
        }
        if !self.manifests.contains_key(&entry.oid) {
            let parsed = self.parse(entry.oid)?;
            self.manifests.insert(entry.oid, parsed);
        }
        match self.manifests.get(&entry.oid) {
            Some(Ok(manifest)) => Ok((Rc::clone(manifest), entry.oid)),
            Some(Err(text)) => Err(Reason::new(SkipCode::BadManifest, text)),
            None => Err(Reason::new(SkipCode::BadManifest, "composer.json was not read")),
        }
    }

    /// All versions take the bound name, so a name that Composer would refuse (`Acme/Pay` in an old tag) is no fault of theirs.
    fn parse(&mut self, oid: Oid) -> std::result::Result<std::result::Result<Rc<Manifest>, String>, Reason> {
        if self.objects.blob_size(oid)? > self.most_bytes as u64 {
            return Ok(Err(format!("composer.json is larger than {} KiB", self.most_bytes >> 10)));
        }
        let (parsed, bad_name) = self.objects.blob(oid, |content| match Manifest::parse(content) {
            // To Composer it is no composer.json at all.
            Ok(_) if is_empty_object(content) => (Err("composer.json is an empty object".to_owned()), None),
            Err(ManifestError::Field { field, reason }) if field == "name" => {
                (parse_without_name(content).map_err(|error| error.to_string()), Some(reason))
            }
            parsed => (parsed.map_err(|error| error.to_string()), None),
        })?;
        if let Some(reason) = bad_name {
            self.bad_names.insert(oid, reason);
        }
        Ok(parsed.map(Rc::new))
    }

    /// The name that all versions are published under. The first sync takes it from the default branch; later ones hold to it.
    ///
    /// # Errors
    /// When the default branch says another name than the bound one; and, while nothing is bound, when it says none.
    pub(super) fn head(&mut self, default_branch: &RemoteRef, bound: Option<&PackageName>) -> Result<PackageName> {
        let branch = printable(&default_branch.name);
        let branch = refs::short(&branch);
        let manifest = self.commit(default_branch.oid).and_then(|(commit, _)| self.manifest(&commit));
        let manifest = match (manifest, bound) {
            (Ok((manifest, oid)), _) => match self.bad_names.get(&oid) {
                Some(reason) => {
                    let message = format!("composer.json on the default branch `{branch}`: `name` {reason}");
                    return Err(Failed::new(FailureCode::Name, message, "correct `name` in it"));
                }
                None => manifest,
            },
            // The branch itself is skipped with its reason; releases do not depend on it any more.
            (Err(_), Some(bound)) => return Ok(bound.clone()),
            (Err(reason), None) => return Err(head_failure(branch, &reason)),
        };
        let found = match (&manifest.name, bound) {
            (Some(name), _) => name,
            (None, Some(bound)) => return Ok(bound.clone()),
            (None, None) => {
                let message = format!("composer.json on the default branch `{branch}` has no `name`");
                return Err(Failed::new(FailureCode::Name, message, "add `\"name\": \"vendor/package\"` to it"));
            }
        };
        let name = PackageName::parse(found).map_err(|error| {
            let message = format!("composer.json on the default branch `{branch}`: {error}");
            Failed::new(FailureCode::Name, message, "correct `name` in it")
        })?;
        match bound {
            Some(bound) if *bound != name => Err(Failed::new(
                FailureCode::Name,
                format!(
                    "the default branch `{branch}` now says the package's name is `{name}`, but it is bound to `{bound}`"
                ),
                "put the old name back, or add the repository as a new package",
            )),
            _ => Ok(name),
        }
    }
}

fn is_empty_object(content: &[u8]) -> bool {
    content.iter().filter(|byte| !byte.is_ascii_whitespace()).eq(b"{}")
}

/// The content has been found to be an object without doubled keys.
fn parse_without_name(content: &[u8]) -> std::result::Result<Manifest, ManifestError> {
    let syntax = |error: serde_json::Error| ManifestError::Syntax { reason: error.to_string() };
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(content).map_err(syntax)?;
    object.shift_remove("name");
    Manifest::parse(&serde_json::to_vec(&object).map_err(syntax)?)
}

fn head_failure(branch: &str, reason: &Reason) -> Failed {
    let (code, remedy) = match reason.code {
        SkipCode::NoManifest => (FailureCode::NoManifest, "add a composer.json to the root folder of that branch"),
        SkipCode::UnreadableObject => (FailureCode::UnreadableObject, "run `git fsck` on the repository and repair it"),
        _ => (FailureCode::BadManifest, "correct it (`composer validate` finds most faults) and push"),
    };
    Failed::new(code, format!("default branch `{branch}`: {}", reason.text), remedy)
}
