//! Reads a package's repository and publishes what is new: the git worker finds versions and writes their dists, this job
//! stores the dists and makes the versions visible, newest first.
//!
//! A version is written after its dist is stored, in small transactions that are each whole: killed at any moment, what is
//! published is right, and the next run goes on. A failed run takes nothing away.

mod batch;
mod plan;

use std::path::{Path, PathBuf};
use std::time::Instant;

use cargoman_credential::Digest;
use serde_json::Value;
use tokio::sync::mpsc;

use self::batch::{Batch, Outcome};
use self::plan::Plan;
use crate::dists::{self, StoreDistError};
use crate::domain::id::PackageId;
use crate::domain::job::SyncResult;
use crate::git::child::End;
use crate::git::protocol::{Event, FailureCode, ListedRef, Version};
use crate::jobs::Stopped;
use crate::state::State;
use crate::store::jobs::Claimed;
use crate::store::{Actor, StoreError, TenantTransaction, packages};

/// Events that the worker may be ahead of the database: bounds memory, and the disk its dists take.
const EVENTS_AHEAD: usize = 64;

/// Why a sync ended early; the text is what the operator reads.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error("the package was deleted while it was synced")]
    Gone,
    #[error("the package has no repository_url; set one with PATCH /packages/{{vendor}}/{{name}}")]
    NoRepository,
    #[error("{0}")]
    Git(String),
    /// A git worker of a process that was killed is still at it; it ends at its next word.
    #[error("another git worker is still reading this repository")]
    Busy,
    #[error("no branch and no tag gives a version: {reason}")]
    Nothing { reason: String, result: Box<SyncResult> },
    #[error("cannot prepare the folder {0}: {1}; look at free disk space and permissions of the data folder")]
    Folder(PathBuf, #[source] std::io::Error),
    #[error("cannot store a dist: {0}")]
    Storage(#[from] StoreDistError),
    #[error("cannot write to the database: {0}")]
    Store(#[from] StoreError),
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
            Err(Stopped::Failed { error: error.to_string(), result: error.result() })
        }
    }
}

async fn note_failure(state: &State, job: &Claimed, package: PackageId, error: &str) {
    let noted = async {
        let mut transaction = begin(state, job).await?;
        packages::sync_failed(&mut transaction, package, error).await?;
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
    tokio::fs::create_dir_all(output).await.map_err(|error| SyncError::Folder(output.to_owned(), error))?;
    let mut transaction = begin(state, job).await?;
    let plan = Plan::read(&mut transaction, package).await?;
    drop(transaction);
    let request = plan.request(state, job, package, output)?;
    let mut run = Run { state, job, package, batch: Batch::new(&plan), plan: &plan, refs: None };
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

fn git_failed(failed: crate::git::protocol::Failed) -> SyncError {
    if failed.code == FailureCode::Busy {
        return SyncError::Busy;
    }
    SyncError::Git(format!("{}; {}", failed.message, failed.remedy))
}

struct Run<'a> {
    state: &'a State,
    job: &'a Claimed,
    package: PackageId,
    plan: &'a Plan,
    batch: Batch,
    /// The listing, its digest and the default branch, once the worker said them.
    refs: Option<(Vec<ListedRef>, String)>,
}

impl Run<'_> {
    async fn take(&mut self, event: Event) -> Result<(), SyncError> {
        match event {
            Event::Head { default_branch, .. } => self.batch.default_branch = Some(default_branch),
            Event::Refs { refs, refs_digest } => self.refs = Some((refs, refs_digest)),
            Event::Skipped(skipped) => self.batch.skip(skipped),
            Event::Version(version) => {
                self.store(&version).await?;
                self.batch.add(*version);
                if self.batch.is_due() {
                    self.flush().await?;
                }
            }
            Event::Progress { .. } | Event::Unchanged | Event::Finished | Event::Failed(_) => {}
        }
        Ok(())
    }

    async fn store(&self, version: &Version) -> Result<(), SyncError> {
        let sha256: Digest = version.dist.sha256.parse()?;
        let places = (&self.state.database, &self.state.storage);
        dists::store(places, self.job.tenant, (sha256, version.dist.size), &version.dist.path).await?;
        Ok(())
    }

    /// Makes visible what is stored.
    async fn flush(&mut self) -> Result<(), SyncError> {
        let mut transaction = begin(self.state, self.job).await?;
        match self.batch.publish(&mut transaction, self.package, self.plan).await? {
            Outcome::Gone => Err(SyncError::Gone),
            Outcome::Published => {
                transaction.commit().await?;
                self.batch.published();
                Ok(())
            }
        }
    }

    async fn finish(mut self) -> Result<SyncResult, SyncError> {
        self.flush().await?;
        let mut transaction = begin(self.state, self.job).await?;
        let (refs, digest) = self.refs.take().unwrap_or_default();
        let result = self.batch.complete(&mut transaction, self.package, self.plan, &refs, &digest).await?;
        transaction.commit().await?;
        Ok(result)
    }

    async fn unchanged(self) -> Result<SyncResult, SyncError> {
        let mut transaction = begin(self.state, self.job).await?;
        packages::synced(&mut transaction, self.package, None, None, crate::clock::now()).await?;
        transaction.commit().await?;
        Ok(SyncResult { unchanged: true, skipped: self.plan.skipped(), ..SyncResult::default() })
    }
}
