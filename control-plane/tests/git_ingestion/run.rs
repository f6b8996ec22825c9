//! Runs the worker inside the test and sorts its events.

use cargoman_control_plane::git::network::Network;
use cargoman_control_plane::git::protocol::{
    Event, Failed, Known, Limits, ListedRef, Mode, Outcome, Previous, Request, Skipped, Version,
};
use cargoman_control_plane::git::worker;

/// Folders of one package: its mirror and its dists.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("output")).unwrap();
        Self { folder }
    }

    pub(crate) fn request(&self, url: &str) -> Request {
        Request {
            mode: Mode::Sync,
            repository_url: url.to_owned(),
            mirror: self.folder.path().join("mirror.git"),
            output: self.folder.path().join("output"),
            network: Network { allow_local: true, ..Network::default() },
            credential: None,
            bound_name: None,
            previous: None,
            branches: Vec::new(),
            monorepo: None,
            known: std::collections::BTreeMap::new(),
            limits: Limits::default(),
        }
    }

    pub(crate) fn sync(&self, url: &str) -> Answer {
        answer(&self.request(url))
    }
}

/// What a sync said.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) head: Option<(String, String)>,
    pub(crate) refs: Vec<ListedRef>,
    pub(crate) refs_digest: String,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) versions: Vec<Version>,
    pub(crate) unchanged: bool,
    pub(crate) finished: bool,
    pub(crate) failed: Option<Failed>,
    /// Packages of a monorepo, and their folders.
    pub(crate) members: Vec<(String, String)>,
    /// Packages, and the refs that do not have them any more.
    pub(crate) absent: Vec<(String, String)>,
}

/// Runs a request in this process.
pub(crate) fn answer(request: &Request) -> Answer {
    let mut output = Vec::new();
    worker::serve(request, &mut output);
    let events = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let answer = collect(events.map(|line| serde_json::from_slice(line).unwrap()));
    assert_eq!(
        [answer.unchanged, answer.finished, answer.failed.is_some()].iter().filter(|end| **end).count(),
        1,
        "one last line"
    );
    answer
}

pub(crate) fn collect(events: impl Iterator<Item = Event>) -> Answer {
    let mut answer = Answer::default();
    for event in events {
        assert!(!answer.unchanged && !answer.finished && answer.failed.is_none(), "nothing follows the last line");
        match event {
            Event::Progress { .. } => {}
            Event::Unchanged => answer.unchanged = true,
            Event::Head { name, default_branch } => answer.head = Some((name, default_branch)),
            Event::Refs { refs, refs_digest } => (answer.refs, answer.refs_digest) = (refs, refs_digest),
            Event::Skipped(skipped) => answer.skipped.push(skipped),
            Event::Version(version) => answer.versions.push(*version),
            Event::Member { name, path } => answer.members.push((name, path)),
            Event::Absent { package, name } => answer.absent.push((package, name)),
            Event::Finished => answer.finished = true,
            Event::Failed(failed) => answer.failed = Some(failed),
        }
    }
    answer
}

impl Answer {
    /// `pretty` of all versions, in the order they came.
    pub(crate) fn pretty(&self) -> Vec<&str> {
        self.versions.iter().map(|version| version.pretty.as_str()).collect()
    }

    pub(crate) fn version(&self, pretty: &str) -> &Version {
        self.versions
            .iter()
            .find(|version| version.pretty == pretty)
            .unwrap_or_else(|| panic!("no version {pretty}: {self:#?}"))
    }

    pub(crate) fn skipped(&self, name: &str) -> &Skipped {
        self.skipped
            .iter()
            .find(|skipped| skipped.name == name)
            .unwrap_or_else(|| panic!("{name} was not skipped: {self:#?}"))
    }

    pub(crate) fn failure(&self) -> &Failed {
        self.failed.as_ref().unwrap_or_else(|| panic!("the sync did not fail: {self:#?}"))
    }

    /// The next request after this answer, as the control plane would make it.
    pub(crate) fn next(&self, request: &Request) -> Request {
        let mut next = request.clone();
        let (name, default_branch) = self.head.clone().unwrap();
        next.bound_name = Some(name);
        next.previous = Some(Previous { refs_digest: self.refs_digest.clone(), default_branch });
        for version in &self.versions {
            let outcome =
                Outcome::Version { normalized: version.normalized.clone(), default_branch: version.default_branch };
            next.known.insert(version.name.clone(), Known { oid: version.oid.clone(), outcome });
        }
        for skipped in &self.skipped {
            next.known.insert(
                skipped.name.clone(),
                Known { oid: skipped.oid.clone(), outcome: Outcome::Skipped { code: skipped.code } },
            );
        }
        next
    }
}
