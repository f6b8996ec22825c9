//! Rendered documents by view: which versions of which revision of a package, under which settings. One rendering at a time per
//! view, however many ask.

use std::sync::{Arc, Weak};

use ahash::RandomState;
use cargoman_composer::name::PackageName;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{Package, Revision, Source, Tenant, TenantId};

use super::collections::Held;
use super::{Known, Lost};
use crate::observe::counters::Counters;
use crate::request::route::File;

/// A document that is held ready.
pub(crate) type View = crate::request::reply::ready::Ready;

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
        package: &Known<Package>,
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
    pub(crate) package: &'a Known<Package>,
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
type Edition = (u64, Revision);

fn edition<V>(known: &Known<V>) -> Edition {
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
    cache: moka::future::Cache<ViewKey, Arc<View>>,
    /// So that which versions somebody sees is not worked out at each request.
    shown: moka::sync::Cache<ShownKey, Arc<Shown>, RandomState>,
    counters: Arc<Counters>,
}

/// Of the room for documents, the part that says who is shown which.
const SHARE_OF_SHOWN: u64 = 8;

impl Views {
    /// Room for `bytes`.
    pub(crate) fn new(bytes: u64, counters: Arc<Counters>) -> Self {
        let weigher = |key: &ViewKey, view: &Arc<View>| {
            let bytes = 512 + key.canonical_url.len() + view.size();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let weigh_shown = |key: &ShownKey, shown: &Arc<Shown>| {
            let bytes = 384 + key.name.as_str().len() + shown.canonical_url.len() + 16 * shown.collections.len();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let of_shown = bytes / SHARE_OF_SHOWN;
        Self {
            cache: moka::future::Cache::builder().max_capacity(bytes - of_shown).weigher(weigher).build(),
            shown: moka::sync::Cache::builder()
                .max_capacity(of_shown)
                .weigher(weigh_shown)
                .build_with_hasher(RandomState::new()),
            counters,
        }
    }

    /// The document that somebody with the same rights was shown, if it would be chosen again.
    pub(crate) fn shown(&self, key: &ShownKey, basis: Basis<'_>) -> Option<Arc<View>> {
        let shown = self.shown.get(key)?;
        shown.stands_on(basis).then(|| shown.view.upgrade())?
    }

    /// Notes which document it was.
    pub(crate) fn note(&self, key: ShownKey, basis: Basis<'_>, view: &Arc<View>) {
        self.shown.insert(key, Arc::new(Shown::new(basis, view)));
    }

    /// Frees the room of everything.
    pub(crate) fn clear(&self) {
        self.cache.invalidate_all();
        self.shown.invalidate_all();
    }

    /// The document, rendered by `render` away from the threads that serve if nobody has rendered it yet.
    pub(crate) async fn get(
        &self,
        key: ViewKey,
        render: impl FnOnce() -> Result<View, Lost> + Send + 'static,
    ) -> Result<Arc<View>, Lost> {
        if let Some(view) = self.cache.get(&key).await {
            return Ok(view);
        }
        let rendering = async {
            self.counters.count_rendered_view();
            let rendered = tokio::task::spawn_blocking(render).await.map_err(|error| {
                tracing::error!(target: "cargoman::edge", %error, "rendering a document failed");
                Lost
            })?;
            rendered.map(Arc::new)
        };
        self.cache.try_get_with(key, rendering).await.map_err(|lost| *lost)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
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
        }
    }

    fn package(revision: i64) -> Known<Package> {
        let name = PackageName::parse("acme/pay").unwrap();
        let package = Package { name, abandoned: None, source_url: None, source: None, versions: Vec::new() };
        Known::sample(revision, package)
    }

    fn key(id: u128, revision: i64, file: File, url: &str, shown: (&[u32], bool)) -> ViewKey {
        ViewKey::new(&tenant(id, url), &package(revision), file, shown)
    }

    fn document() -> View {
        View::new(http::HeaderValue::from_static("d"), Bytes::from_static(b"x"), None).unwrap()
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
        let views = Views::new(1 << 20, Arc::default());
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
        let views = Views::new(1 << 20, Arc::default());
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
