//! The straight way of nearly every request: all it needs is in the caches and may be believed. Decides nothing: where anything is
//! missing or in doubt, it gives up, and the rounds begin.

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;

use super::{Found, Needed, Reading, SoFar, tenant_of};
use crate::cache::access::Holding;
use crate::cache::collections::Held;
use crate::cache::{Belief, Facts, Known};

impl Reading {
    /// The facts, if every one of them is sure.
    pub(super) fn sure(&self, host: &str, digest: Option<Digest>, needed: Needed<'_>) -> Option<Found> {
        let host = of(self, &self.facts.tenants, host)?.map(|known| known.value);
        let mut found = Found { host, ..Found::default() };
        let Some((tenant, digest)) = found.host.as_deref().and_then(tenant_of).zip(digest) else { return Some(found) };
        found.asked_of = Some(tenant.id);
        found.access = of(self, &self.facts.accesses, &(tenant.id, digest))?;
        let holding = found.access.as_ref().map(|known| &*known.value);
        if needed.collections {
            found.held = self.sure_of(tenant.id, holding, needed)?;
        }
        let so_far = SoFar { tenant, holding, held: &found.held, stamps: Some(&self.stamps) };
        for name in (needed.packages)(so_far) {
            let key = (tenant.id, name);
            if let Some(package) = of(self, &self.facts.packages, &key)? {
                found.packages.push((key.1, package));
            }
        }
        Some(found)
    }

    fn sure_of(&self, tenant: TenantId, holding: Option<&Holding>, needed: Needed<'_>) -> Option<Held> {
        let mut held = Held::default();
        for id in holding.map(Holding::collections).unwrap_or_default() {
            if let Some(collection) = of(self, &self.facts.collections, &(tenant, id.clone()))? {
                held.collections.push((id.clone(), collection));
            }
        }
        if needed.directory && held.has_patterns() {
            held.directory = of(self, &self.facts.directories, &tenant)?;
        }
        Some(held)
    }
}

/// What is surely there or surely not; none when it is in doubt.
#[expect(clippy::option_option, reason = "doubt about a thing, and the thing's being there")]
fn of<K, V, Q>(reading: &Reading, facts: &Facts<K, V>, key: &Q) -> Option<Option<Known<V>>>
where
    K: std::borrow::Borrow<Q> + std::hash::Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
    Q: std::hash::Hash + Eq + ?Sized,
{
    match facts.belief(key, Some(&reading.stamps)) {
        Belief::Sure(known) => Some(known),
        Belief::Unsure(_) => None,
    }
}
