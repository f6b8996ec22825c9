//! Decides which folders of a monorepo are packages in a commit: those that a pattern covers and that hold a composer.json. A package
//! is known by its name, wherever its folder lies; one whose composer.json cannot be read is known by its folder.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use cargoman_composer::name::PackageName;
use git2::Oid;

use super::failure::Result;
use super::manifest::{Reader, Reason};
use super::object::Commit;
use super::protocol::{Failed, FailureCode, Limits, Monorepo, SkipCode};
use super::text::printable;
use crate::domain::monorepo::{PathPattern, TagPattern, covers};

const FOLDER: u32 = 0o040_000;

/// A folder that is a package, or should be.
pub(super) struct Member {
    pub(super) path: String,
    pub(super) tree: Oid,
    /// Its name; why it has none.
    pub(super) name: std::result::Result<PackageName, Reason>,
}

/// The members of each commit, each distinct tree looked at once.
pub(super) struct Members {
    patterns: Vec<PathPattern>,
    pub(super) tags: Option<TagPattern>,
    most: usize,
    by_tree: HashMap<Oid, Rc<[Member]>>,
}

impl Members {
    /// For the patterns of a request.
    ///
    /// # Errors
    /// When they were not checked before.
    pub(super) fn new(monorepo: &Monorepo, limits: &Limits) -> Result<Self> {
        let wrong = |error: crate::domain::monorepo::PatternError| {
            Failed::new(FailureCode::Request, format!("monorepo: {error}"), "PATCH the package's `monorepo`")
        };
        let patterns =
            monorepo.patterns.iter().map(|one| PathPattern::parse(one)).collect::<std::result::Result<_, _>>();
        let tags = monorepo.tags.as_deref().map(TagPattern::parse).transpose();
        Ok(Self {
            patterns: patterns.map_err(wrong)?,
            tags: tags.map_err(wrong)?,
            most: limits.members,
            by_tree: HashMap::new(),
        })
    }

    /// The members in a commit, in byte order of their folders.
    pub(super) fn of(
        &mut self,
        reader: &mut Reader<'_, '_>,
        commit: &Commit,
    ) -> std::result::Result<Rc<[Member]>, Reason> {
        if let Some(known) = self.by_tree.get(&commit.tree) {
            return Ok(Rc::clone(known));
        }
        let mut folders = BTreeMap::new();
        for pattern in self.patterns.iter().filter(|pattern| !pattern.excludes()) {
            walk(reader, pattern, (0, String::new(), commit.tree), &mut folders)?;
        }
        folders.retain(|path, _| covers(&self.patterns, path));
        if folders.len() > self.most {
            let text = format!("it holds more than {} packages", self.most);
            return Err(Reason::new(SkipCode::Archive, text));
        }
        let mut members = Vec::new();
        for (path, tree) in folders {
            let of_folder = Commit { tree, ..commit.clone() };
            let name = match reader.manifest(&of_folder) {
                // A folder without one is no package.
                Err(reason) if reason.code == SkipCode::NoManifest => continue,
                Err(reason) => Err(reason),
                Ok((manifest, oid)) => named(reader, manifest.name.as_deref(), oid),
            };
            members.push(Member { path, tree, name });
        }
        let members: Rc<[Member]> = members.into();
        self.by_tree.insert(commit.tree, Rc::clone(&members));
        Ok(members)
    }

    /// The folder of one package in a commit; none when it is not there.
    pub(super) fn find(
        &mut self,
        reader: &mut Reader<'_, '_>,
        commit: &Commit,
        child: (&PackageName, &str),
    ) -> std::result::Result<Option<(Commit, String)>, Reason> {
        let members = self.of(reader, commit)?;
        let (name, path) = child;
        let by_name = members.iter().find(|member| member.name.as_ref().is_ok_and(|found| found == name));
        let found = by_name.or_else(|| members.iter().find(|member| member.name.is_err() && member.path == path));
        Ok(found.map(|member| (Commit { tree: member.tree, ..commit.clone() }, member.path.clone())))
    }
}

fn named(reader: &Reader<'_, '_>, name: Option<&str>, oid: Oid) -> std::result::Result<PackageName, Reason> {
    let wrong = |text: String| Reason::new(SkipCode::BadManifest, text);
    if let Some(reason) = reader.bad_name(oid) {
        return Err(wrong(format!("composer.json: `name` {reason}")));
    }
    let name = name.ok_or_else(|| wrong("composer.json has no `name`".to_owned()))?;
    PackageName::parse(name).map_err(|error| wrong(format!("composer.json: {error}")))
}

/// Goes down into the folders that a pattern leads to.
fn walk(
    reader: &Reader<'_, '_>,
    pattern: &PathPattern,
    (depth, path, tree): (usize, String, Oid),
    folders: &mut BTreeMap<String, Oid>,
) -> std::result::Result<(), Reason> {
    if depth == pattern.depth() {
        folders.insert(path, tree);
        return Ok(());
    }
    for entry in reader.tree(tree)?.iter().filter(|entry| entry.mode & 0o170_000 == FOLDER) {
        // What cannot be read as text fits no pattern, and would be shown to nobody.
        let Ok(name) = std::str::from_utf8(&entry.name) else { continue };
        if printable(&entry.name) == name && pattern.fits_at(depth, name) {
            let below = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            walk(reader, pattern, (depth + 1, below, entry.oid), folders)?;
        }
    }
    Ok(())
}
