//! Decides which refs become which versions, as Composer's own reading of a repository does (`VcsRepository`): tags and branches
//! are normalised, the default branch names the package, a `version` key must agree with its tag, the first ref in byte order
//! wins a version. Whatever is wrong with one ref is written down as its reason and concerns nothing else.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use cargoman_composer::manifest::Manifest;
use cargoman_composer::name::PackageName;
use cargoman_composer::stability::Stability;
use cargoman_composer::version::{self, TagVersion, Version, branch_version, tag_version};
use git2::Oid;

use super::failure::Result;
use super::manifest::{Reader, Reason};
use super::members::Members;
use super::object::Commit;
use super::protocol::{Kind, Known, Outcome, SkipCode, Skipped};
use super::refs::{self, RemoteRef};
use super::text::{hex, printable};

/// A ref that becomes a version, once its dist is made.
pub(super) struct Planned {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) oid: Oid,
    pub(super) commit: Commit,
    pub(super) tagged_at: Option<i64>,
    pub(super) pretty: String,
    pub(super) version: Version,
    pub(super) default_branch: bool,
    pub(super) manifest: Rc<Manifest>,
    /// The package of a monorepo; none: the repository's own.
    pub(super) package: Option<Rc<PackageName>>,
}

impl Planned {
    /// The date in its dist, in seconds since 1970. Packages of a monorepo have none, so that a folder that is the same in two commits is
    /// the same dist.
    pub(super) fn dated(&self) -> i64 {
        if self.package.is_some() { 0 } else { self.commit.time }
    }
}

/// Whose versions are planned: those of one package of a monorepo.
pub(super) struct Scope<'a> {
    pub(super) members: &'a mut Members,
    pub(super) name: Rc<PackageName>,
    /// Its folder, as far as is known.
    pub(super) path: &'a str,
}

impl Scope<'_> {
    /// The commit with the package's folder as its tree; none when the package is not in it.
    fn narrowed(
        &mut self,
        reader: &mut Reader<'_, '_>,
        commit: &Commit,
    ) -> std::result::Result<Option<Commit>, Reason> {
        let found = self.members.find(reader, commit, (&self.name, self.path))?;
        Ok(found.map(|(commit, _)| commit))
    }

    /// What a tag says of this package; none when it says nothing of it.
    fn version<'t>(&self, tag: &'t str) -> Option<&'t str> {
        let Some(pattern) = &self.members.tags else { return Some(tag) };
        let folder = self.path.rsplit('/').next().unwrap_or_default();
        pattern.version(tag, &[self.name.as_str(), self.name.short_name(), folder])
    }
}

/// The event for a ref that gives no version.
pub(super) fn skipped(name: &[u8], oid: Oid, code: SkipCode, reason: impl Into<String>) -> Skipped {
    let shown = printable(name);
    let name_hex = (shown.as_bytes() != name).then(|| hex(name));
    Skipped { package: None, name: shown, name_hex, oid: oid.to_string(), code, reason: reason.into() }
}

/// What a sync has to do.
#[derive(Default)]
pub(super) struct Plan {
    /// Newest first: the newest stable tag, the default branch, other tags, other branches.
    pub(super) versions: Vec<Planned>,
    pub(super) skipped: Vec<Skipped>,
    /// Refs that gave a version of the package before and do not have it any more.
    pub(super) absent: Vec<String>,
}

impl Plan {
    /// Decides about every ref. `refs` have acceptable names and stand in byte order.
    pub(super) fn make(
        reader: &mut Reader<'_, '_>,
        refs: &[RemoteRef],
        default_branch: &RemoteRef,
        known: &BTreeMap<String, Known>,
        mut scope: Option<Scope<'_>>,
        progress: &mut dyn FnMut(u64, u64) -> Result<()>,
    ) -> Result<Self> {
        let mut plan = Self::default();
        let mut slots = Slots::default();
        let mut ordered: Vec<(Rank, &RemoteRef, &str)> = refs
            .iter()
            .filter_map(|entry| std::str::from_utf8(&entry.name).ok().map(|name| (entry, name)))
            .map(|(entry, name)| (rank(entry, name, default_branch, known), entry, name))
            .collect();
        ordered.sort_by_key(|(rank, ..)| *rank);
        for ((_, entry, name), done) in ordered.iter().zip(0..) {
            if done % 512 == 0 {
                progress(done, refs.len() as u64)?;
            }
            let is_default = entry.name == default_branch.name;
            match decide(reader, (entry, name, is_default), known.get(*name), scope.as_mut(), &mut slots) {
                Decision::Settled => {}
                Decision::Absent => {
                    let gave = known.get(*name).is_some_and(|known| matches!(known.outcome, Outcome::Version { .. }));
                    plan.absent.extend(gave.then(|| (*name).to_owned()));
                }
                Decision::Skip(reason) => plan.skipped.push(skipped(&entry.name, entry.oid, reason.code, reason.text)),
                Decision::Publish(planned) => plan.versions.push(*planned),
            }
        }
        plan.order();
        Ok(plan)
    }

    fn order(&mut self) {
        let newest = self.versions.iter().filter(|planned| planned.kind == Kind::Tag);
        let newest =
            newest.max_by_key(|planned| (planned.version.stability() == Stability::Stable, planned.version.clone()));
        let newest = newest.map(|planned| planned.name.clone());
        let group = |planned: &Planned| match planned.kind {
            Kind::Tag if Some(&planned.name) == newest.as_ref() => 0,
            Kind::Branch if planned.default_branch => 1,
            Kind::Tag => 2,
            Kind::Branch => 3,
        };
        self.versions.sort_by(|a, b| group(a).cmp(&group(b)).then_with(|| b.version.cmp(&a.version)));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    DefaultBranch,
    /// Published before: stays ahead of newcomers, even when it has moved.
    Published,
    Other,
}

fn rank(entry: &RemoteRef, name: &str, default_branch: &RemoteRef, known: &BTreeMap<String, Known>) -> Rank {
    match known.get(name) {
        _ if entry.name == default_branch.name => Rank::DefaultBranch,
        Some(Known { outcome: Outcome::Version { .. }, .. }) => Rank::Published,
        _ => Rank::Other,
    }
}

enum Decision {
    /// An earlier sync has settled it.
    Settled,
    /// The package is not in it.
    Absent,
    Skip(Reason),
    Publish(Box<Planned>),
}

fn decide(
    reader: &mut Reader<'_, '_>,
    (entry, name, is_default): (&RemoteRef, &str, bool),
    known: Option<&Known>,
    scope: Option<&mut Scope<'_>>,
    slots: &mut Slots,
) -> Decision {
    let Some(kind) = refs::kind(&entry.name) else { return Decision::Settled };
    match known.filter(|known| known.oid == entry.oid.to_string()).map(|known| &known.outcome) {
        Some(Outcome::Skipped { code }) if !code.may_pass() => return Decision::Settled,
        Some(Outcome::Version { normalized, default_branch }) if *default_branch == is_default => {
            return match slots.take(kind, &Version::from_normalized(normalized), name) {
                Ok(()) => Decision::Settled,
                Err(reason) => Decision::Skip(reason),
            };
        }
        _ => {}
    }
    let planned = match kind {
        Kind::Tag => plan_tag(reader, entry, name, scope),
        Kind::Branch => plan_branch(reader, entry, (name, is_default), scope),
    };
    let planned = planned.and_then(|planned| match planned {
        Some(planned) => slots.take(kind, &planned.version, name).map(|()| Some(planned)),
        None => Ok(None),
    });
    match planned {
        Ok(Some(planned)) => Decision::Publish(Box::new(planned)),
        Ok(None) => Decision::Absent,
        Err(reason) => Decision::Skip(reason),
    }
}

fn plan_tag(
    reader: &mut Reader<'_, '_>,
    entry: &RemoteRef,
    name: &str,
    scope: Option<&mut Scope<'_>>,
) -> std::result::Result<Option<Planned>, Reason> {
    let text = match &scope {
        None => refs::short(name),
        Some(scope) => match scope.version(refs::short(name)) {
            Some(text) => text,
            None => return Ok(None),
        },
    };
    let tag = tag_version(text).map_err(|error| Reason::new(SkipCode::NotAVersion, error.to_string()))?;
    let (commit, tagged_at) = reader.commit(entry.oid)?;
    let Some((commit, package)) = narrowed(reader, commit, scope)? else { return Ok(None) };
    let (manifest, _) = reader.manifest(&commit)?;
    let TagVersion { pretty, version } = match &manifest.version {
        Some(written) => by_version_key(written, &tag)?,
        None => tag,
    };
    let (name, kind, oid) = (name.to_owned(), Kind::Tag, entry.oid);
    Ok(Some(Planned { name, kind, oid, commit, tagged_at, pretty, version, default_branch: false, manifest, package }))
}

/// A commit, as far as it is of a package; and which package of a monorepo that is.
type Narrowed = (Commit, Option<Rc<PackageName>>);

/// The commit as far as it is of the package; none when the package is not in it.
fn narrowed(
    reader: &mut Reader<'_, '_>,
    commit: Commit,
    scope: Option<&mut Scope<'_>>,
) -> std::result::Result<Option<Narrowed>, Reason> {
    let Some(scope) = scope else { return Ok(Some((commit, None))) };
    let narrowed = scope.narrowed(reader, &commit)?;
    Ok(narrowed.map(|commit| (commit, Some(Rc::clone(&scope.name)))))
}

/// A `version` key must mean the tag's version (a `-dev` at its end does not count); its spelling is then what people see.
fn by_version_key(written: &str, tag: &TagVersion) -> std::result::Result<TagVersion, Reason> {
    let bare = without_dev(written);
    match tag_version(bare) {
        Ok(found) if found.version == tag.version => Ok(found),
        _ => {
            let text = format!(
                "the tag says version {}, but `version` in composer.json says {}",
                tag.version,
                printable(written.as_bytes())
            );
            Err(Reason::new(SkipCode::VersionMismatch, text))
        }
    }
}

fn without_dev(text: &str) -> &str {
    match text.len().checked_sub(3).and_then(|at| text.split_at_checked(at)) {
        Some((head, tail)) if tail.eq_ignore_ascii_case("dev") => head.strip_suffix(['.', '-']).unwrap_or(head),
        _ => text,
    }
}

fn plan_branch(
    reader: &mut Reader<'_, '_>,
    entry: &RemoteRef,
    (name, default_branch): (&str, bool),
    scope: Option<&mut Scope<'_>>,
) -> std::result::Result<Option<Planned>, Reason> {
    let branch =
        branch_version(refs::short(name)).map_err(|error| Reason::new(SkipCode::NotAVersion, error.to_string()))?;
    let (commit, _) = reader.commit(entry.oid)?;
    let Some((commit, package)) = narrowed(reader, commit, scope)? else { return Ok(None) };
    let (manifest, _) = reader.manifest(&commit)?;
    let (pretty, version) = (branch.pretty, branch.version);
    let (name, kind, oid) = (name.to_owned(), Kind::Branch, entry.oid);
    Ok(Some(Planned { name, kind, oid, commit, tagged_at: None, pretty, version, default_branch, manifest, package }))
}

/// Who has taken which version. Two spellings that PHP's `version_compare` finds equal are one version.
#[derive(Default)]
struct Slots {
    tags: BTreeMap<Version, String>,
    branches: BTreeMap<Version, String>,
}

impl Slots {
    fn take(&mut self, kind: Kind, version: &Version, name: &str) -> std::result::Result<(), Reason> {
        let slots = match kind {
            Kind::Tag => &mut self.tags,
            Kind::Branch => &mut self.branches,
        };
        // Equal ones are neighbours in the order.
        let neighbours = slots.range(version..).next().into_iter().chain(slots.range(..version).next_back());
        let same = |other: &Version| match kind {
            Kind::Tag => version::compare(other.normalized(), version.normalized()) == Ordering::Equal,
            Kind::Branch => other == version,
        };
        if let Some((_, holder)) = neighbours.into_iter().find(|(other, _)| same(other)) {
            let text = format!("`{}` already gives version {version}", refs::short(holder));
            return Err(Reason::new(SkipCode::Duplicate, text));
        }
        slots.insert(version.clone(), name.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ref_per_version() {
        let mut slots = Slots::default();
        let mut take = |kind, text: &str, name: &str| {
            slots.take(kind, &Version::from_normalized(text), name).map_err(|reason| reason.text)
        };
        assert_eq!(take(Kind::Tag, "1.0.0.0", "refs/tags/1.0.0"), Ok(()));
        assert_eq!(take(Kind::Tag, "1.0.0.0", "refs/tags/v1.0.0"), Err("`1.0.0` already gives version 1.0.0.0".into()));
        assert_eq!(
            take(Kind::Tag, "01.0.0.0", "refs/tags/v01.0.0"),
            Err("`1.0.0` already gives version 01.0.0.0".into())
        );
        assert_eq!(take(Kind::Tag, "1.0.0.0-beta1", "refs/tags/1.0.0b1"), Ok(()));
        assert_eq!(take(Kind::Branch, "1.0.0.0", "refs/heads/1.0.0.0"), Ok(()));
    }

    /// Composer's `{[.-]?dev$}i` on the key and on its normal form.
    #[test]
    fn version_keys() {
        let tag = tag_version("v1.2.0").unwrap();
        for (written, pretty) in [
            ("1.2.0", Some("1.2.0")),
            ("1.2", Some("1.2")),
            ("v1.2.0.0", Some("v1.2.0.0")),
            ("1.2.0-dev", Some("1.2.0")),
            ("1.2.0.DEV", Some("1.2.0")),
            ("1.2.1", None),
            ("1.2.0-beta1", None),
            ("dev-main", None),
            ("nonsense", None),
            ("", None),
        ] {
            assert_eq!(by_version_key(written, &tag).ok().map(|found| found.pretty).as_deref(), pretty, "{written}");
        }
    }
}
