//! Rendered documents by view: which versions of which revision of a package, under which settings. One rendering at a time per
//! view, however many ask.

use std::sync::{Arc, Weak};

use ahash::RandomState;
use bytes::Bytes;
use cargoman_composer::name::PackageName;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{Revision, Source, Tenant, TenantId};
use http::HeaderValue;
use quick_cache::sync::Cache;

use super::collections::Held;
use super::packages::KeptPackage;
use super::room::{self, ByWeight, Weighed};
use super::roots::Roots;
use super::{Known, Lost};
use crate::observe::counters::{Counters, Event};
use crate::observe::traces;
use crate::request::reply::encoding::Coding;
use crate::request::reply::ready::DocumentId;
use crate::request::route::File;

/// Up to so many bytes are packed where they are; more takes longer than a request may keep a thread that serves.
const AT_ONCE: usize = 16 << 10;

/// A document that is held ready.
pub(crate) type View = crate::request::reply::ready::Ready;

/// The same in a coding that few ask for.
pub(crate) type Recoded = crate::request::reply::ready::Whole;

/// What a document depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ViewKey {
    tenant: TenantId,
    name: PackageName,
    /// A database that was restored gives its revisions once more.
    generation: u64,
    revision: Revision,
    file: File,
    source: bool,
    canonical_url: String,
    visible: Digest,
}

impl ViewKey {
    /// The key of the document that shows `visible` versions of `package`, and whether with `source`.
    pub(crate) fn new(
        tenant: &Tenant,
        package: &Known<KeptPackage>,
        file: File,
        (visible, source): (&[u32], bool),
    ) -> Self {
        let positions: Vec<u8> = visible.iter().flat_map(|position| position.to_be_bytes()).collect();
        Self {
            tenant: tenant.id,
            name: package.value.name.clone(),
            generation: package.standing.stamp.generation(),
            revision: package.revision,
            file,
            source,
            canonical_url: tenant.canonical_url.clone(),
            visible: Digest::of(&positions),
        }
    }
}

/// Whose document it is: of everybody with these rights.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ShownKey {
    pub(crate) tenant: TenantId,
    pub(crate) rights: Digest,
    pub(crate) name: PackageName,
    pub(crate) file: File,
}

/// All else that decides which document somebody with some rights is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Basis<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) package: &'a Known<KeptPackage>,
    pub(crate) held: &'a Held,
}

/// Which document somebody was shown, and by what it was chosen.
struct Shown {
    canonical_url: String,
    source: Source,
    package: Edition,
    collections: Vec<Edition>,
    /// Weak, so that what is pushed out is really gone.
    view: Weak<View>,
}

/// A state of a fact.
pub(super) type Edition = (u64, Revision);

pub(super) fn edition<V>(known: &Known<V>) -> Edition {
    (known.standing.stamp.generation(), known.revision)
}

impl Shown {
    fn new(basis: Basis<'_>, view: &Arc<View>) -> Self {
        Self {
            canonical_url: basis.tenant.canonical_url.clone(),
            source: basis.tenant.source,
            package: edition(basis.package),
            collections: basis.held.collections.iter().map(|(_, known)| edition(known)).collect(),
            view: Arc::downgrade(view),
        }
    }

    fn bytes(&self) -> usize {
        self.canonical_url.len() + self.collections.len() * size_of::<Edition>()
    }

    /// Whether it would be chosen again.
    fn stands_on(&self, basis: Basis<'_>) -> bool {
        self.package == edition(basis.package)
            && self.source == basis.tenant.source
            && self.collections.len() == basis.held.collections.len()
            && self.collections.iter().zip(&basis.held.collections).all(|(then, (_, now))| *then == edition(now))
            && self.canonical_url == basis.tenant.canonical_url
    }
}

/// Rendered documents, bounded in bytes.
pub(crate) struct Views {
    cache: Cache<ViewKey, Weighed<Arc<View>>, ByWeight, RandomState>,
    /// So that which versions somebody sees is not worked out at each request.
    shown: Cache<ShownKey, Weighed<Arc<Shown>>, ByWeight, RandomState>,
    /// By document and coding.
    recoded: Cache<(DocumentId, Coding), Weighed<Arc<Recoded>>, ByWeight, RandomState>,
    pub(crate) roots: Roots,
    counters: Arc<Counters>,
}

/// What each takes, or may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rooms {
    pub(crate) documents: u64,
    pub(crate) shown: u64,
    pub(crate) recoded: u64,
    pub(crate) roots: u64,
}

impl Views {
    /// Room for so many bytes.
    pub(crate) fn new(rooms: Rooms, counters: Arc<Counters>) -> Self {
        Self {
            cache: room::cache(rooms.documents),
            shown: room::cache(rooms.shown),
            recoded: room::cache(rooms.recoded),
            roots: Roots::new(rooms.roots),
            counters,
        }
    }

    /// Room for so many bytes from now on.
    pub(crate) fn resize(&self, rooms: Rooms) {
        self.cache.set_capacity(rooms.documents);
        self.shown.set_capacity(rooms.shown);
        self.recoded.set_capacity(rooms.recoded);
        self.roots.resize(rooms.roots);
    }

    /// What they take.
    pub(crate) fn taken(&self) -> Rooms {
        Rooms {
            documents: self.cache.weight(),
            shown: self.shown.weight(),
            recoded: self.recoded.weight(),
            roots: self.roots.bytes(),
        }
    }

    /// The document that somebody with the same rights was shown, if it would be chosen again.
    pub(crate) fn shown(&self, key: &ShownKey, basis: Basis<'_>) -> Option<Arc<View>> {
        let shown = self.shown.get(key)?.value;
        shown.stands_on(basis).then(|| shown.view.upgrade())?
    }

    /// Notes which document it was.
    pub(crate) fn note(&self, key: ShownKey, basis: Basis<'_>, view: &Arc<View>) {
        let shown = Shown::new(basis, view);
        let bytes = size_of::<Shown>() + key.name.as_str().len() + shown.bytes();
        self.shown.insert(key, Weighed::new::<ShownKey>(Arc::new(shown), bytes));
    }

    /// Frees the room of everything.
    pub(crate) fn clear(&self) {
        self.cache.clear();
        self.shown.clear();
        self.recoded.clear();
        self.roots.clear();
    }

    /// The document, rendered by `render` away from the threads that serve if nobody has rendered it yet.
    pub(crate) async fn get(
        &self,
        key: ViewKey,
        render: impl FnOnce() -> Result<View, Lost> + Send + 'static,
    ) -> Result<Arc<View>, Lost> {
        let rendering = async {
            self.counters.count(Event::Rendered);
            let view = traces::step("render", aside("rendering", render)).await?;
            let bytes = key.canonical_url.len() + key.name.as_str().len() + view.bytes();
            Ok(Weighed::new::<ViewKey>(Arc::new(view), bytes))
        };
        Ok(self.cache.get_or_insert_async(&key, rendering).await?.value)
    }

    /// A document of these bytes, to be held ready.
    pub(crate) async fn packed(&self, date: HeaderValue, identity: Bytes) -> Result<Arc<View>, Lost> {
        if identity.len() <= AT_ONCE {
            return Ok(Arc::new(View::new(date, identity)));
        }
        aside("packing", move || Ok(Arc::new(View::new(date, identity)))).await
    }

    /// A document in a coding that it is not held in, made once for all who ask.
    pub(crate) async fn recoded(&self, view: &Arc<View>, coding: Coding) -> Result<Arc<Recoded>, Lost> {
        let key = (view.id, coding);
        let source = Arc::clone(view);
        let recoding = async {
            self.counters.count(Event::Recoded);
            let recoded = aside("recoding", move || source.recode(coding)).await?;
            let bytes = recoded.bytes();
            Ok(Weighed::new::<(DocumentId, Coding)>(Arc::new(recoded), bytes))
        };
        Ok(self.recoded.get_or_insert_async(&key, recoding).await?.value)
    }
}

/// Work that takes longer than a request may keep a thread that serves.
async fn aside<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, Lost> + Send + 'static,
) -> Result<T, Lost> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        tracing::error!(target: "cargoman::edge", %error, what, "work on a document failed");
        Err(Lost)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cargoman_edge_protocol::Package;
    use cargoman_licence::{Collection, CollectionId};
    use uuid::Uuid;

    use super::*;

    fn tenant(id: u128, url: &str) -> Tenant {
        Tenant {
            id: TenantId(Uuid::from_u128(id)),
            slug: "t".to_owned(),
            canonical_url: url.to_owned(),
            suspended: None,
            vendors: Vec::new(),
            source: Default::default(),
            policy: Default::default(),
            messages: Default::default(),
            outage: Default::default(),
            dist_redirects: false,
        }
    }

    fn package(revision: i64) -> Known<KeptPackage> {
        let name = PackageName::parse("acme/pay").unwrap();
        let package = Package { name, abandoned: None, source_url: None, source: None, versions: Vec::new() };
        Known::sample(revision, package.try_into().unwrap())
    }

    fn key(id: u128, revision: i64, file: File, url: &str, shown: (&[u32], bool)) -> ViewKey {
        ViewKey::new(&tenant(id, url), &package(revision), file, shown)
    }

    fn document() -> View {
        View::new(http::HeaderValue::from_static("d"), Bytes::from_static(b"x"))
    }

    fn views() -> Views {
        Views::new(Rooms { documents: 1 << 20, shown: 1 << 20, recoded: 1 << 20, roots: 1 << 20 }, Arc::default())
    }

    fn held(revisions: &[i64]) -> Held {
        let collection = |revision: &i64| {
            let id = CollectionId(format!("coll_{revision}"));
            let collection =
                Collection { id: id.clone(), packages: Default::default(), constraint: None, minimum_stability: None };
            (id, Known::sample(*revision, collection))
        };
        Held { collections: revisions.iter().map(collection).collect(), directory: None }
    }

    /// E-C1: what was shown to somebody of equal rights is shown again while all it was chosen by is the same.
    #[test]
    fn shown_again() {
        let views = views();
        let view = Arc::new(document());
        let (ours, known, collections) = (tenant(1, "u"), package(1), held(&[5, 6]));
        let basis = Basis { tenant: &ours, package: &known, held: &collections };
        let key = |rights: &[u8], file| {
            let name = PackageName::parse("acme/pay").unwrap();
            ShownKey { tenant: TenantId(Uuid::from_u128(1)), rights: Digest::of(rights), name, file }
        };
        let mine = key(b"a", File::Stable);
        assert!(views.shown(&mine, basis).is_none());
        views.note(mine.clone(), basis, &view);
        assert!(views.shown(&mine, basis).is_some());
        assert!(views.shown(&key(b"b", File::Stable), basis).is_none());
        assert!(views.shown(&key(b"a", File::Dev), basis).is_none());
        assert!(views.shown(&mine, Basis { package: &package(2), ..basis }).is_none());
        assert!(views.shown(&mine, Basis { tenant: &tenant(1, "v"), ..basis }).is_none());
        let showing = Tenant { source: Source::Show, ..tenant(1, "u") };
        assert!(views.shown(&mine, Basis { tenant: &showing, ..basis }).is_none());
        for other in [&[5][..], &[5, 7], &[5, 6, 7], &[]] {
            assert!(views.shown(&mine, Basis { held: &held(other), ..basis }).is_none(), "{other:?}");
        }
        drop(view);
        assert!(views.shown(&mine, basis).is_none(), "it keeps nothing alive");
    }

    /// E-C1: other parts, other key.
    #[test]
    fn keys() {
        let keys = [
            key(1, 1, File::Stable, "u", (&[0, 1], false)),
            key(2, 1, File::Stable, "u", (&[0, 1], false)),
            key(1, 2, File::Stable, "u", (&[0, 1], false)),
            key(1, 1, File::Dev, "u", (&[0, 1], false)),
            key(1, 1, File::Stable, "v", (&[0, 1], false)),
            key(1, 1, File::Stable, "u", (&[0], false)),
            key(1, 1, File::Stable, "u", (&[1, 0], false)),
            key(1, 1, File::Stable, "u", (&[], false)),
            key(1, 1, File::Stable, "u", (&[0, 1], true)),
        ];
        let distinct: std::collections::HashSet<&ViewKey> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(key(1, 1, File::Stable, "u", (&[0, 1], false)), keys[0]);
    }

    /// E-C8.
    #[tokio::test]
    async fn rendered_once_for_all_who_wait() {
        static RENDERED: AtomicUsize = AtomicUsize::new(0);
        let views = views();
        let render = || {
            RENDERED.fetch_add(1, Ordering::SeqCst);
            Ok(document())
        };
        let all =
            futures::future::join_all((0..100).map(|_| views.get(key(1, 1, File::Stable, "u", (&[0], false)), render)))
                .await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(RENDERED.load(Ordering::SeqCst), 1);
    }
}
