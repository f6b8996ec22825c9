//! One round of questions: what is believed so far decides which facts are needed, and only what is not sure is asked for.

use std::sync::Arc;

use cargoman_composer::name::PackageName;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{Entry, Key};
use cargoman_licence::CollectionId;

use super::belief::{Answers, Believed, ask_for};
use super::{Found, Needed, Reading, SoFar, tenant_of};
use crate::cache::access::Holding;
use crate::cache::{Belief, Known};
use crate::link::control_plane::CallError;

/// What is asked for beside host and access.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) collections: Vec<CollectionId>,
    pub(super) directory: bool,
    pub(super) packages: Vec<PackageName>,
}

impl Asked {
    fn of(needed: Needed<'_>, so_far: SoFar<'_>) -> Self {
        let SoFar { holding, held, .. } = so_far;
        let collections = holding.filter(|_| needed.collections).map(Holding::collections).unwrap_or_default();
        Self {
            collections: collections.to_vec(),
            directory: needed.directory && held.has_patterns(),
            packages: (needed.packages)(so_far),
        }
    }

    /// Whether all of `other` is in it.
    fn holds(&self, other: &Self) -> bool {
        other.collections.iter().all(|id| self.collections.binary_search(id).is_ok())
            && (self.directory || !other.directory)
            && (self.packages == other.packages || other.packages.iter().all(|name| self.packages.contains(name)))
    }
}

/// One round.
pub(super) struct Round {
    host: String,
    digest: Option<Digest>,
    /// Whether what the caches are sure of is believed; else everything is asked for.
    trusted: bool,
    /// Of the round before: read after the request came in, so good for it, even if the caches do not keep it.
    before: Found,
    asked: Asked,
}

impl Round {
    pub(super) fn first(host: String, digest: Option<Digest>, trusted: bool) -> Self {
        Self { host, digest, trusted, before: Found::default(), asked: Asked::default() }
    }

    pub(super) async fn ask(&mut self, reading: &Reading, needed: Needed<'_>) -> Result<Found, CallError> {
        let stamps = reading.trusted_stamps(self.trusted);
        let believed_host = reading.facts.tenants.belief(&self.host, stamps);
        let host = believed_host.known().map(|known| Arc::clone(&known.value));
        let bearer = host.as_deref().and_then(tenant_of).zip(self.digest);
        let mut keys = Vec::new();
        ask_for(&mut keys, &believed_host, || Key::Host { host: self.host.clone() });
        let mut believed_access = None;
        let mut believed = Believed::default();
        if let Some((tenant, digest)) = bearer {
            let tenant_id = tenant.id;
            let access = reading.facts.accesses.belief(&(tenant_id, digest), stamps);
            ask_for(&mut keys, &access, || Key::Access { tenant: tenant_id, digest });
            let known = self.before.access.as_ref().or(access.known()).map(|known| Arc::clone(&known.value));
            let held = reading.held(tenant_id, known.as_deref(), needed, &mut self.before.held);
            self.asked = Asked::of(needed, SoFar { tenant, holding: known.as_deref(), held: &held, stamps });
            believed = Believed::of(reading, tenant_id, &self.asked, self.trusted);
            believed.keys(tenant_id, &self.asked, &mut keys);
            believed_access = Some(access);
        }
        let mut answers = reading.question(&keys).await?;
        let tenants = &reading.facts.tenants;
        let host = answers.settle(tenants, self.host.clone(), believed_host, |entry| match entry {
            Entry::Host(host) => Some(host),
            _ => None,
        })?;
        let mut found = Found {
            host: host.map(|known| known.value),
            asked_of: bearer.map(|(tenant, _)| tenant.id),
            ..Found::default()
        };
        if let (Some((tenant, digest)), Some(access)) = (bearer, believed_access) {
            found.access = settle_access(reading, &mut answers, (tenant.id, digest), access)?;
            believed.settle(tenant.id, &self.asked, &mut answers, &mut found)?;
        }
        Ok(found)
    }

    /// The facts, if what was believed when they were asked for turned out right; else another round.
    pub(super) fn next(self, found: Found, reading: &Reading, needed: Needed<'_>) -> Result<Found, Box<Self>> {
        let Some(tenant) = found.host.as_deref().and_then(tenant_of) else { return Ok(found) };
        if self.digest.is_none() {
            return Ok(found);
        }
        let asked_there = found.asked_of == Some(tenant.id);
        let complete = match &found.access {
            None => true,
            Some(access) => {
                let stamps = reading.trusted_stamps(self.trusted);
                let so_far = SoFar { tenant, holding: Some(&access.value), held: &found.held, stamps };
                self.asked.holds(&Asked::of(needed, so_far))
            }
        };
        if asked_there && complete {
            return Ok(found);
        }
        let before = if asked_there { found } else { Found::default() };
        Err(Box::new(Self { before, asked: Asked::default(), ..self }))
    }
}

fn settle_access(
    reading: &Reading,
    answers: &mut Answers<'_>,
    key: (cargoman_edge_protocol::TenantId, Digest),
    belief: Belief<Holding>,
) -> Result<Option<Known<Holding>>, CallError> {
    answers.settle(&reading.facts.accesses, key, belief, |entry| match entry {
        Entry::Access(access) => Some(access.into()),
        _ => None,
    })
}
