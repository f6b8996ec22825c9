//! Work that outlives a request: takes jobs from the queue, keeps their lease alive while they run, and notes how they end.
//!
//! A job whose worker dies is taken again when its lease has run out; every job must therefore bear being begun twice. One that fails
//! for a reason that may pass is followed by another one, later and later; one that fails for good waits for somebody to look.

mod poll;
pub mod probe;
mod purge;
mod release;
pub(crate) mod repository_credential;
pub(crate) mod sync_group;
mod sync_package;

use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use crate::crash::{self, Point};
use crate::domain::job::{Priority, SYNC_GROUP, SYNC_PACKAGE, backoff};
use crate::state::State;
use crate::store::StoreError;
use crate::store::jobs::{Claimed, Ending, Renewed};

const LEASE: Duration = Duration::from_secs(20);
/// Whoever cancels a job waits so long.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// A job queued by another instance is seen at the latest then.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const RETAKE_EVERY: Duration = Duration::from_secs(5);
/// How long a job waits when something is in its way.
const POSTPONED: Duration = Duration::from_secs(2);

/// Runs jobs until `stop` says true; those under way then are dropped and taken again by whoever comes next.
pub async fn run(state: State, stop: watch::Receiver<bool>) {
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..state.config.jobs.workers {
        // One of several leaves the polls to the others: a push must not wait for them.
        let most = if worker == 1 { Priority::Again } else { Priority::Polled };
        tasks.spawn(until_stopped(work(state.clone(), most), stop.clone()));
    }
    if state.config.jobs.workers > 0 {
        tasks.spawn(until_stopped(poll::run(state.clone()), stop.clone()));
    }
    tasks.spawn(until_stopped(retake(state.clone()), stop.clone()));
    tasks.spawn(until_stopped(crate::dists::collect::run(state.clone()), stop.clone()));
    tasks.spawn(until_stopped(release::run(state.clone()), stop.clone()));
    tasks.spawn(until_stopped(purge::run(state), stop));
    while tasks.join_next().await.is_some() {}
}

async fn until_stopped(work: impl Future<Output = ()>, mut stop: watch::Receiver<bool>) {
    tokio::select! {
        () = work => {}
        // An error means that whoever could say stop is gone: that is a stop too.
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn retake(state: State) {
    loop {
        if let Err(error) = state.database.system().retake_jobs().await {
            tracing::warn!(%error, "cannot look for jobs whose worker died; trying again");
        }
        tokio::time::sleep(RETAKE_EVERY).await;
    }
}

async fn work(state: State, most: Priority) {
    let owner = Uuid::now_v7();
    loop {
        match state.database.system().claim_job(owner, LEASE, most).await {
            Ok(Some(job)) => run_one(&state, owner, &job).await,
            Ok(None) => wait(&state).await,
            Err(error) => {
                tracing::warn!(%error, "cannot take jobs; trying again");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
}

async fn wait(state: &State) {
    tokio::select! {
        () = state.jobs_waiting.notified() => {}
        () = tokio::time::sleep(LOOK_EVERY) => {}
    }
}

async fn run_one(state: &State, owner: Uuid, job: &Claimed) {
    crash::point(Point::JobClaimed);
    // One bell wakes one worker; there may be more to do.
    state.jobs_waiting.notify_one();
    let done = tokio::select! {
        done = perform_and_tell(state, job) => done,
        ended = keep_lease(state, owner, job) => Err(ended),
    };
    match note_end(state, owner, job, &done).await {
        Ok(true) => crash::point(Point::JobEnded),
        Ok(false) => tracing::warn!(job = %job.id, "a job ended after its lease was lost; its result is dropped"),
        Err(error) => tracing::warn!(%error, job = %job.id, "cannot note the end of a job; it will be done again"),
    }
}

async fn note_end(
    state: &State,
    owner: Uuid,
    job: &Claimed,
    done: &Result<serde_json::Value, Stopped>,
) -> Result<bool, StoreError> {
    let system = state.database.system();
    let for_good = |error| Ending::Failed { error, result: None, again: None, dead: false };
    match done {
        Ok(result) => system.finish_job(job, owner, Ending::Succeeded(result)).await,
        Err(Stopped::Later(reason)) => match system.postpone_job(job, owner, POSTPONED).await {
            Ok(false) | Err(StoreError::Conflict { .. }) => system.finish_job(job, owner, for_good(reason)).await,
            postponed => postponed,
        },
        Err(Stopped::Failed { error, result, may_pass }) => {
            let again = may_pass.then(|| backoff(job.retries, random())).flatten();
            if let Some(delay) = again {
                tracing::info!(job = %job.id, seconds = delay.as_secs(), "a job failed for a reason that may pass; it is tried again");
            }
            let dead = *may_pass && again.is_none();
            system.finish_job(job, owner, Ending::Failed { error, result: result.as_ref(), again, dead }).await
        }
        Err(Stopped::Cancelled) => system.finish_job(job, owner, Ending::Cancelled).await,
    }
}

/// From 0 to 1, each as likely as the other; the middle when the system has no random bytes.
fn random() -> f64 {
    let mut bytes = [0; 4];
    match ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

/// Why a job did not succeed; the texts are for the operator.
#[derive(Debug)]
enum Stopped {
    /// It failed; what it found out all the same.
    Failed { error: String, result: Option<serde_json::Value>, may_pass: bool },
    /// Something is in the way that goes away by itself.
    Later(String),
    /// Somebody wanted it to end.
    Cancelled,
}

impl Stopped {
    fn failed(error: impl ToString) -> Self {
        Self::Failed { error: error.to_string(), result: None, may_pass: false }
    }
}

/// A job is over when every edge knows what came of it: whoever waits for its end may ask an edge at once.
async fn perform_and_tell(state: &State, job: &Claimed) -> Result<serde_json::Value, Stopped> {
    let done = perform(state, job).await;
    if let Err(error) = state.link.wait(state.database.system(), job.tenant, tokio::time::Instant::now()).await {
        tracing::warn!(%error, job = %job.id, "cannot tell whether every edge knows what came of a job");
    }
    done
}

async fn perform(state: &State, job: &Claimed) -> Result<serde_json::Value, Stopped> {
    match job.kind.as_str() {
        SYNC_PACKAGE => sync_package::run(state, job).await,
        SYNC_GROUP => sync_group::run(state, job).await,
        other => Err(Stopped::failed(format_args!("this release knows no job of the kind `{other}`"))),
    }
}

/// Returns only when the job is to end before it is done.
async fn keep_lease(state: &State, owner: Uuid, job: &Claimed) -> Stopped {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        match state.database.system().renew_job(job, owner, LEASE).await {
            Ok(Renewed::Ours) => {}
            Ok(Renewed::ToEnd) => return Stopped::Cancelled,
            Ok(Renewed::Lost) => return Stopped::failed("another worker took the job over"),
            // The lease outlives a few failures; if the database stays away the job is lost by itself.
            Err(error) => tracing::warn!(%error, job = %job.id, "cannot renew the lease of a job"),
        }
    }
}
