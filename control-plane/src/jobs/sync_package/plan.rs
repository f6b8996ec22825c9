//! What a sync knows before it begins, and what it asks of the git worker.

use std::collections::BTreeMap;
use std::path::Path;

use super::SyncError;
use crate::domain::id::{GitCredentialId, PackageId};
use crate::domain::job::SkippedRef;
use crate::git::protocol::{Credential, Known, Limits, Mode, Monorepo, Outcome, Previous, Request, SkipCode};
use crate::jobs::repository_credential;
use crate::state::State;
use crate::store::TenantTransaction;
use crate::store::git_credentials::{self, SealedCredential};
use crate::store::jobs::Claimed;
use crate::store::package_syncs::{self, SyncState};
use crate::store::publish::{self, Standing};
use crate::store::settled_refs::{self, SettledRef};

/// What a sync knows before it begins.
pub(super) struct Plan {
    pub(super) package: SyncState,
    /// By normalized version.
    pub(super) standing: BTreeMap<String, Standing>,
    settled: Vec<SettledRef>,
    /// Still sealed.
    credential: Option<SealedCredential>,
}

impl Plan {
    pub(super) async fn read(transaction: &mut TenantTransaction, id: PackageId) -> Result<Self, SyncError> {
        let package = package_syncs::sync_state(transaction, id).await?.ok_or(SyncError::Gone)?;
        let standing = publish::standing(transaction, id).await?;
        let settled = settled_refs::settled_refs(transaction, id).await?;
        let credential = git_credentials::of_package(transaction, id).await?;
        Ok(Self { package, standing, settled, credential })
    }

    /// What the worker is asked.
    pub(super) async fn request(
        &self,
        state: &State,
        job: &Claimed,
        id: PackageId,
        output: &Path,
        monorepo: Option<Monorepo>,
    ) -> Result<Request, SyncError> {
        if let Some(reason) = &self.package.frozen_reason {
            return Err(SyncError::Frozen(reason.clone()));
        }
        let git = &state.config.git;
        let previous = self.package.refs_digest.clone().zip(self.package.default_branch.clone());
        let repository_url = self.package.repository_url.clone().ok_or(SyncError::NoRepository)?;
        let mirror = format!("{}.git", id.0.as_simple());
        Ok(Request {
            mode: Mode::Sync,
            credential: self.open(state, job, &repository_url).await?,
            repository_url,
            mirror: state.git_root().join(job.tenant.to_string()).join(mirror),
            output: output.to_owned(),
            network: (*state.network).clone(),
            bound_name: Some(self.package.name.to_string()),
            previous: previous.map(|(refs_digest, default_branch)| Previous { refs_digest, default_branch }),
            branches: self.package.branches.clone().unwrap_or_default(),
            monorepo,
            known: self.known(),
            limits: Limits { total_seconds: git.timeout_seconds, ..Limits::default() },
        })
    }

    /// What opens the repository, in plain text.
    async fn open(&self, state: &State, job: &Claimed, repository_url: &str) -> Result<Option<Credential>, SyncError> {
        match &self.credential {
            Some(sealed) => Ok(Some(repository_credential::open(state, job.tenant, sealed, repository_url).await?)),
            None => Ok(None),
        }
    }

    /// Which git credential is about to be used.
    pub(super) fn credential(&self) -> Option<GitCredentialId> {
        self.credential.as_ref().map(|credential| credential.id)
    }

    /// Refs that need no work while they point to the same object.
    pub(super) fn known(&self) -> BTreeMap<String, Known> {
        self.settled.iter().filter_map(|settled| Some((settled.name.clone(), self.known_ref(settled)?))).collect()
    }

    fn known_ref(&self, settled: &SettledRef) -> Option<Known> {
        let outcome = match (&settled.normalized, &settled.skip_code) {
            // A version that is not there any more is read again.
            (Some(normalized), _) if !self.standing.contains_key(normalized) => return None,
            (Some(normalized), _) => {
                Outcome::Version { normalized: normalized.clone(), default_branch: settled.default_branch }
            }
            (None, Some(code)) => Outcome::Skipped { code: skip_code(code)? },
            (None, None) => return None,
        };
        Some(Known { oid: settled.oid.clone(), outcome })
    }

    /// The refs that are no versions, as the last sync left them.
    pub(super) fn skipped(&self) -> Vec<SkippedRef> {
        skipped(&self.settled)
    }
}

/// Those of `settled` that are no versions.
pub(super) fn skipped(settled: &[SettledRef]) -> Vec<SkippedRef> {
    settled
        .iter()
        .filter_map(|one| Some(SkippedRef { name: one.name.clone(), reason: one.skip_reason.clone()? }))
        .collect()
}

/// A code from the database; one of another release is looked at again.
fn skip_code(text: &str) -> Option<SkipCode> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
}
