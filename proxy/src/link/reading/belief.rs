//! What the caches say of the facts behind one request, and what an answer makes of it.

use std::sync::Arc;

use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::{Answer, AsOf, Collection, Directory, Entry, Host, Key, KnownKey, TenantId};
use cargoman_licence::CollectionId;

use super::round::Asked;
use super::{Found, Reading};
use crate::cache::access::Holding;
use crate::cache::packages::KeptPackage;
use crate::cache::stamps::{Asking, Ground, Stamp};
use crate::cache::{Belief, Facts, Known, Standing};
use crate::link::control_plane::CallError;

/// What is believed of what is asked for, in its order.
#[derive(Default)]
pub(super) struct Believed {
    collections: Vec<Belief<Collection>>,
    directory: Option<Belief<Directory>>,
    packages: Vec<Belief<KeptPackage>>,
}

/// The answers to one question, taken one by one in the order of the keys.
pub(super) struct Answers<'a> {
    pub(super) answers: std::vec::IntoIter<Answer>,
    pub(super) asking: Asking,
    pub(super) as_of: Option<AsOf>,
    pub(super) reading: &'a Reading,
}

impl Believed {
    pub(super) fn of(reading: &Reading, tenant: TenantId, asked: &Asked, trusted: bool) -> Self {
        let stamps = reading.trusted_stamps(trusted);
        let collection = |id: &CollectionId| reading.facts.collections.belief(&(tenant, id.clone()), stamps);
        let package = |name: &PackageName| reading.facts.packages.belief(&(tenant, name.clone()), stamps);
        Self {
            collections: asked.collections.iter().map(collection).collect(),
            packages: asked.packages.iter().map(package).collect(),
            directory: asked.directory.then(|| reading.facts.directories.belief(&tenant, stamps)),
        }
    }

    pub(super) fn keys(&self, tenant: TenantId, asked: &Asked, keys: &mut Vec<KnownKey>) {
        for (id, believed) in asked.collections.iter().zip(&self.collections) {
            ask_for(keys, believed, || Key::Collection { tenant, collection: id.clone() });
        }
        if let Some(believed) = &self.directory {
            ask_for(keys, believed, || Key::Directory { tenant });
        }
        for (name, believed) in asked.packages.iter().zip(&self.packages) {
            ask_for(keys, believed, || Key::Package { tenant, name: name.clone() });
        }
    }

    pub(super) fn settle(
        self,
        tenant: TenantId,
        asked: &Asked,
        answers: &mut Answers<'_>,
        found: &mut Found,
    ) -> Result<(), CallError> {
        let reading = answers.reading;
        for (id, believed) in asked.collections.iter().zip(self.collections) {
            let key = (tenant, id.clone());
            let collection = answers.settle(&reading.facts.collections, key, believed, |entry| match entry {
                Entry::Collection(collection) if collection.id == *id => Some(collection),
                _ => None,
            })?;
            found.held.collections.extend(collection.map(|known| (id.clone(), known)));
        }
        if let Some(believed) = self.directory {
            found.held.directory =
                answers.settle(&reading.facts.directories, tenant, believed, |entry| match entry {
                    Entry::Directory(directory) => Some(directory),
                    _ => None,
                })?;
        }
        for (name, believed) in asked.packages.iter().zip(self.packages) {
            let key = (tenant, name.clone());
            let package = answers.settle(&reading.facts.packages, key, believed, |entry| match entry {
                Entry::Package(package) if package.name == *name => KeptPackage::try_from(package).ok(),
                _ => None,
            })?;
            found.packages.extend(package.map(|known| (name.clone(), known)));
        }
        Ok(())
    }
}

/// Asks for what is not sure, naming what was known of it.
pub(super) fn ask_for<V>(keys: &mut Vec<KnownKey>, belief: &Belief<V>, key: impl FnOnce() -> Key) {
    if let Belief::Unsure(known) = belief {
        keys.push(KnownKey { key: key(), revision: known.as_ref().map(|known| known.revision) });
    }
}

impl Answers<'_> {
    /// What the next answer makes of a belief; what is sure has no answer.
    pub(super) fn settle<K, V>(
        &mut self,
        facts: &Facts<K, V>,
        key: K,
        belief: Belief<V>,
        of: impl FnOnce(Entry) -> Option<V>,
    ) -> Result<Option<Known<V>>, CallError>
    where
        K: Grounded<V> + std::hash::Hash + Eq + Clone + Send + Sync + 'static,
        V: Send + Sync + serde::Serialize + 'static,
    {
        let believed = match belief {
            Belief::Sure(known) => return Ok(known),
            Belief::Unsure(known) => known,
        };
        let stamp = self.reading.stamp(self.asking, self.as_of);
        let standing = |value: Option<&V>| key.standing(value, stamp, self.reading);
        let known = match self.answers.next().ok_or(CallError::Shape("an answer is missing"))? {
            Answer::Absent => {
                facts.put_absent(key.clone(), standing(None));
                return Ok(None);
            }
            Answer::Unchanged => {
                let known = believed.ok_or(CallError::Shape("unchanged, but nothing was known"))?;
                Known { standing: standing(Some(&known.value)), ..known }
            }
            Answer::Found { revision, entry } => {
                let value = Arc::new(of(entry).ok_or(CallError::Shape("an entry of another kind than the key"))?);
                Known { revision, standing: standing(Some(&value)), value }
            }
        };
        facts.put(key.clone(), known.clone());
        self.reading.kept(&key, &known);
        Ok(Some(known))
    }
}

/// A key that knows what facts under it stand on.
pub(crate) trait Grounded<V> {
    /// The grounds of a fact, or of there being none.
    fn grounds<'a>(&'a self, value: Option<&'a V>) -> [Ground<'a>; 2];

    /// How a fact that was read now stands.
    fn standing(&self, value: Option<&V>, stamp: Stamp, reading: &Reading) -> Standing {
        Standing::on(stamp, self.grounds(value).map(|ground| reading.stamps.place(&ground)))
    }

    /// What the control plane calls it.
    fn key(&self) -> Key;
}

impl Grounded<Host> for String {
    fn grounds<'a>(&'a self, value: Option<&'a Host>) -> [Ground<'a>; 2] {
        match value {
            Some(Host::Tenant(tenant)) => [Ground::Hosts, Ground::Tenant(tenant.id)],
            Some(Host::ZoneWithoutTenant) | None => [Ground::Hosts, Ground::Hosts],
        }
    }

    fn key(&self) -> Key {
        Key::Host { host: self.clone() }
    }
}

impl Grounded<Holding> for (TenantId, cargoman_credential::Digest) {
    fn grounds<'a>(&'a self, value: Option<&'a Holding>) -> [Ground<'a>; 2] {
        let token = || Ground::Token(self.0, &self.1);
        [token(), value.map_or_else(token, |access| Ground::Customer(self.0, &access.customer.id))]
    }

    fn key(&self) -> Key {
        Key::Access { tenant: self.0, digest: self.1 }
    }
}

impl Grounded<KeptPackage> for (TenantId, PackageName) {
    fn grounds<'a>(&'a self, _: Option<&'a KeptPackage>) -> [Ground<'a>; 2] {
        [Ground::Package(self.0, &self.1), Ground::Package(self.0, &self.1)]
    }

    fn key(&self) -> Key {
        Key::Package { tenant: self.0, name: self.1.clone() }
    }
}

impl Grounded<Collection> for (TenantId, CollectionId) {
    fn grounds<'a>(&'a self, _: Option<&'a Collection>) -> [Ground<'a>; 2] {
        [Ground::Collection(self.0, &self.1), Ground::Collection(self.0, &self.1)]
    }

    fn key(&self) -> Key {
        Key::Collection { tenant: self.0, collection: self.1.clone() }
    }
}

impl Grounded<Directory> for TenantId {
    fn grounds<'a>(&'a self, _: Option<&'a Directory>) -> [Ground<'a>; 2] {
        [Ground::Directory(*self), Ground::Directory(*self)]
    }

    fn key(&self) -> Key {
        Key::Directory { tenant: *self }
    }
}
