//! Everything that decides what some customers see of some packages at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cargoman_composer::name::PackageName;
use cargoman_licence::{Access, Target};

use crate::domain::id::CustomerId;
use crate::store::licence_facts::{Collections, PackageFacts};

/// What decides what some customers see of some packages. Cheap to clone: two worlds share what is the same in both.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// The customers looked at, with the tenant's policy in each.
    pub customers: Arc<BTreeMap<CustomerId, Access>>,
    /// Collections by id.
    pub collections: Arc<Collections>,
    /// The packages looked at, with their versions.
    pub packages: BTreeMap<PackageName, Arc<PackageFacts>>,
}

impl World {
    /// Names in `directory` (in order) that some grant of these customers is on. Each collection is looked at once, however many
    /// customers have it.
    #[must_use]
    pub fn granted<'d>(&self, directory: &'d [PackageName]) -> BTreeSet<&'d PackageName> {
        let mut names = BTreeSet::new();
        let mut collections = BTreeSet::new();
        for grant in self.customers.values().flat_map(|access| &access.grants) {
            match &grant.target {
                Target::Package(name) => {
                    names.insert(name);
                }
                Target::Collection(id) => {
                    collections.insert(id);
                }
            }
        }
        let collections: Vec<_> = collections.into_iter().filter_map(|id| self.collections.get(id)).collect();
        let in_collection =
            |name: &PackageName| collections.iter().any(|collection| collection.packages.contains(name));
        directory.iter().filter(|name| names.contains(name) || in_collection(name)).collect()
    }
}
