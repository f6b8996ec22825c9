//! How a request gets its facts: everything it needs in one conditional read, begun after the request came in.
//!
//! What is cached only saves bytes, never the question: a revocation shows at the next request. Reads are therefore never shared
//! between requests either; one that began earlier may have missed it.

use std::sync::Arc;

use cargoman_composer::name::PackageName;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{Access, Answer, Entry, Host, Key, KnownKey, Package, Tenant, TenantId};
use cargoman_licence::CollectionId;

use super::control_plane::{CallError, ControlPlane, MOST_KEYS};
use crate::cache::access::{Accesses, accesses};
use crate::cache::collections::{Collections, Directories, Held, collections, directories, named};
use crate::cache::packages::{Packages, packages};
use crate::cache::tenants::{Tenants, tenants};
use crate::cache::{Facts, Known};

/// Facts that change while they are read are read again this often. An edge that knows nothing needs five: host, access,
/// collections, directory, packages.
const ROUNDS: usize = 8;

/// The facts behind one request, as of one moment after it came in.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) host: Option<Arc<Host>>,
    /// With the tenant's policy in it.
    pub(crate) access: Option<Known<Access>>,
    /// What the access's grants stand on.
    pub(crate) held: Held,
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

/// Which packages a request needs, from what is known so far of tenant, access and its collections.
pub(crate) type WhichPackages<'a> = dyn Fn(&Tenant, Option<&Access>, &Held) -> Vec<PackageName> + Send + Sync + 'a;

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

/// Facts, each confirmed before it is used.
pub(crate) struct Reading {
    control_plane: Arc<ControlPlane>,
    tenants: Tenants,
    accesses: Accesses,
    collections: Collections,
    directories: Directories,
    packages: Packages,
}

impl Reading {
    /// Room for `bytes` of facts.
    pub(crate) fn new(control_plane: Arc<ControlPlane>, bytes: u64) -> Self {
        let share = bytes / 16;
        Self {
            control_plane,
            tenants: tenants(share),
            accesses: accesses(share * 4),
            collections: collections(share),
            directories: directories(share),
            packages: packages(share * 9),
        }
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
                Ok(found) => return Ok(self.with_policy(found, digest)),
                Err(next) => round = *next,
            }
        }
        Err(CallError::Shape("facts changed faster than they could be read"))
    }

    /// Whether the control plane answers.
    pub(crate) async fn probe(&self) -> Result<(), CallError> {
        self.control_plane.read(Vec::new()).await.map(|_| ())
    }

    /// Puts the tenant's policy into the access. The one in the cache is replaced, so that this costs nothing at the next request.
    fn with_policy(&self, mut found: Found, digest: Option<Digest>) -> Found {
        let tenant = found.host.as_deref().and_then(tenant_of);
        if let (Some(tenant), Some(digest), Some(known)) = (tenant, digest, &mut found.access)
            && known.value.policy != tenant.policy
        {
            known.value = Arc::new(Access { policy: tenant.policy, ..Access::clone(&known.value) });
            self.accesses.put((tenant.id, digest), known.clone());
        }
        found
    }

    /// What is known of what `access` stands on: from `before`, the round before this one, else from the caches.
    fn held(&self, tenant: TenantId, access: Option<&Access>, needed: Needed<'_>, before: &mut Held) -> Held {
        let ids = access.filter(|_| needed.collections).map(named).unwrap_or_default();
        let known = |id: CollectionId| {
            let there = before.collections.iter().find(|(known, _)| *known == id).map(|(_, known)| known.clone());
            there.or_else(|| self.collections.get(&(tenant, id.clone()))).map(|known| (id, known))
        };
        let mut held = Held { collections: ids.into_iter().filter_map(known).collect(), directory: None };
        if needed.directory && held.has_patterns() {
            held.directory = before.directory.take().or_else(|| self.directories.get(&tenant));
        }
        held
    }

    async fn read_in_parts(&self, keys: &[KnownKey]) -> Result<Vec<Answer>, CallError> {
        let mut answers = Vec::with_capacity(keys.len());
        for part in keys.chunks(MOST_KEYS) {
            answers.extend(self.control_plane.read(part.to_vec()).await?);
        }
        Ok(answers)
    }
}

/// What is asked for beside host and access.
#[derive(Default)]
struct Asked {
    collections: Vec<CollectionId>,
    directory: bool,
    packages: Vec<PackageName>,
}

impl Asked {
    fn of(needed: Needed<'_>, tenant: &Tenant, access: Option<&Access>, held: &Held) -> Self {
        Self {
            collections: access.filter(|_| needed.collections).map(named).unwrap_or_default(),
            directory: needed.directory && held.has_patterns(),
            packages: (needed.packages)(tenant, access, held),
        }
    }

    /// Whether all of `other` is in it.
    fn holds(&self, other: &Self) -> bool {
        other.collections.iter().all(|id| self.collections.binary_search(id).is_ok())
            && (self.directory || !other.directory)
            && (self.packages == other.packages || other.packages.iter().all(|name| self.packages.contains(name)))
    }
}

/// One read: what is believed so far decides which keys are asked for.
struct Round {
    host: String,
    digest: Option<Digest>,
    believed_host: Option<Known<Host>>,
    believed_access: Option<Known<Access>>,
    /// Of the round before, because a small cache may have lost it already.
    believed_held: Held,
    asked: Asked,
}

impl Round {
    fn first(reading: &Reading, host: String, digest: Option<Digest>) -> Self {
        let believed_host = reading.tenants.get(&host);
        let tenant = believed_host.as_ref().and_then(|known| tenant_of(&known.value)).map(|tenant| tenant.id);
        let believed_access = tenant.zip(digest).and_then(|key| reading.accesses.get(&key));
        Self { host, digest, believed_host, believed_access, believed_held: Held::default(), asked: Asked::default() }
    }

    async fn ask(&mut self, reading: &Reading, needed: Needed<'_>) -> Result<Found, CallError> {
        let host = self.believed_host.clone();
        let bearer = host.as_ref().and_then(|known| tenant_of(&known.value)).zip(self.digest);
        let mut keys = vec![known_key(Key::Host { host: self.host.clone() }, self.believed_host.as_ref())];
        let mut believed = Believed::default();
        if let Some((tenant, digest)) = bearer {
            keys.push(known_key(Key::Access { tenant: tenant.id, digest }, self.believed_access.as_ref()));
            let access = self.believed_access.as_ref().map(|known| &*known.value);
            let held = reading.held(tenant.id, access, needed, &mut self.believed_held);
            self.asked = Asked::of(needed, tenant, access, &held);
            believed = Believed::of(reading, tenant.id, &self.asked, held);
            believed.keys(tenant.id, &self.asked, &mut keys);
        }
        let mut answers = reading.read_in_parts(&keys).await?.into_iter();
        let mut next = || answers.next().ok_or(CallError::Shape("an answer is missing"));

        self.believed_host =
            settle(&reading.tenants, self.host.clone(), self.believed_host.take(), next()?, |entry| match entry {
                Entry::Host(host) => Some(host),
                _ => None,
            })?;
        let mut found = Found {
            host: self.believed_host.as_ref().map(|known| Arc::clone(&known.value)),
            asked_of: bearer.map(|(tenant, _)| tenant.id),
            ..Found::default()
        };
        if let Some((tenant, digest)) = bearer {
            let key = (tenant.id, digest);
            let access = settle(&reading.accesses, key, self.believed_access.take(), next()?, |entry| match entry {
                Entry::Access(access) => Some(access),
                _ => None,
            })?;
            self.believed_access = access.clone();
            found.access = access;
            believed.settle(reading, tenant.id, &self.asked, &mut next, &mut found)?;
        }
        Ok(found)
    }

    /// The facts, if what was believed when they were asked for turned out right; else another round.
    fn next(self, found: Found, needed: Needed<'_>) -> Result<Found, Box<Self>> {
        let Some(tenant) = found.host.as_deref().and_then(tenant_of) else { return Ok(found) };
        if self.digest.is_none() {
            return Ok(found);
        }
        let asked_there = found.asked_of == Some(tenant.id);
        let complete = match &found.access {
            None => true,
            Some(access) => self.asked.holds(&Asked::of(needed, tenant, Some(&access.value), &found.held)),
        };
        if asked_there && complete {
            return Ok(found);
        }
        let believed_access = self.believed_access.filter(|_| asked_there);
        let believed_held = if asked_there { found.held } else { Held::default() };
        Err(Box::new(Self { believed_access, believed_held, asked: Asked::default(), ..self }))
    }
}

/// What is in the caches of what is asked for, in its order.
#[derive(Default)]
struct Believed {
    collections: Vec<Option<Known<cargoman_licence::Collection>>>,
    directory: Option<Known<cargoman_edge_protocol::Directory>>,
    packages: Vec<Option<Known<Package>>>,
}

impl Believed {
    fn of(reading: &Reading, tenant: TenantId, asked: &Asked, held: Held) -> Self {
        let collection = |id: &CollectionId| held.collections.iter().find(|(known, _)| known == id);
        let package = |name: &PackageName| reading.packages.get(&(tenant, name.clone()));
        Self {
            collections: asked.collections.iter().map(|id| collection(id).map(|(_, known)| known.clone())).collect(),
            packages: asked.packages.iter().map(package).collect(),
            directory: held.directory,
        }
    }

    fn keys(&self, tenant: TenantId, asked: &Asked, keys: &mut Vec<KnownKey>) {
        for (id, believed) in asked.collections.iter().zip(&self.collections) {
            keys.push(known_key(Key::Collection { tenant, collection: id.clone() }, believed.as_ref()));
        }
        if asked.directory {
            keys.push(known_key(Key::Directory { tenant }, self.directory.as_ref()));
        }
        for (name, believed) in asked.packages.iter().zip(&self.packages) {
            keys.push(known_key(Key::Package { tenant, name: name.clone() }, believed.as_ref()));
        }
    }

    fn settle(
        self,
        reading: &Reading,
        tenant: TenantId,
        asked: &Asked,
        next: &mut impl FnMut() -> Result<Answer, CallError>,
        found: &mut Found,
    ) -> Result<(), CallError> {
        for (id, believed) in asked.collections.iter().zip(self.collections) {
            let collection =
                settle(&reading.collections, (tenant, id.clone()), believed, next()?, |entry| match entry {
                    Entry::Collection(collection) if collection.id == *id => Some(collection),
                    _ => None,
                })?;
            found.held.collections.extend(collection.map(|known| (id.clone(), known)));
        }
        if asked.directory {
            found.held.directory =
                settle(&reading.directories, tenant, self.directory, next()?, |entry| match entry {
                    Entry::Directory(directory) => Some(directory),
                    _ => None,
                })?;
        }
        for (name, believed) in asked.packages.iter().zip(self.packages) {
            let package = settle(&reading.packages, (tenant, name.clone()), believed, next()?, |entry| match entry {
                Entry::Package(package) if package.name == *name => Some(package),
                _ => None,
            })?;
            found.packages.extend(package.map(|known| (name.clone(), known)));
        }
        Ok(())
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
