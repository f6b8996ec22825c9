//! Reads a package's repository and publishes what is new: the git worker finds versions and writes their dists, this job
//! stores the dists and makes the versions visible, newest first.
//!
//! A version is written after its dist is stored, in small transactions that are each whole: killed at any moment, what is
//! published is right, and the next run goes on. A failed run takes nothing away.

mod batch;
mod children;
mod plan;
mod progress;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cargoman_credential::Digest;
use serde_json::Value;
use tokio::sync::mpsc;

use self::batch::Outcome;
use self::children::One;
use self::plan::Plan;
use self::progress::Told;
use crate::crash::{self, Point};
use crate::dists::{self, StoreDistError};
use crate::domain::id::PackageId;
use crate::domain::job::SyncResult;
use crate::git::child::End;
use crate::git::protocol::{Event, Failed, FailureCode, ListedRef, Version};
use crate::jobs::Stopped;
use crate::jobs::repository_credential::CredentialError;
use crate::state::State;
use crate::store::jobs::Claimed;
use crate::store::{Actor, StoreError, TenantTransaction, git_credentials, monorepos, package_syncs};

/// Events that the worker may be ahead of the database: bounds memory, and the disk its dists take.
const EVENTS_AHEAD: usize = 64;

/// Why a sync ended early; the text is what the operator reads.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error("the package was deleted while it was synced")]
    Gone,
    #[error("the package is frozen: {0}")]
    Frozen(String),
    #[error("the package has no repository_url; set one with PATCH /packages/{{vendor}}/{{name}}")]
    NoRepository,
    #[error("{}; {}", .0.message, .0.remedy)]
    Git(Box<Failed>),
    /// A git worker of a process that was killed is still at it; it ends at its next word.
    #[error("another git worker is still reading this repository")]
    Busy,
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error("no branch and no tag gives a version: {reason}")]
    Nothing { reason: String, result: Box<SyncResult> },
    #[error("cannot prepare the folder {0}: {1}; look at free disk space and permissions of the data folder")]
    Folder(PathBuf, #[source] std::io::Error),
    #[error("cannot store a dist: {0}")]
    Storage(#[from] StoreDistError),
    #[error("cannot write to the database: {0}")]
    Store(#[from] StoreError),
    #[error("the git worker gave a package that cannot be, {0}: {1}")]
    Member(String, String),
    #[error("the git worker gave a digest that is none: {0}")]
    Digest(#[from] cargoman_credential::ParseDigestError),
}

impl SyncError {
    /// No ref gives a version: the reason of the default branch, else the first one, stands for all.
    fn nothing(result: SyncResult, default_branch: Option<&str>) -> Self {
        let skipped = &result.skipped;
        let head = default_branch.map(|branch| format!("refs/heads/{branch}"));
        let shown = skipped.iter().find(|one| Some(&one.name) == head.as_ref()).or(skipped.first());
        let others = match skipped.len() {
            0 | 1 => String::new(),
            all => format!(" (and {} more)", all - 1),
        };
        let reason = match shown {
            Some(one) => format!("{}: {}{others}; correct it and sync again", one.name, one.reason),
            None => "the repository has none; push one and sync again".to_owned(),
        };
        Self::Nothing { reason, result: Box::new(result) }
    }

    /// Whether it may go well the next time though nobody does anything about it.
    fn may_pass(&self) -> bool {
        match self {
            Self::Git(failed) => failed.code.may_pass(),
            Self::Credential(error) => error.may_pass(),
            Self::Folder(..) | Self::Storage(_) | Self::Store(_) => true,
            Self::Gone
            | Self::Frozen(_)
            | Self::NoRepository
            | Self::Busy
            | Self::Nothing { .. }
            | Self::Member(..)
            | Self::Digest(_) => false,
        }
    }

    /// What was found out all the same.
    fn result(self) -> Option<Value> {
        match self {
            Self::Nothing { result, .. } => serde_json::to_value(result).ok(),
            _ => None,
        }
    }
}

/// Runs the job.
///
/// # Errors
/// With a text for the operator.
pub(super) async fn run(state: &State, job: &Claimed) -> Result<Value, Stopped> {
    let begun = Instant::now();
    let package = PackageId(job.subject);
    let output = state.git_root().join(job.tenant.to_string()).join(format!("{}.out", package.0.as_simple()));
    let synced = sync(state, job, package, &output).await;
    // Dists that were not taken over are written again by the next run.
    tokio::fs::remove_dir_all(&output).await.ok();
    match synced {
        Ok(mut result) => {
            result.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(package = %job.subject, added = result.added.len(), updated = result.updated.len(), removed = result.removed.len(), skipped = result.skipped.len(), took_ms = result.took_ms, "package synced");
            serde_json::to_value(result).map_err(Stopped::failed)
        }
        Err(SyncError::Busy) => Err(Stopped::Later(SyncError::Busy.to_string())),
        Err(error) => {
            tracing::warn!(package = %job.subject, %error, "a sync failed; what is published stays");
            note_failure(state, job, package, &error.to_string()).await;
            Err(Stopped::Failed { error: error.to_string(), may_pass: error.may_pass(), result: error.result() })
        }
    }
}

async fn note_failure(state: &State, job: &Claimed, package: PackageId, error: &str) {
    let noted = async {
        let mut transaction = begin(state, job).await?;
        package_syncs::sync_failed(&mut transaction, package, error).await?;
        transaction.commit().await
    };
    if let Err(error) = noted.await {
        tracing::warn!(%error, "cannot note a failed sync");
    }
}

async fn begin(state: &State, job: &Claimed) -> Result<TenantTransaction, StoreError> {
    TenantTransaction::begin(&state.database, job.tenant, Actor::Job(job.id.to_string())).await
}

async fn sync(state: &State, job: &Claimed, package: PackageId, output: &Path) -> Result<SyncResult, SyncError> {
    tokio::fs::remove_dir_all(output).await.ok();
    state.git_worker.make_folder(output).await.map_err(|error| SyncError::Folder(output.to_owned(), error))?;
    let mut transaction = begin(state, job).await?;
    let plan = Plan::read(&mut transaction, package).await?;
    let children = children::known(&mut transaction, package).await?;
    let monorepo = children::told(&mut transaction, (package, &plan), &children).await?;
    if let Some(credential) = plan.credential() {
        git_credentials::used(&mut transaction, credential, crate::clock::now()).await?;
    }
    transaction.commit().await?;
    let request = plan.request(state, job, package, output, monorepo).await?;
    crash::point(Point::SyncPlanned);
    let mut run = Run {
        state,
        job,
        root: One::new(package, plan),
        children,
        created: Vec::new(),
        stored: HashSet::new(),
        refs: None,
        flushed: false,
        since: Instant::now(),
        told: Told::new(state, job),
    };
    // Whichever fails first ends both; a worker whose future is dropped is killed.
    let (sender, mut events) = mpsc::channel(EVENTS_AHEAD);
    let worker = async { state.git_worker.run(&request, sender).await.map_err(git_failed) };
    let taken = async {
        while let Some(event) = events.recv().await {
            run.take(event).await?;
        }
        Ok(())
    };
    let (end, ()) = tokio::try_join!(worker, taken)?;
    match end {
        End::Finished => run.finish().await,
        End::Unchanged => run.unchanged().await,
    }
}

fn git_failed(failed: Failed) -> SyncError {
    if failed.code == FailureCode::Busy {
        return SyncError::Busy;
    }
    SyncError::Git(Box::new(failed))
}

/// The newest versions become visible at once, the long tail in larger steps.
const FIRST: usize = 10;
const LATER: usize = 100;
const LONGEST: Duration = Duration::from_millis(500);

struct Run<'a> {
    state: &'a State,
    job: &'a Claimed,
    root: One,
    /// The packages of a monorepo, by name, with their folders.
    children: BTreeMap<String, (One, String)>,
    /// Those that this sync made.
    created: Vec<String>,
    /// Dists that this sync has stored: packages of a monorepo share many.
    stored: HashSet<Digest>,
    /// The listing and its digest, once the worker said them.
    refs: Option<(Vec<ListedRef>, String)>,
    /// Whether anything was made visible, and when something was last.
    flushed: bool,
    since: Instant,
    told: Told<'a>,
}

impl Run<'_> {
    async fn take(&mut self, event: Event) -> Result<(), SyncError> {
        match event {
            Event::Head { default_branch, .. } => self.root.batch.default_branch = Some(default_branch),
            Event::Refs { refs, refs_digest } => {
                crash::point(Point::RefsHeard);
                self.refs = Some((refs, refs_digest));
            }
            Event::Member { name, path } => self.member(name, &path).await?,
            Event::Absent { package, name } => {
                if let Some(one) = self.of(Some(&package)) {
                    one.batch.absent(name);
                }
            }
            Event::Skipped(skipped) => {
                if let Some(one) = self.of(skipped.package.as_deref()) {
                    one.batch.skip(skipped);
                }
            }
            Event::Version(version) => {
                if self.of(version.package.as_deref()).is_none() {
                    return Ok(());
                }
                crash::point(Point::VersionHeard);
                self.store(&version).await?;
                crash::point(Point::DistStored);
                if let Some(one) = self.of(version.package.as_deref()) {
                    one.batch.add(*version);
                }
                if self.is_due() {
                    self.flush().await?;
                }
            }
            Event::Progress { phase, done, total } => self.told.progress(phase, done, total).await,
            Event::Unchanged | Event::Finished | Event::Failed(_) => {}
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        let children: usize = self.children.values().map(|(one, _)| one.batch.waiting()).sum();
        let most = if self.flushed { LATER } else { FIRST };
        children + self.root.batch.waiting() >= most || self.since.elapsed() >= LONGEST
    }

    async fn store(&mut self, version: &Version) -> Result<(), SyncError> {
        let sha256: Digest = version.dist.sha256.parse()?;
        if !self.stored.contains(&sha256) {
            let places = (&self.state.database, &self.state.storage);
            dists::store(places, self.job.tenant, (sha256, version.dist.size), &version.dist.path).await?;
            self.stored.insert(sha256);
        }
        Ok(())
    }

    /// The root, then the children by name: every sync locks them in one order.
    fn all(&mut self) -> impl Iterator<Item = &mut One> {
        std::iter::once(&mut self.root).chain(self.children.values_mut().map(|(one, _)| one))
    }

    /// Makes visible what is stored.
    async fn flush(&mut self) -> Result<(), SyncError> {
        let mut transaction = begin(self.state, self.job).await?;
        for One { id, plan, batch } in self.all().filter(|one| !one.batch.is_empty()) {
            if let Outcome::Gone = batch.publish(&mut transaction, *id, plan).await? {
                return Err(SyncError::Gone);
            }
        }
        crash::point(Point::VersionsWritten);
        transaction.commit().await?;
        crash::point(Point::VersionsCommitted);
        self.all().for_each(|one| one.batch.published());
        (self.flushed, self.since) = (true, Instant::now());
        Ok(())
    }

    async fn finish(mut self) -> Result<SyncResult, SyncError> {
        self.flush().await?;
        let mut transaction = begin(self.state, self.job).await?;
        let (refs, digest) = self.refs.take().unwrap_or_default();
        let default_branch = self.root.batch.default_branch.clone();
        let One { id, plan, batch } = self.root;
        let mut result =
            batch.complete(&mut transaction, id, &plan, (&refs, &digest), self.children.is_empty()).await?;
        for (name, (One { id, plan, mut batch }, _)) in self.children {
            batch.default_branch.clone_from(&default_branch);
            let of_child = batch.complete(&mut transaction, id, &plan, (&refs, &digest), false).await?;
            result.take_in(&name, of_child);
        }
        result.packages = self.created;
        crash::point(Point::EndWritten);
        transaction.commit().await?;
        crash::point(Point::EndCommitted);
        Ok(result)
    }

    async fn unchanged(self) -> Result<SyncResult, SyncError> {
        let (mut transaction, at) = (begin(self.state, self.job).await?, crate::clock::now());
        package_syncs::synced(&mut transaction, self.root.id, None, None, at).await?;
        monorepos::children_synced(&mut transaction, self.root.id, at).await?;
        transaction.commit().await?;
        let mut result = SyncResult { unchanged: true, skipped: self.root.plan.skipped(), ..SyncResult::default() };
        for (name, (one, _)) in &self.children {
            result.take_in(name, SyncResult { skipped: one.plan.skipped(), ..SyncResult::default() });
        }
        Ok(result)
    }
}
