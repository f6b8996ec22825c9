//! How a request gets its facts: from the caches as long as the edge may believe them, else from the control plane.
//!
//! What is missing or was named by an event is asked for in one read that begins after the request came in. Reads are never shared
//! between requests: one that began earlier may have missed a revocation. An edge that never had a lease believes nothing and asks
//! for everything at every request.

mod belief;
mod round;
mod sure;

use std::sync::Arc;

use cargoman_composer::name::PackageName;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{AsOf, Host, KnownKey, Tenant, TenantId};
use cargoman_licence::CollectionId;
use chrono::{DateTime, Utc};
use serde::Serialize;

use self::belief::Answers;
pub(crate) use self::belief::Grounded;
use self::round::Round;
use super::control_plane::{CallError, ControlPlane, MOST_KEYS};
use super::lease::{Lease, Trust};
use super::saved::Saved;
use crate::cache::access::Holding;
use crate::cache::collections::Held;
use crate::cache::kept::Kept;
use crate::cache::packages::KeptPackage;
use crate::cache::stamps::{Asking, Stamp, Stamps};
use crate::cache::{Belief, Known};

/// Facts that change while they are read are read again this often. An edge that knows nothing needs five: host, access,
/// collections, directory, packages.
const ROUNDS: usize = 8;

/// The facts behind one request, as of one moment after it came in.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) host: Option<Arc<Host>>,
    /// With the tenant's policy in it.
    pub(crate) access: Option<Known<Holding>>,
    /// What the access's grants stand on.
    pub(crate) held: Held,
    pub(crate) packages: Vec<(PackageName, Known<KeptPackage>)>,
    /// The tenant whose access and packages these are.
    asked_of: Option<TenantId>,
    /// Whether anything was waited for.
    pub(crate) waited: bool,
}

impl Found {
    /// What is known of a package.
    pub(crate) fn package(&self, name: &PackageName) -> Option<&Known<KeptPackage>> {
        self.packages.iter().find(|(known, _)| known == name).map(|(_, package)| package)
    }

    /// Whether nothing of it needs to be asked for again.
    pub(crate) fn all_hold(&self, stamps: &Stamps) -> bool {
        self.access.iter().all(|known| known.standing.holds(stamps))
            && self.held.collections.iter().all(|(_, known)| known.standing.holds(stamps))
            && self.held.directory.iter().all(|known| known.standing.holds(stamps))
            && self.packages.iter().all(|(_, known)| known.standing.holds(stamps))
    }

    /// All packages.
    pub(crate) fn all(&self) -> Vec<&KeptPackage> {
        self.packages.iter().map(|(_, package)| &*package.value).collect()
    }
}

/// What is known so far while facts are looked up.
#[derive(Clone, Copy)]
pub(crate) struct SoFar<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) holding: Option<&'a Holding>,
    /// What the access's grants stand on.
    pub(crate) held: &'a Held,
    /// What caches are measured by; none when they are not to be believed.
    pub(crate) stamps: Option<&'a Stamps>,
}

/// Which packages a request needs, from what is known so far.
pub(crate) type WhichPackages<'a> = dyn Fn(SoFar<'_>) -> Vec<PackageName> + Send + Sync + 'a;

/// What a request needs beside host and access.
#[derive(Clone, Copy)]
pub(crate) struct Needed<'a> {
    /// The collections that the access's grants name.
    pub(crate) collections: bool,
    /// The names of all packages, where one of those collections has patterns.
    pub(crate) directory: bool,
    /// Which packages, from what is known so far.
    pub(crate) packages: &'a WhichPackages<'a>,
}

/// Facts, and how far they may be believed.
pub(crate) struct Reading {
    control_plane: Arc<ControlPlane>,
    facts: Arc<Kept>,
    stamps: Arc<Stamps>,
    lease: Arc<Lease>,
    saved: Arc<Saved>,
}

impl Reading {
    /// Reads for requests from what `facts` keep.
    pub(crate) fn new(
        control_plane: Arc<ControlPlane>,
        facts: Arc<Kept>,
        stamps: Arc<Stamps>,
        lease: Arc<Lease>,
        saved: Arc<Saved>,
    ) -> Self {
        Self { control_plane, facts, stamps, lease, saved }
    }

    /// Whether the host was some tenant's when it was last asked for. Good enough to refuse without a token, for nothing else.
    pub(crate) fn has_seen(&self, host: &str) -> bool {
        self.facts.tenants.get(host).is_some()
    }

    /// The facts for a request that came in at `began` to `host` with the token of `digest`.
    pub(crate) async fn read(
        &self,
        began: DateTime<Utc>,
        host: &str,
        digest: Option<Digest>,
        needed: Needed<'_>,
    ) -> Result<Found, CallError> {
        let waited = !self.lease.is_held();
        let trust = self.lease.trust().await;
        // Without a token nothing of the tenant's is shown; what is passed through the control plane decides.
        if trust == Trust::Detached && digest.is_some() && !self.goes_on(host) {
            return Err(CallError::Detached);
        }
        if trust != Trust::Nothing
            && let Some(found) = self.sure(host, digest, needed)
        {
            return Ok(self.with_policy(Found { waited, ..found }, digest, began));
        }
        // Boxed, as it is large and rare.
        let rounds = self.rounds(host, digest, needed, trust);
        Ok(self.with_policy(Found { waited: true, ..Box::pin(rounds).await? }, digest, began))
    }

    /// Asks until all that is needed is known.
    async fn rounds(
        &self,
        host: &str,
        digest: Option<Digest>,
        needed: Needed<'_>,
        trust: Trust,
    ) -> Result<Found, CallError> {
        let mut round = Round::first(host.to_owned(), digest, trust != Trust::Nothing);
        for _ in 0..ROUNDS {
            let found = round.ask(self, needed).await?;
            match round.next(found, self, needed) {
                Ok(found) => return Ok(found),
                Err(next) => round = *next,
            }
        }
        Err(CallError::Shape("facts changed faster than they could be read"))
    }

    /// Whether requests can be answered: the edge has a lease, or the control plane answers.
    pub(crate) async fn probe(&self) -> Result<(), CallError> {
        match self.lease.is_held() {
            true => Ok(()),
            false => self.control_plane.read(Vec::new()).await.map(|_| ()),
        }
    }

    /// The stamp of what is made from facts that are read from now on; none when nothing may be kept.
    pub(crate) fn reached(&self) -> Option<Stamp> {
        self.lease.is_held().then(|| self.stamps.reached())
    }

    /// What caches are measured by, as long as the edge has a lease.
    pub(crate) fn stamps_held(&self) -> Option<&Stamps> {
        self.lease.is_held().then_some(&*self.stamps)
    }

    /// How the link stands: seconds until the lease ends, and the last event that was heard.
    pub(crate) fn link(&self) -> (f64, i64) {
        (self.lease.seconds_left(), self.stamps.heard())
    }

    /// Whether a tenant is served while the edge hears nothing. Only what was known of him while the lease held may say so: a tenant
    /// who wants it by now may not have wanted it when a revocation of his was said to be effective.
    fn goes_on(&self, host: &str) -> bool {
        match self.facts.tenants.belief(host, Some(&self.stamps)) {
            Belief::Sure(Some(known)) => tenant_of(&known.value).is_some_and(|tenant| self.lease.covers(tenant.outage)),
            _ => false,
        }
    }

    /// The stamp of what was answered just now. What comes while the edge has no lease serves the one request and is not kept.
    fn stamp(&self, asking: Asking, as_of: Option<AsOf>) -> Stamp {
        if self.lease.is_held() { self.stamps.stamp(asking, as_of) } else { Stamp::UNSURE }
    }

    /// Puts the tenant's policy into the access, and names its rights. The one in the cache is replaced, so that this costs nothing at
    /// the next request.
    fn with_policy(&self, mut found: Found, digest: Option<Digest>, now: DateTime<Utc>) -> Found {
        let tenant = found.host.as_deref().and_then(tenant_of);
        if let (Some(tenant), Some(digest), Some(known)) = (tenant, digest, &mut found.access)
            && let Some(holding) = known.value.under(tenant.policy, now)
        {
            known.value = Arc::new(self.facts.sharing.share(holding, now));
            self.facts.accesses.put((tenant.id, digest), known.clone());
        }
        found
    }

    /// What is known of what an access stands on: from `before`, the round before this one, else from the caches.
    fn held(&self, tenant: TenantId, holding: Option<&Holding>, needed: Needed<'_>, before: &mut Held) -> Held {
        let ids = holding.filter(|_| needed.collections).map(Holding::collections).unwrap_or_default();
        let known = |id: CollectionId| {
            let there = before.collections.iter().find(|(known, _)| *known == id).map(|(_, known)| known.clone());
            there.or_else(|| self.facts.collections.get(&(tenant, id.clone()))).map(|known| (id, known))
        };
        let mut held = Held { collections: ids.iter().cloned().filter_map(known).collect(), directory: None };
        if needed.directory && held.has_patterns() {
            held.directory = before.directory.take().or_else(|| self.facts.directories.get(&tenant));
        }
        held
    }

    /// What the caches are measured by; none when they are not to be believed at all.
    fn trusted_stamps(&self, trusted: bool) -> Option<&Stamps> {
        trusted.then_some(&*self.stamps)
    }

    /// Asks for `keys`; nothing to ask for is no call.
    async fn question(&self, keys: &[KnownKey]) -> Result<Answers<'_>, CallError> {
        let asking = self.stamps.asking();
        let mut answers = Vec::with_capacity(keys.len());
        let mut as_of = None;
        for (number, part) in keys.chunks(MOST_KEYS).enumerate() {
            let reply = self.control_plane.read(part.to_vec()).await?;
            answers.extend(reply.answers);
            // The oldest counts for all, which is the first: parts are asked one after another. Of two epochs none does.
            as_of = match (number, as_of, reply.as_of) {
                (0, _, as_of) => as_of,
                (_, Some(first), Some(next)) if first.epoch == next.epoch && first.seq <= next.seq => Some(first),
                (_, Some(first), Some(next)) if first.epoch == next.epoch => Some(next),
                _ => None,
            };
        }
        Ok(Answers { answers: answers.into_iter(), asking, as_of, reading: self })
    }

    /// A fact was put into a cache: it goes to the disk too, if it can be used again.
    fn kept<K: Grounded<V>, V: Serialize + Send + Sync + 'static>(&self, key: &K, known: &Known<V>) {
        if !known.standing.holds(&self.stamps) {
            return;
        }
        self.saved.soon(key.key(), known.clone(), Arc::clone(&self.stamps));
    }
}

fn tenant_of(host: &Host) -> Option<&Tenant> {
    match host {
        Host::Tenant(tenant) => Some(tenant),
        Host::ZoneWithoutTenant => None,
    }
}
