//! Looks which projects of a group at a forge are packages: lists them where that is wanted, looks at those that may have become one,
//! and has their forge tell us of pushes.
//!
//! Every project is settled in a transaction of its own: killed at any moment, what is known is right, and the next run goes on. What is
//! a package already is never taken away here: a project that is gone at the forge leaves its package as it is.

mod ask;
mod hooks;
mod look;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use self::look::Looked;
use crate::domain::forge_group::ProjectState;
use crate::domain::id::ForgeGroupId;
use crate::domain::job::Progress;
use crate::forge::client::Client;
use crate::forge::{Dialect, ForgeError, Project};
use crate::jobs::Stopped;
use crate::jobs::repository_credential::CredentialError;
use crate::state::State;
use crate::store::forge_groups::{self, Known};
use crate::store::jobs::Claimed;
use crate::store::{Actor, StoreError, TenantTransaction, forge_projects};

pub(crate) use self::ask::{api_client, first_page};
pub(crate) use self::hooks::remove as remove_hooks;

/// Projects of one group; more are a mistake in its address.
const MOST_PROJECTS: usize = 20_000;
/// Pages of a list. None has fewer than 20 items but the last.
const MOST_PAGES: usize = 1_000;
/// A look goes on later after this long: one forge that is slow must not keep a worker from others.
const LONGEST: Duration = Duration::from_secs(600);

/// Why a look at a group ended early; the text is what the operator reads.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GroupError {
    #[error("the group was deleted while it was looked at")]
    Gone,
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error("the group has more than {MOST_PROJECTS} projects; give the address of a smaller one")]
    TooMany,
    #[error("the look took {} minutes; what is left is looked at later", LONGEST.as_secs() / 60)]
    TooLong,
    #[error("cannot write to the database: {0}")]
    Store(#[from] StoreError),
}

impl GroupError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Forge(error) => error.may_pass(),
            Self::Credential(error) => error.may_pass(),
            Self::Store(_) | Self::TooLong => true,
            Self::Gone | Self::TooMany => false,
        }
    }
}

/// What a look at a group did.
#[derive(Debug, Default, Serialize)]
struct Done {
    /// Projects that were looked at.
    looked: usize,
    /// Packages that were added, by name.
    added: Vec<String>,
    /// Packages that follow a project to its new address.
    moved: Vec<String>,
    /// Projects that are no packages though they have a composer.json, or could not be looked at.
    refused: Vec<RefusedProject>,
    /// Hooks that were made.
    hooks: usize,
    /// Why hooks could not be made.
    hook_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct RefusedProject {
    project: String,
    reason: String,
}

/// Runs the job.
///
/// # Errors
/// With a text for the operator.
pub(super) async fn run(state: &State, job: &Claimed) -> Result<Value, Stopped> {
    let id = ForgeGroupId(job.subject);
    let mut done = Done::default();
    let ended = sync(state, job, id, &mut done).await;
    // Packages that were added wait for their first sync.
    state.jobs_waiting.notify_one();
    let error = ended.as_ref().err().map(ToString::to_string);
    let shown = error.as_deref().or(done.hook_error.as_deref());
    if let Err(error) = note(state, job, id, shown).await {
        tracing::warn!(%error, "cannot note how a look at a group ended");
    }
    let result = serde_json::to_value(&done).map_err(Stopped::failed)?;
    match ended {
        Ok(()) => {
            tracing::info!(group = %id, looked = done.looked, added = done.added.len(), hooks = done.hooks, "looked at a group");
            Ok(result)
        }
        Err(error) => {
            tracing::warn!(group = %id, %error, "a look at a group failed; what is known of it stays");
            Err(Stopped::Failed { error: error.to_string(), may_pass: error.may_pass(), result: Some(result) })
        }
    }
}

async fn begin(state: &State, job: &Claimed) -> Result<TenantTransaction, StoreError> {
    TenantTransaction::begin(&state.database, job.tenant, Actor::Job(job.id.to_string())).await
}

async fn note(state: &State, job: &Claimed, id: ForgeGroupId, error: Option<&str>) -> Result<(), StoreError> {
    let mut transaction = begin(state, job).await?;
    forge_groups::synced(&mut transaction, id, error).await?;
    transaction.commit().await
}

/// What a run works with.
struct Run<'a> {
    state: &'a State,
    job: &'a Claimed,
    known: Known,
    dialect: Dialect,
    client: Client,
    until: Instant,
}

async fn sync(state: &State, job: &Claimed, id: ForgeGroupId, done: &mut Done) -> Result<(), GroupError> {
    let mut transaction = begin(state, job).await?;
    let known = forge_groups::find(&mut transaction, id).await?.ok_or(GroupError::Gone)?;
    drop(transaction);
    let dialect = crate::forge::address::dialect(known.group.provider, &known.group.api_url);
    let client = ask::group_client(state, job.tenant, &known).await?;
    let run = Run { state, job, known, dialect, client, until: Instant::now() + LONGEST };
    if run.known.list_wanted {
        let projects = run.list().await?;
        let mut transaction = begin(state, job).await?;
        forge_projects::listed(&mut transaction, id, &projects, run.known.list_asked).await?;
        transaction.commit().await?;
    }
    let mut transaction = begin(state, job).await?;
    let wanted = forge_projects::to_look(&mut transaction, id).await?;
    drop(transaction);
    for (at, one) in wanted.iter().enumerate() {
        run.tell("reading", at, wanted.len()).await;
        run.in_time()?;
        let looked = run.look(one).await?;
        done.looked += 1;
        match looked {
            Looked::Added(name) => done.added.push(name.to_string()),
            Looked::Moved(name) => done.moved.push(name),
            Looked::Settled(verdict) => {
                let reason = verdict.reason.unwrap_or_default();
                if matches!(verdict.state, ProjectState::Refused | ProjectState::Failed) {
                    done.refused.push(RefusedProject { project: one.project.path.clone(), reason });
                }
            }
        }
    }
    run.hooks(done).await
}

impl Run<'_> {
    /// All projects of the group.
    async fn list(&self) -> Result<Vec<Project>, GroupError> {
        let (mut all, mut next) = (Vec::<Project>::new(), None);
        let mut seen = HashSet::new();
        for _ in 0..MOST_PAGES {
            self.tell("listing", all.len(), 0).await;
            self.in_time()?;
            let page = ask::page(&self.client, self.dialect, &self.known.path, next.as_deref()).await?;
            // What moves from page to page while they are read comes twice.
            all.extend(page.items.into_iter().filter(|one| seen.insert(one.remote_id.clone())));
            if all.len() > MOST_PROJECTS {
                return Err(GroupError::TooMany);
            }
            next = page.next;
            if next.is_none() {
                return Ok(all);
            }
        }
        Err(ForgeError::unreadable("its list of projects has no end").into())
    }

    fn in_time(&self) -> Result<(), GroupError> {
        if Instant::now() < self.until { Ok(()) } else { Err(GroupError::TooLong) }
    }

    async fn tell(&self, phase: &str, done: usize, total: usize) {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let progress = Progress { phase: phase.to_owned(), done: count(done), total: count(total) };
        let Ok(value) = serde_json::to_value(progress) else { return };
        // Nothing depends on it.
        if let Err(error) = self.state.database.system().note_progress(self.job, &value).await {
            tracing::debug!(%error, "cannot note progress");
        }
    }
}
