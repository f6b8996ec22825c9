//! Decides which packages of a monorepo a sync makes, and what each of them gets. One package's fault is never another's.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::rc::Rc;

use cargoman_composer::name::PackageName;
use cargoman_composer::version::{branch_version, tag_version};

use super::super::failure::Result;
use super::super::manifest::{Reader, Reason};
use super::super::members::{Member, Members};
use super::super::plan::{self, Plan, Planned, Scope};
use super::super::protocol::{Event, Failed, Kind, Monorepo, Phase, Request, SkipCode, Skipped};
use super::super::refs::{self, RemoteRef, short};
use super::output::Output;

/// Packages times refs that are looked at in one sync.
const MOST_PAIRS: usize = 500_000;

/// What all packages of the repository get, the repository's own among them if it is one.
pub(super) fn plan(
    reader: &mut Reader<'_, '_>,
    (refs, head, root): (&[RemoteRef], &RemoteRef, &PackageName),
    (request, monorepo): (&Request, &Monorepo),
    output: &mut Output<impl Write>,
) -> Result<Plan> {
    let mut members = Members::new(monorepo, &request.limits)?;
    let children = children(reader, (head, root), monorepo, &mut members, output)?;
    if children.len().saturating_mul(refs.len()) > MOST_PAIRS {
        return Err(Failed::limit(format!(
            "the repository has {} packages and {} refs; together more than {MOST_PAIRS} pairs",
            children.len(),
            refs.len()
        )));
    }
    let mut plans = Vec::new();
    if is_package(reader, head, root) {
        let mut progress = |done, total| output.progress(Phase::Reading, done, total);
        plans.push(Plan::make(reader, refs, head, &request.known, None, &mut progress)?);
    } else if members.tags.is_none() {
        plans.push(Plan { skipped: no_versions(refs), ..Plan::default() });
    }
    let total = children.len() as u64;
    for ((name, path), done) in children.iter().zip(0..) {
        output.progress(Phase::Reading, done, total)?;
        let name = Rc::new(name.clone());
        let none = BTreeMap::new();
        let known = monorepo.children.iter().find(|child| child.name == name.as_str()).map(|child| &child.known);
        let scope = Scope { members: &mut members, name: Rc::clone(&name), path };
        let mut plan = Plan::make(reader, refs, head, known.unwrap_or(&none), Some(scope), &mut |_, _| Ok(()))?;
        // What is wrong with a ref itself is said once, of the repository.
        plan.skipped.retain(|skipped| !matches!(skipped.code, SkipCode::NotAVersion | SkipCode::NotACommit));
        for skipped in &mut plan.skipped {
            skipped.package = Some(name.as_str().to_owned());
        }
        for name_of_ref in plan.absent.drain(..) {
            output.send(&Event::Absent { package: name.as_str().to_owned(), name: name_of_ref })?;
        }
        plans.push(plan);
    }
    Ok(together(plans))
}

/// The packages that the default branch has and that may be made, and those that were made before, with their folders.
fn children(
    reader: &mut Reader<'_, '_>,
    (head, root): (&RemoteRef, &PackageName),
    monorepo: &Monorepo,
    members: &mut Members,
    output: &mut Output<impl Write>,
) -> Result<BTreeMap<PackageName, String>> {
    let mut children: BTreeMap<PackageName, String> = monorepo
        .children
        .iter()
        .filter_map(|child| Some((PackageName::parse(&child.name).ok()?, child.path.clone())))
        .collect();
    let before: BTreeSet<PackageName> = children.keys().cloned().collect();
    let there = reader.commit(head.oid).and_then(|(commit, _)| members.of(reader, &commit));
    let there = there.map_err(|reason| {
        let message = format!("default branch `{}`: {}", short(&String::from_utf8_lossy(&head.name)), reason.text);
        Failed::limit(message)
    })?;
    let mut seen = BTreeSet::new();
    for member in there.iter() {
        match accepted(member, (root, &seen, &before), monorepo) {
            Ok(name) => {
                seen.insert(name.clone());
                output.send(&Event::Member { name: name.as_str().to_owned(), path: member.path.clone() })?;
                children.insert(name.clone(), member.path.clone());
            }
            Err(reason) => {
                output.send(&Event::Skipped(plan::skipped(
                    member.path.as_bytes(),
                    head.oid,
                    reason.code,
                    reason.text,
                )))?;
            }
        }
    }
    Ok(children)
}

/// Whether a folder may be a package of the registry (G-J5).
fn accepted<'m>(
    member: &'m Member,
    (root, seen, before): (&PackageName, &BTreeSet<PackageName>, &BTreeSet<PackageName>),
    monorepo: &Monorepo,
) -> std::result::Result<&'m PackageName, Reason> {
    let refuse = |code, text: String| Err(Reason::new(code, text));
    let name = member.name.as_ref().map_err(|reason| Reason::new(reason.code, reason.text.clone()))?;
    if name == root || seen.contains(name) {
        return refuse(SkipCode::Duplicate, format!("another folder is `{name}` already"));
    }
    if before.contains(name) {
        return Ok(name);
    }
    if monorepo.taken.contains(name.as_str()) {
        let text =
            format!("`{name}` is another package of this registry; delete that one first, or name this one otherwise");
        return refuse(SkipCode::Duplicate, text);
    }
    if !monorepo.vendors.contains(name.vendor()) {
        let text = format!(
            "`{name}` would be under a vendor that this registry does not have; PUT /vendors/{} first",
            name.vendor()
        );
        return refuse(SkipCode::BadManifest, text);
    }
    Ok(name)
}

/// Whether the repository's root is a package itself: its composer.json says the name.
fn is_package(reader: &mut Reader<'_, '_>, head: &RemoteRef, root: &PackageName) -> bool {
    let manifest = reader.commit(head.oid).and_then(|(commit, _)| reader.manifest(&commit));
    manifest.is_ok_and(|(manifest, _)| manifest.name.as_deref() == Some(root.as_str()))
}

/// Refs that are no version of any package.
fn no_versions(refs: &[RemoteRef]) -> Vec<Skipped> {
    let problem = |entry: &RemoteRef| {
        let name = std::str::from_utf8(&entry.name).ok()?;
        match refs::kind(&entry.name)? {
            Kind::Tag => tag_version(short(name)).err().map(|error| error.to_string()),
            Kind::Branch => branch_version(short(name)).err().map(|error| error.to_string()),
        }
    };
    let skipped = |entry: &RemoteRef| {
        let reason = problem(entry)?;
        Some(plan::skipped(&entry.name, entry.oid, SkipCode::NotAVersion, reason))
    };
    refs.iter().filter_map(skipped).collect()
}

/// The newest of each first, then the second newest of each.
fn together(plans: Vec<Plan>) -> Plan {
    let mut all = Plan::default();
    let mut ranked: Vec<(usize, Planned)> = Vec::new();
    for plan in plans {
        all.skipped.extend(plan.skipped);
        ranked.extend(plan.versions.into_iter().enumerate());
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    all.versions = ranked.into_iter().map(|(_, planned)| planned).collect();
    all
}
