//! Rendered documents by view: which versions of which revision of a package, under which settings. One rendering at a time per
//! view, however many ask.

use std::sync::Arc;

use bytes::Bytes;
use cargoman_composer::name::PackageName;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{Package, Revision, Tenant, TenantId};
use http::HeaderValue;

use super::{Known, Lost};
use crate::observe::counters::Counters;
use crate::request::route::File;

/// A document in both codings, with its date.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) identity: Bytes,
    pub(crate) gzip: Option<Bytes>,
    pub(crate) date: HeaderValue,
}

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

/// Rendered documents, bounded in bytes.
pub(crate) struct Views {
    cache: moka::future::Cache<ViewKey, Arc<View>>,
    counters: Arc<Counters>,
}

impl Views {
    /// Room for `bytes`.
    pub(crate) fn new(bytes: u64, counters: Arc<Counters>) -> Self {
        let weigher = |key: &ViewKey, view: &Arc<View>| {
            let bytes = 512 + key.canonical_url.len() + view.identity.len() + view.gzip.as_ref().map_or(0, Bytes::len);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self { cache: moka::future::Cache::builder().max_capacity(bytes).weigher(weigher).build(), counters }
    }

    /// Frees the room of everything.
    pub(crate) fn clear(&self) {
        self.cache.invalidate_all();
    }

    /// The document, rendered by `render` away from the threads that serve if nobody has rendered it yet.
    pub(crate) async fn get(
        &self,
        key: ViewKey,
        render: impl FnOnce() -> View + Send + 'static,
    ) -> Result<Arc<View>, Lost> {
        if let Some(view) = self.cache.get(&key).await {
            return Ok(view);
        }
        let rendering = async {
            self.counters.count_rendered_view();
            tokio::task::spawn_blocking(render).await.map(Arc::new).map_err(|error| {
                tracing::error!(target: "cargoman::edge", %error, "rendering a document failed");
                Lost
            })
        };
        self.cache.try_get_with(key, rendering).await.map_err(|lost| *lost)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use uuid::Uuid;

    use super::*;

    fn key(tenant: u128, revision: i64, file: File, url: &str, shown: (&[u32], bool)) -> ViewKey {
        let tenant = Tenant {
            id: TenantId(Uuid::from_u128(tenant)),
            slug: "t".to_owned(),
            canonical_url: url.to_owned(),
            suspended: None,
            vendors: Vec::new(),
            source: Default::default(),
            policy: Default::default(),
            messages: Default::default(),
            outage: Default::default(),
        };
        let name = PackageName::parse("acme/pay").unwrap();
        let package = Package { name, abandoned: None, source_url: None, source: None, versions: Vec::new() };
        ViewKey::new(&tenant, &Known::sample(revision, package), file, shown)
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
            View { identity: Bytes::from_static(b"x"), gzip: None, date: HeaderValue::from_static("d") }
        };
        let all =
            futures::future::join_all((0..100).map(|_| views.get(key(1, 1, File::Stable, "u", (&[0], false)), render)))
                .await;
        assert!(all.iter().all(|view| view.as_ref().is_ok_and(|view| view.identity == "x")));
        assert_eq!(RENDERED.load(Ordering::SeqCst), 1);
    }
}
