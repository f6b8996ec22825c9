//! The p2 files: the versions of one package that this view shows.
//!
//! Customers with equal rights share the bytes: a view is keyed by which versions it shows, not by who asks. Whether nothing is
//! shown because there is no grant or because there is no package cannot be told from the answer.

use bytes::Bytes;
use cargoman_composer::name::PackageName;
use cargoman_composer::p2;
use cargoman_edge_protocol::{Access, Dist, Package, Source, Tenant, TenantId, Version};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{Reply, conditional, document, encoding};
use crate::cache::views::{View, ViewKey, Views};
use crate::cache::{Known, Lost};
use crate::request::admit::Admitted;
use crate::request::authorize;
use crate::request::refuse::Refusal;
use crate::request::route::File;

/// The answer for `name`; `package` is what is known of it.
pub(crate) async fn answer(
    request: &Admitted,
    (tenant, access): (&Tenant, &Access),
    (name, file): (&PackageName, File),
    package: Option<&Known<Package>>,
    views: &Views,
    now: DateTime<Utc>,
) -> Result<Reply, Refusal> {
    let Some(package) = package.filter(|_| authorize::covers(access, name)) else {
        return nothing(request, tenant, name, false);
    };
    let visible = authorize::visible(access, &package.value, Some(file), now);
    if visible.is_empty() {
        let shown_elsewhere = !authorize::visible(access, &package.value, None, now).is_empty();
        return nothing(request, tenant, name, shown_elsewhere || !is_public(tenant, name));
    }
    let key = ViewKey::new(tenant, package, file, &visible);
    let (rendered, tenant, path) = (package.clone(), tenant.clone(), request.target.path().to_owned());
    let view = views
        .get(key, move || render(&tenant, &path, &rendered.value, &visible))
        .await
        .map_err(|Lost| Refusal::Unavailable)?;
    Ok(document(request, &view.date, &view.identity, view.gzip.as_ref()))
}

/// Nothing to show: an empty list keeps Composer from looking elsewhere, 404 lets it.
fn nothing(request: &Admitted, tenant: &Tenant, name: &PackageName, ours: bool) -> Result<Reply, Refusal> {
    let reserved = super::root::is_exclusive(tenant, name.vendor()) && !is_public(tenant, name);
    if !ours && !reserved {
        return Err(Refusal::NoSuchPackage);
    }
    let identity = Bytes::from(json!({ "packages": { name.as_str(): [] } }).to_string());
    let date = conditional::last_modified(tenant.id, request.target.path(), &identity);
    Ok(document(request, &date, &identity, None))
}

fn is_public(tenant: &Tenant, name: &PackageName) -> bool {
    let vendor = tenant.vendors.iter().find(|vendor| vendor.name.as_str() == name.vendor());
    vendor.is_some_and(|vendor| vendor.public_names.contains(name))
}

fn render(tenant: &Tenant, path: &str, package: &Package, visible: &[u32]) -> View {
    let shown = visible.iter().filter_map(|position| package.versions.get(usize::try_from(*position).ok()?));
    let versions: Vec<Map<String, Value>> = shown.map(|version| version_object(tenant, package, version)).collect();
    view(tenant.id, path, p2::document(&package.name, &versions).into())
}

fn view(tenant: TenantId, path: &str, identity: Bytes) -> View {
    View { date: conditional::last_modified(tenant, path, &identity), gzip: encoding::gzip(&identity, 6), identity }
}

fn version_object(tenant: &Tenant, package: &Package, version: &Version) -> Map<String, Value> {
    let mut object = version.metadata.clone();
    object.shift_remove("source");
    if let (Source::Show, Some(url)) = (tenant.source, &package.source_url) {
        object.insert("source".to_owned(), json!({ "type": "git", "url": url, "reference": version.reference }));
    }
    object.insert("dist".to_owned(), dist_object(tenant, &package.name, version, &version.dist));
    if let Some(abandoned) = &package.abandoned {
        object.insert("abandoned".to_owned(), abandoned.replacement.clone().map_or(Value::Bool(true), Value::from));
    }
    object
}

fn dist_object(tenant: &Tenant, name: &PackageName, version: &Version, dist: &Dist) -> Value {
    let segment = authorize::segment(version.version.normalized());
    let url = format!("{}/dist/{}/{segment}/{}.zip", tenant.canonical_url, name.as_str(), version.reference);
    json!({ "type": "zip", "url": url, "reference": version.reference, "shasum": dist.sha1 })
}
