//! `packages.json`: where everything is, which names are ours, and what this customer ought to read.
//!
//! Every URL in it is root-relative, so that each host of a tenant stays consistent in itself. The messages stand here alone,
//! never in p2 bytes, which customers share.

use std::sync::Arc;

use bytes::Bytes;
use cargoman_composer::name::PackageName;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{Access, Tenant};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{Reply, conditional, notices, ready};
use crate::cache::Lost;
use crate::cache::collections::Held;
use crate::cache::packages::KeptPackage;
use crate::cache::roots::{Grounds, RootKey, Roots};
use crate::cache::stamps::{Stamp, Stamps};
use crate::cache::views::{View, Views};
use crate::link::reading::{Found, SoFar};
use crate::request::admit::Admitted;
use crate::request::bearer::{self, Bearer};
use crate::request::refuse::{Refusal, day};

/// No package can have this name. Composer takes an empty list of patterns for "ask me everything".
const NOTHING: &str = "-/-";

/// The root file. What was found are the packages of [`packages`], and it is kept for others if that was `reached`.
pub(crate) async fn answer(
    request: &Admitted,
    bearer: &Bearer<'_>,
    (found, reached): (&Found, Option<(Stamp, &Stamps)>),
    views: &Views,
) -> Result<Reply, Refusal> {
    let packages = found.all();
    let mut root = available(bearer, &packages);
    let notices = notices::of(bearer, &packages);
    let says = !notices.is_empty();
    // Composer prints nothing on a 304: with the day in it, the date lets a message through once a day.
    let today = if says { day(bearer.now) } else { String::new() };
    for (key, words) in notices {
        root.insert(key.to_owned(), Value::from(words));
    }
    let identity = Bytes::from(Value::Object(root).to_string());
    let mut dated = identity.to_vec();
    dated.extend_from_slice(today.as_bytes());
    let date = conditional::last_modified(bearer.tenant.id, request.target.path(), &dated);
    // What is said of one token is said to nobody else.
    let rights = bearer.rights.filter(|_| notices::token_ends(bearer.access, bearer.now).is_none());
    // Nor is one kept that was made from what may not be kept.
    let reached = reached.filter(|(_, stamps)| found.all_hold(stamps)).map(|(reached, _)| reached);
    let (Some(rights), Some(reached), Some(host)) = (rights, reached, &found.host) else {
        return Ok(ready::once(&request.conditions, &date, identity));
    };
    let view = views.packed(date, identity).await.map_err(|Lost| Refusal::Unavailable)?;
    let grounds = Grounds::new(Arc::clone(host), bearer.held, bearer.now.date_naive(), reached);
    let addressee = says.then(|| addressee(bearer.access));
    views.roots.put(RootKey::of_rights(bearer.tenant.id, rights), grounds, &view, addressee);
    view.reply(&request.conditions, views).await
}

/// The root file that was made before for somebody with the same rights, and the same words if it has any.
pub(crate) fn kept(so_far: SoFar<'_>, now: DateTime<Utc>, roots: &Roots) -> Option<Arc<View>> {
    let SoFar { tenant, holding, held, stamps } = so_far;
    let (holding, stamps) = holding.zip(stamps)?;
    if notices::token_ends(holding, now).is_some() {
        return None;
    }
    let key = RootKey::of_rights(tenant.id, holding.rights(now)?);
    roots.get(key, (tenant, held), now.date_naive(), stamps, || addressee(holding))
}

/// Equal for those to whom the words of a root file are the same, if what it stands on is.
fn addressee(access: &Access) -> Digest {
    Digest::of(access.customer.name.as_bytes())
}

/// The packages that the root file is made from: those that it may have to name, and those of which a newer version may be out.
/// Exclusive vendors stand there as patterns, whatever is under them.
pub(crate) fn packages(tenant: &Tenant, access: &Access, held: &Held, now: DateTime<Utc>) -> Vec<PackageName> {
    let mut names = bearer::under(access, held, |_| true);
    names.retain(|name| !is_exclusive(tenant, name.vendor()));
    let past_limit = bearer::under(access, held, |grant| grant.updates_until.is_some_and(|until| until < now));
    if !past_limit.is_empty() {
        names.extend(past_limit);
        names.sort_unstable();
        names.dedup();
    }
    names
}

/// Whether `vendor` is one whose every name is the tenant's.
pub(crate) fn is_exclusive(tenant: &Tenant, vendor: &str) -> bool {
    tenant.vendors.iter().any(|known| known.exclusive && known.name.as_str() == vendor)
}

fn available(bearer: &Bearer<'_>, packages: &[&KeptPackage]) -> Map<String, Value> {
    let tenant = bearer.tenant;
    let mut patterns: Vec<String> = tenant
        .vendors
        .iter()
        .filter(|vendor| vendor.exclusive)
        .map(|vendor| format!("{}/*", vendor.name.as_str()))
        .collect();
    patterns.sort_unstable();
    let mut names: Vec<&str> = packages
        .iter()
        .filter(|package| !is_exclusive(tenant, package.name.vendor()) && bearer.sees(package))
        .map(|package| package.name.as_str())
        .collect();
    names.sort_unstable();
    if patterns.is_empty() && names.is_empty() {
        patterns.push(NOTHING.to_owned());
    }
    let mut root = Map::new();
    root.insert("packages".to_owned(), json!([]));
    root.insert("metadata-url".to_owned(), json!("/p2/%package%.json"));
    if !patterns.is_empty() {
        root.insert("available-package-patterns".to_owned(), json!(patterns));
    }
    if !names.is_empty() {
        root.insert("available-packages".to_owned(), json!(names));
    }
    root.insert(
        "mirrors".to_owned(),
        json!([{ "dist-url": "/dist/%package%/%version%/%reference%.zip", "preferred": true }]),
    );
    root.insert("notify-batch".to_owned(), json!("/downloads"));
    root.insert("list".to_owned(), json!("/list.json"));
    root.insert("search".to_owned(), json!("/search.json?q=%query%&type=%type%"));
    root.insert("providers-api".to_owned(), json!("/providers/%package%.json"));
    root
}
