//! The p2 files: the versions of one package that this view shows.
//!
//! Customers with equal rights share the bytes: a view is keyed by which versions it shows, not by who asks. Whether nothing is
//! shown because there is no grant or because there is no package cannot be told from the answer.

use bytes::Bytes;
use cargoman_composer::name::PackageName;
use cargoman_composer::p2;
use cargoman_edge_protocol::{Package, Source, Tenant, Version};
use serde_json::{Map, Value, json};

use super::{Reply, conditional, ready};
use crate::cache::packages::KeptPackage;
use crate::cache::views::{Basis, ShownKey, View, ViewKey, Views};
use crate::cache::{Known, Lost};
use crate::request::admit::Admitted;
use crate::request::authorize;
use crate::request::bearer::{Bearer, visible};
use crate::request::refuse::Refusal;
use crate::request::route::File;
use crate::request::segment::segment;

/// The answer for `name`; `package` is what is known of it.
pub(crate) async fn answer(
    request: &Admitted,
    bearer: &Bearer<'_>,
    (name, file): (&PackageName, File),
    package: Option<&Known<KeptPackage>>,
    views: &Views,
) -> Result<Reply, Refusal> {
    let tenant = bearer.tenant;
    let Some(package) = package else { return nothing(request, tenant, name, false) };
    let basis = Basis { tenant, package, held: bearer.held };
    let shown_as = bearer.rights.map(|rights| ShownKey { tenant: tenant.id, rights, name: name.clone(), file });
    if let Some(view) = shown_as.as_ref().and_then(|key| views.shown(key, basis)) {
        return view.reply(&request.conditions, views).await;
    }
    let rights = bearer.view(name);
    if !rights.covers() {
        // Narrowed away by his token, it is still his: a public package of that name must not take its place.
        return nothing(request, tenant, name, bearer.has_grant(name) && !is_public(tenant, name));
    }
    let visible = visible(&rights, &package.value, Some(file));
    if visible.is_empty() {
        let shown_elsewhere = bearer.sees(&package.value);
        let suspended = authorize::suspended_package(bearer, &rights, name).filter(|_| !shown_elsewhere);
        return suspended
            .map_or_else(|| nothing(request, tenant, name, shown_elsewhere || !is_public(tenant, name)), Err);
    }
    let source = shows_source(bearer, &package.value);
    let key = ViewKey::new(tenant, package, file, (&visible, source));
    let (rendered, path) = (package.clone(), request.target.path().to_owned());
    let (id, canonical_url) = (tenant.id, tenant.canonical_url.clone());
    let render = move || {
        let shape = Shape { package: &rendered.value, canonical_url: &canonical_url, source };
        let identity = Bytes::from(shape.document(&visible)?);
        Ok(View::new(conditional::last_modified(id, &path, &identity), identity))
    };
    // Boxed, as all that is rare here: a request that needs none of it should not carry its room about.
    let view = Box::pin(views.get(key, render)).await.map_err(|Lost| Refusal::Unavailable)?;
    if let Some(key) = shown_as {
        views.note(key, basis, &view);
    }
    view.reply(&request.conditions, views).await
}

/// The first that says something: customer, package, tenant.
fn shows_source(bearer: &Bearer<'_>, package: &Package) -> bool {
    let of_package = package.source.unwrap_or(bearer.tenant.source) == Source::Show;
    bearer.access.customer.source_shown.unwrap_or(of_package)
}

/// Nothing to show: an empty list keeps Composer from looking elsewhere, 404 lets it.
fn nothing(request: &Admitted, tenant: &Tenant, name: &PackageName, ours: bool) -> Result<Reply, Refusal> {
    let reserved = super::root::is_exclusive(tenant, name.vendor()) && !is_public(tenant, name);
    if !ours && !reserved {
        return Err(Refusal::NoSuchPackage);
    }
    let identity = Bytes::from(json!({ "packages": { name.as_str(): [] } }).to_string());
    let date = conditional::last_modified(tenant.id, request.target.path(), &identity);
    Ok(ready::once(&request.conditions, &date, identity))
}

fn is_public(tenant: &Tenant, name: &PackageName) -> bool {
    let vendor = tenant.vendors.iter().find(|vendor| vendor.name.as_str() == name.vendor());
    vendor.is_some_and(|vendor| vendor.public_names.contains(name))
}

/// All that a document depends on beside which versions it shows: nothing of who asks.
struct Shape<'a> {
    package: &'a KeptPackage,
    canonical_url: &'a str,
    source: bool,
}

impl Shape<'_> {
    fn document(&self, visible: &[u32]) -> Result<Vec<u8>, Lost> {
        let versions =
            visible.iter().filter_map(|position| self.package.versions.get(usize::try_from(*position).ok()?));
        let shown = versions.zip(self.package.metadata(visible)?);
        let objects: Vec<Map<String, Value>> =
            shown.map(|(version, metadata)| self.version(version, metadata)).collect();
        Ok(p2::document(&self.package.name, &objects))
    }

    fn version(&self, version: &Version, mut object: Map<String, Value>) -> Map<String, Value> {
        object.shift_remove("source");
        // An upload's reference is the SHA-1 of its zip: no commit of the repository, even where there is one.
        let of_git = version.reference != version.dist.sha1;
        if let (true, true, Some(url)) = (self.source, of_git, &self.package.source_url) {
            object.insert("source".to_owned(), json!({ "type": "git", "url": url, "reference": version.reference }));
        }
        object.insert("dist".to_owned(), self.dist(version));
        // What is said of this version goes before what is said of all.
        if let Some(abandoned) = version.deprecated.as_ref().or(self.package.abandoned.as_ref()) {
            object.insert("abandoned".to_owned(), abandoned.replacement.clone().map_or(Value::Bool(true), Value::from));
        }
        object
    }

    fn dist(&self, version: &Version) -> Value {
        let (base, name, reference) = (self.canonical_url, self.package.name.as_str(), &version.reference);
        let segment = segment(version.version.normalized());
        let url = format!("{base}/dist/{name}/{segment}/{reference}.zip");
        json!({ "type": "zip", "url": url, "reference": reference, "shasum": version.dist.sha1 })
    }
}
