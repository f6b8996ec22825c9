//! Collections by (tenant, id), and each tenant's directory: the names of all his packages, for collections by pattern.

use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::{Directory, TenantId};
use cargoman_licence::{Collection, CollectionId};

use super::{Facts, Known, json_size};

/// Collections, by tenant and id.
pub(crate) type Collections = Facts<(TenantId, CollectionId), Collection>;

/// Directories, by tenant.
pub(crate) type Directories = Facts<TenantId, Directory>;

/// Room for `bytes`.
pub(crate) fn collections(bytes: u64) -> Collections {
    Facts::new(bytes, |collection| 256 + json_size(collection).saturating_mul(2))
}

/// Room for `bytes`.
pub(crate) fn directories(bytes: u64) -> Directories {
    Facts::new(bytes, |directory| 128 + json_size(directory).saturating_mul(2))
}

/// What the grants of one access stand on, beside the access itself. One that is not here shows nothing.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) collections: Vec<(CollectionId, Known<Collection>)>,
    pub(crate) directory: Option<Known<Directory>>,
}

impl Held {
    /// A collection, if there is such a one.
    pub(crate) fn collection(&self, id: &CollectionId) -> Option<&Collection> {
        self.collections.iter().find(|(known, _)| known == id).map(|(_, collection)| &*collection.value)
    }

    /// Whether some collection takes packages by pattern, so that the directory says what is in it.
    pub(crate) fn has_patterns(&self) -> bool {
        self.collections.iter().any(|(_, collection)| !collection.value.packages.patterns().is_empty())
    }

    /// The names of all packages of the tenant.
    pub(crate) fn directory(&self) -> &[PackageName] {
        self.directory.as_ref().map_or(&[], |known| &known.value.packages)
    }
}
