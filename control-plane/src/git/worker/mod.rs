//! Decides the course of one sync inside the worker process: list the refs, stop when nothing has changed, bring the objects
//! into the mirror, settle the name, then announce each version as soon as its dist lies complete on disk.
//!
//! Must never write anything but events to its output, and never let one bad ref stop the others.

mod limits;
mod monorepo;
mod output;
mod source;

use std::io::{Read, Write};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cargoman_composer::name::PackageName;
use chrono::{DateTime, SecondsFormat, Utc};

use self::output::Output;
use self::source::Source;
use super::archive::{ArchiveError, Archiver};
use super::failure::Result;
use super::manifest::Reader;
use super::mirror::Mirror;
use super::object::Objects;
use super::plan::{self, Plan, Planned};
use super::protocol::{
    Event, Failed, FailureCode, ListedRef, Mode, Outcome, Phase, Previous, Request, SkipCode, Version,
};
use super::refs::{Listing, RemoteRef, name, short};
use crate::crash::{self, Point};
use crate::domain::branches::{self, BranchPattern};

const LARGEST_REQUEST: u64 = 256 << 20;

/// The whole of `cargoman git-worker`: bounds this process, reads one request, answers with events.
pub fn run(input: impl Read, output: impl Write) -> ExitCode {
    limits::early();
    let mut output = Output::new(output);
    let request = match read_request(input) {
        Ok(request) => request,
        Err(failed) => return output.fail(failed),
    };
    if let Err(failed) = limits::apply(&request.limits) {
        return output.fail(failed);
    }
    serve_caught(&request, &mut output)
}

/// Answers one request without bounding the process: for tests, and for callers that are bounded otherwise.
pub fn serve(request: &Request, output: impl Write) -> ExitCode {
    serve_caught(request, &mut Output::new(output))
}

fn serve_caught(request: &Request, output: &mut Output<impl Write>) -> ExitCode {
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
        limits::configure_libgit2()?;
        sync(request, output, Utc::now())
    }));
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failed)) => output.fail(failed),
        Err(_) => output.fail(Failed::new(
            FailureCode::Died,
            "the git worker hit a fault of its own",
            "report it with the log of the control plane; sync it again once it is mended",
        )),
    }
}

fn read_request(input: impl Read) -> Result<Request> {
    let mut text = Vec::new();
    let read = input.take(LARGEST_REQUEST).read_to_end(&mut text);
    read.map_err(|error| Failed::machine("reading the request", error))?;
    serde_json::from_slice(&text).map_err(|error| fault_of_the_caller(format!("the request cannot be read: {error}")))
}

fn sync(request: &Request, output: &mut Output<impl Write>, now: DateTime<Utc>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(request.limits.total_seconds);
    let bound = request.bound_name.as_deref().map(PackageName::parse).transpose();
    let bound = bound.map_err(|error| fault_of_the_caller(format!("bound_name: {error}")))?;
    if [&request.mirror, &request.output].iter().any(|folder| !folder.is_absolute()) {
        return Err(fault_of_the_caller("mirror and output must be absolute paths"));
    }
    output.progress(Phase::Listing, 0, 0)?;
    let (source, mut listing) = Source::open(request)?;
    crash::point(Point::WorkerListed);
    let default = usable_default_branch(&listing)?.name.clone();
    keep_wanted(&mut listing, &default, &request.branches)?;
    let head = usable_default_branch(&listing)?;
    let default_branch = short(&String::from_utf8_lossy(&head.name)).to_owned();
    if request.mode == Mode::Probe {
        let mut progress = |done, total| output.progress(Phase::Receiving, done, total);
        let read = |objects: &Objects<'_>| Reader::new(objects, &request.limits).head(head, bound.as_ref());
        let package = source.probe(request, head, &mut progress, read)?;
        output.send(&Event::Head { name: package.as_str().to_owned(), default_branch })?;
        return output.send(&Event::Finished);
    }
    let seen = Previous { refs_digest: listing.digest(), default_branch };
    if request.previous.as_ref() == Some(&seen) && !has_unreadable(request) {
        return output.send(&Event::Unchanged);
    }
    let (good, bad): (Vec<RemoteRef>, Vec<RemoteRef>) =
        listing.refs.iter().cloned().partition(|entry| name::check(&entry.name).is_ok());
    let mirror = Mirror::open(&request.mirror)?;
    crash::point(Point::WorkerMirrorOpened);
    source.bring(&mirror, &good, request, &mut |done, total| output.progress(Phase::Receiving, done, total))?;
    crash::point(Point::WorkerBrought);
    let objects = mirror.objects()?;
    let mut reader = Reader::new(&objects, &request.limits);
    let (package, plan) = match (&request.monorepo, bound) {
        (Some(monorepo), Some(root)) => {
            announce(output, &root, seen, &good, &bad)?;
            let plan = monorepo::plan(&mut reader, (&good, head, &root), (request, monorepo), output)?;
            (root, plan)
        }
        (Some(_), None) => return Err(fault_of_the_caller("a monorepo needs a bound_name")),
        (None, bound) => {
            let package = reader.head(head, bound.as_ref())?;
            announce(output, &package, seen, &good, &bad)?;
            let mut progress = |done, total| output.progress(Phase::Reading, done, total);
            let plan = Plan::make(&mut reader, &good, head, &request.known, None, &mut progress)?;
            (package, plan)
        }
    };
    crash::point(Point::WorkerAnnounced);
    Publish { request, objects: &objects, package: &package, now, deadline }.all(plan, output)?;
    crash::point(Point::WorkerDone);
    output.send(&Event::Finished)
}

/// Leaves out the branches that are no versions: they cost nothing from here on.
fn keep_wanted(listing: &mut Listing, default: &[u8], branches: &[String]) -> Result<()> {
    let patterns = branches.iter().map(|one| BranchPattern::parse(one)).collect::<std::result::Result<Vec<_>, _>>();
    let patterns = patterns.map_err(|error| fault_of_the_caller(format!("branches: {error}")))?;
    listing.refs.retain(|entry| {
        let name = entry.name.strip_prefix(b"refs/heads/").filter(|_| entry.name != default);
        name.is_none_or(|name| branches::wanted(&patterns, &String::from_utf8_lossy(name)))
    });
    Ok(())
}

/// What could not be read may be readable now, though no ref has moved.
fn has_unreadable(request: &Request) -> bool {
    let unreadable = Outcome::Skipped { code: SkipCode::UnreadableObject };
    let children = request.monorepo.iter().flat_map(|monorepo| &monorepo.children).map(|child| &child.known);
    children.chain([&request.known]).any(|known| known.values().any(|known| known.outcome == unreadable))
}

/// The decided name, the refs that will be looked at, and those that will not.
fn announce(
    output: &mut Output<impl Write>,
    package: &PackageName,
    seen: Previous,
    good: &[RemoteRef],
    bad: &[RemoteRef],
) -> Result<()> {
    output.send(&Event::Head { name: package.as_str().to_owned(), default_branch: seen.default_branch })?;
    let listed = |entry: &RemoteRef| ListedRef {
        name: String::from_utf8_lossy(&entry.name).into_owned(),
        oid: entry.oid.to_string(),
    };
    output.send(&Event::Refs { refs: good.iter().map(listed).collect(), refs_digest: seen.refs_digest })?;
    for entry in bad {
        let reason = name::check(&entry.name).err().unwrap_or_default();
        output.send(&Event::Skipped(plan::skipped(&entry.name, entry.oid, SkipCode::RefName, reason)))?;
    }
    Ok(())
}

fn fault_of_the_caller(message: impl Into<String>) -> Failed {
    Failed::new(FailureCode::Request, message, "this is a fault of the program that asked; report it")
}

fn usable_default_branch(listing: &Listing) -> Result<&RemoteRef> {
    let entry = listing.default_branch()?;
    name::check(&entry.name).map(|_| entry).map_err(|reason| {
        Failed::new(
            FailureCode::NoDefaultBranch,
            format!("the default branch cannot be used: {reason}"),
            "make another branch the default one",
        )
    })
}

struct Publish<'a, 'mirror> {
    request: &'a Request,
    objects: &'a Objects<'mirror>,
    package: &'a PackageName,
    now: DateTime<Utc>,
    deadline: Instant,
}

impl Publish<'_, '_> {
    fn all(&self, plan: Plan, output: &mut Output<impl Write>) -> Result<()> {
        for skipped in plan.skipped {
            output.send(&Event::Skipped(skipped))?;
        }
        let mut archiver = Archiver::new(self.objects, &self.request.output, &self.request.limits);
        let total = plan.versions.len() as u64;
        for (planned, done) in plan.versions.iter().zip(0..) {
            if Instant::now() >= self.deadline {
                let seconds = self.request.limits.total_seconds;
                return Err(Failed::limit(format!(
                    "the sync took longer than {seconds} seconds; {done} of {total} versions are done"
                )));
            }
            output.progress(Phase::Archiving, done, total)?;
            match archiver.build(&planned.commit, planned.dated()) {
                Ok(dist) => {
                    output.send(&Event::Version(Box::new(self.version(planned, dist))))?;
                    crash::point(Point::WorkerVersionTold);
                }
                Err(ArchiveError::Machine(error)) => return Err(Failed::machine("writing a dist", error)),
                Err(error) => {
                    let (code, reason) = (error.skip_code(), error.to_string());
                    let mut skipped = plan::skipped(planned.name.as_bytes(), planned.oid, code, reason);
                    skipped.package = planned.package.as_ref().map(|name| name.as_str().to_owned());
                    output.send(&Event::Skipped(skipped))?;
                }
            }
        }
        Ok(())
    }

    fn version(&self, planned: &Planned, dist: super::protocol::Dist) -> Version {
        let time = self.clamp(planned.commit.time);
        let manifest = &planned.manifest;
        // As in Composer, a date in the file goes before the commit's.
        let shown = if manifest.time.is_some() { None } else { Some(time.as_str()) };
        let package = planned.package.as_deref().unwrap_or(self.package);
        let metadata =
            manifest.version_object(package, &planned.pretty, &planned.version, shown, planned.default_branch);
        Version {
            package: planned.package.as_ref().map(|name| name.as_str().to_owned()),
            name: planned.name.clone(),
            kind: planned.kind,
            oid: planned.oid.to_string(),
            commit: planned.commit.id.to_string(),
            pretty: planned.pretty.clone(),
            normalized: planned.version.normalized().to_owned(),
            stability: planned.version.stability().to_string(),
            default_branch: planned.default_branch,
            time,
            tagged_at: planned.tagged_at.map(|seconds| self.clamp(seconds)),
            metadata,
            requires: manifest.requires().map(str::to_owned).collect(),
            dist,
        }
    }

    /// Whoever commits chooses the date: years before 1970 and after tomorrow become the nearest believable moment.
    fn clamp(&self, seconds: i64) -> String {
        let latest = self.now.timestamp().saturating_add(86_400);
        DateTime::from_timestamp(seconds.clamp(0, latest), 0)
            .unwrap_or(self.now)
            .to_rfc3339_opts(SecondsFormat::Secs, false)
    }
}
