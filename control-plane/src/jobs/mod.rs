//! Work that outlives a request: takes jobs from the queue, keeps their lease alive while they run, and notes how they end.
//!
//! A job whose worker dies is taken again when its lease has run out; every job must therefore bear being begun twice.

pub mod probe;
mod purge;
mod sync_package;

use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::job::SYNC_PACKAGE;
use crate::state::State;
use crate::store::StoreError;
use crate::store::jobs::Claimed;

const LEASE: Duration = Duration::from_secs(20);
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// A job queued by another instance is seen at the latest then.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const RETAKE_EVERY: Duration = Duration::from_secs(5);
/// How long a job waits when something is in its way.
const POSTPONED: Duration = Duration::from_secs(2);

/// Runs jobs until `stop` says true; those under way then are dropped and taken again by whoever comes next.
pub async fn run(state: State, stop: watch::Receiver<bool>) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..state.config.jobs.workers {
        tasks.spawn(until_stopped(work(state.clone()), stop.clone()));
    }
    tasks.spawn(until_stopped(retake(state.clone()), stop.clone()));
    tasks.spawn(until_stopped(crate::dists::collect::run(state.clone()), stop.clone()));
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

async fn work(state: State) {
    let owner = Uuid::now_v7();
    loop {
        match state.database.system().claim_job(owner, LEASE).await {
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
    // One bell wakes one worker; there may be more to do.
    state.jobs_waiting.notify_one();
    let done = tokio::select! {
        done = perform_and_tell(state, job) => done,
        lost = keep_lease(state, owner, job) => Err(Stopped::failed(lost)),
    };
    let system = state.database.system();
    let noted = match &done {
        Ok(result) => system.finish_job(job, owner, Some(result), None).await,
        Err(Stopped::Later(reason)) => match system.postpone_job(job, owner, POSTPONED).await {
            Ok(false) | Err(StoreError::Conflict { .. }) => system.finish_job(job, owner, None, Some(reason)).await,
            postponed => postponed,
        },
        Err(Stopped::Failed { error, result }) => system.finish_job(job, owner, result.as_ref(), Some(error)).await,
    };
    match noted {
        Ok(true) => {}
        Ok(false) => tracing::warn!(job = %job.id, "a job ended after its lease was lost; its result is dropped"),
        Err(error) => tracing::warn!(%error, job = %job.id, "cannot note the end of a job; it will be done again"),
    }
}

/// Why a job did not succeed; the texts are for the operator.
#[derive(Debug)]
enum Stopped {
    /// It failed; what it found out all the same.
    Failed { error: String, result: Option<serde_json::Value> },
    /// Something is in the way that goes away by itself.
    Later(String),
}

impl Stopped {
    fn failed(error: impl ToString) -> Self {
        Self::Failed { error: error.to_string(), result: None }
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
        other => Err(Stopped::failed(format_args!("this release knows no job of the kind `{other}`"))),
    }
}

/// Returns only when the lease is lost.
async fn keep_lease(state: &State, owner: Uuid, job: &Claimed) -> String {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let renewed: Result<bool, StoreError> = state.database.system().renew_job(job, owner, LEASE).await;
        match renewed {
            Ok(true) => {}
            Ok(false) => return "another worker took the job over".to_owned(),
            // The lease outlives a few failures; if the database stays away the job is lost by itself.
            Err(error) => tracing::warn!(%error, job = %job.id, "cannot renew the lease of a job"),
        }
    }
}
