//! How a request gets its facts: everything it needs in one conditional read, begun after the request came in.
//!
//! What is cached only saves bytes, never the question: a revocation shows at the next request. Reads are therefore never shared
//! between requests either; one that began earlier may have missed it.

use std::sync::Arc;

use cargoman_composer::name::PackageName;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{Access, Answer, Entry, Host, Key, KnownKey, Package, Tenant, TenantId};

use super::control_plane::{CallError, ControlPlane, MOST_KEYS};
use crate::cache::access::{Accesses, accesses};
use crate::cache::packages::{Packages, packages};
use crate::cache::tenants::{Tenants, tenants};
use crate::cache::{Facts, Known};

/// Facts that change while they are read are read again this often.
const ROUNDS: usize = 5;

/// The facts behind one request, as of one moment after it came in.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) host: Option<Arc<Host>>,
    pub(crate) access: Option<Arc<Access>>,
    pub(crate) packages: Vec<(PackageName, Known<Package>)>,
    /// The tenant whose access and packages these are.
    asked_of: Option<TenantId>,
}

impl Found {
    /// What is known of a package.
    pub(crate) fn package(&self, name: &PackageName) -> Option<&Known<Package>> {
        self.packages.iter().find(|(known, _)| known == name).map(|(_, package)| package)
    }

    /// All packages.
    pub(crate) fn all(&self) -> Vec<&Package> {
        self.packages.iter().map(|(_, package)| &*package.value).collect()
    }
}

/// Which packages a request needs, from what is known so far of tenant and access.
pub(crate) type Needed<'a> = &'a (dyn Fn(&Tenant, Option<&Access>) -> Vec<PackageName> + Send + Sync);

/// Facts, each confirmed before it is used.
pub(crate) struct Reading {
    control_plane: Arc<ControlPlane>,
    tenants: Tenants,
    accesses: Accesses,
    packages: Packages,
}

impl Reading {
    /// Room for `bytes` of facts.
    pub(crate) fn new(control_plane: Arc<ControlPlane>, bytes: u64) -> Self {
        let share = bytes / 8;
        let (tenants, accesses, packages) = (tenants(share), accesses(share * 2), packages(share * 5));
        Self { control_plane, tenants, accesses, packages }
    }

    /// Whether the host was some tenant's when it was last asked for. Good enough to refuse without a token, for nothing else.
    pub(crate) fn has_seen(&self, host: &str) -> bool {
        self.tenants.get(&host.to_owned()).is_some()
    }

    /// The facts for a request to `host` with the token of `digest`.
    pub(crate) async fn read(
        &self,
        host: &str,
        digest: Option<Digest>,
        needed: Needed<'_>,
    ) -> Result<Found, CallError> {
        let mut round = Round::first(self, host.to_owned(), digest);
        for _ in 0..ROUNDS {
            let found = round.ask(self, needed).await?;
            match round.next(found, needed) {
                Ok(found) => return Ok(found),
                Err(next) => round = next,
            }
        }
        Err(CallError::Shape("facts changed faster than they could be read"))
    }

    /// Whether the control plane answers.
    pub(crate) async fn probe(&self) -> Result<(), CallError> {
        self.control_plane.read(Vec::new()).await.map(|_| ())
    }

    async fn read_in_parts(&self, keys: &[KnownKey]) -> Result<Vec<Answer>, CallError> {
        let mut answers = Vec::with_capacity(keys.len());
        for part in keys.chunks(MOST_KEYS) {
            answers.extend(self.control_plane.read(part.to_vec()).await?);
        }
        Ok(answers)
    }
}

/// One read: what is believed so far decides which keys are asked for.
struct Round {
    host: String,
    digest: Option<Digest>,
    believed_host: Option<Known<Host>>,
    believed_access: Option<Known<Access>>,
    asked: Vec<PackageName>,
}

impl Round {
    fn first(reading: &Reading, host: String, digest: Option<Digest>) -> Self {
        let believed_host = reading.tenants.get(&host);
        let tenant = believed_host.as_ref().and_then(|known| tenant_of(&known.value)).map(|tenant| tenant.id);
        let believed_access = tenant.zip(digest).and_then(|key| reading.accesses.get(&key));
        Self { host, digest, believed_host, believed_access, asked: Vec::new() }
    }

    async fn ask(&mut self, reading: &Reading, needed: Needed<'_>) -> Result<Found, CallError> {
        let tenant = self.believed_host.as_ref().and_then(|known| tenant_of(&known.value)).map(|tenant| tenant.id);
        let mut keys = vec![known_key(Key::Host { host: self.host.clone() }, self.believed_host.as_ref())];
        let mut believed_packages = Vec::new();
        if let (Some(known), Some(tenant), Some(digest)) = (&self.believed_host, tenant, self.digest) {
            keys.push(known_key(Key::Access { tenant, digest }, self.believed_access.as_ref()));
            if let Some(about) = tenant_of(&known.value) {
                self.asked = needed(about, self.believed_access.as_ref().map(|known| &*known.value));
            }
            for name in &self.asked {
                let believed = reading.packages.get(&(tenant, name.clone()));
                keys.push(known_key(Key::Package { tenant, name: name.clone() }, believed.as_ref()));
                believed_packages.push(believed);
            }
        }
        let mut answers = reading.read_in_parts(&keys).await?.into_iter();
        let mut next = || answers.next().ok_or(CallError::Shape("an answer is missing"));

        self.believed_host =
            settle(&reading.tenants, self.host.clone(), self.believed_host.take(), next()?, |entry| match entry {
                Entry::Host(host) => Some(host),
                _ => None,
            })?;
        let host = self.believed_host.as_ref().map(|known| Arc::clone(&known.value));
        let mut found = Found { host, asked_of: tenant, ..Found::default() };
        if let (Some(tenant), Some(digest)) = (tenant, self.digest) {
            let access =
                settle(
                    &reading.accesses,
                    (tenant, digest),
                    self.believed_access.take(),
                    next()?,
                    |entry| match entry {
                        Entry::Access(access) => Some(access),
                        _ => None,
                    },
                )?;
            found.access = access.as_ref().map(|known| Arc::clone(&known.value));
            self.believed_access = access;
            for (name, believed) in self.asked.iter().zip(believed_packages) {
                let package =
                    settle(&reading.packages, (tenant, name.clone()), believed, next()?, |entry| match entry {
                        Entry::Package(package) if package.name == *name => Some(package),
                        _ => None,
                    })?;
                found.packages.extend(package.map(|known| (name.clone(), known)));
            }
        }
        Ok(found)
    }

    /// The facts, if what was believed when they were asked for turned out right; else another round.
    fn next(self, found: Found, needed: Needed<'_>) -> Result<Found, Self> {
        let Some(tenant) = found.host.as_deref().and_then(tenant_of) else { return Ok(found) };
        if self.digest.is_none() {
            return Ok(found);
        }
        let asked_there = found.asked_of == Some(tenant.id);
        let complete = match &found.access {
            None => true,
            Some(access) => needed(tenant, Some(access)).iter().all(|name| self.asked.contains(name)),
        };
        if asked_there && complete {
            return Ok(found);
        }
        let believed_access = self.believed_access.filter(|_| asked_there);
        Err(Self { believed_access, asked: Vec::new(), ..self })
    }
}

fn tenant_of(host: &Host) -> Option<&Tenant> {
    match host {
        Host::Tenant(tenant) => Some(tenant),
        Host::ZoneWithoutTenant => None,
    }
}

fn known_key<V>(key: Key, believed: Option<&Known<V>>) -> KnownKey {
    KnownKey { key, revision: believed.map(|known| known.revision) }
}

/// What an answer makes of what was believed.
fn settle<K, V>(
    facts: &Facts<K, V>,
    key: K,
    believed: Option<Known<V>>,
    answer: Answer,
    of: impl FnOnce(Entry) -> Option<V>,
) -> Result<Option<Known<V>>, CallError>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    match answer {
        Answer::Unchanged => believed.map(Some).ok_or(CallError::Shape("unchanged, but nothing was known")),
        Answer::Absent => {
            facts.forget(&key);
            Ok(None)
        }
        Answer::Found { revision, entry } => {
            let value = Arc::new(of(entry).ok_or(CallError::Shape("an entry of another kind than the key"))?);
            let known = Known { revision, value };
            facts.put(key, known.clone());
            Ok(Some(known))
        }
    }
}
