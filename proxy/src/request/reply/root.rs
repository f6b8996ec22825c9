//! `packages.json`: where everything is, which names are ours, and what this customer ought to read.
//!
//! Every URL in it is root-relative, so that each host of a tenant stays consistent in itself.

use bytes::Bytes;
use cargoman_edge_protocol::{Access, Package, Tenant};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{Reply, conditional, document, encoding};
use crate::request::admit::Admitted;
use crate::request::authorize;
use crate::request::refuse::{clean, day};

/// How long before its end a token's bearer is told.
const TOKEN_NOTICE: TimeDelta = TimeDelta::days(14);

/// No package can have this name. Composer takes an empty list of patterns for "ask me everything".
const NOTHING: &str = "-/-";

/// The root file. `packages` are the covered ones outside exclusive vendors.
pub(crate) fn answer(
    request: &Admitted,
    tenant: &Tenant,
    access: &Access,
    packages: &[&Package],
    now: DateTime<Utc>,
) -> Reply {
    let mut root = available(tenant, access, packages, now);
    let info = token_notice(access, now);
    if let Some(info) = &info {
        root.insert("info".to_owned(), Value::from(clean(info)));
    }
    let identity = Bytes::from(Value::Object(root).to_string());
    // Composer prints nothing on a 304: with the day in it, the date lets a message through once a day.
    let mut dated = identity.to_vec();
    if info.is_some() {
        dated.extend_from_slice(day(now).as_bytes());
    }
    let date = conditional::last_modified(tenant.id, request.target.path(), &dated);
    let gzip = if request.conditions.gzip { encoding::gzip(&identity, 1) } else { None };
    document(request, &date, &identity, gzip.as_ref())
}

/// Whether `vendor` is one whose every name is the tenant's.
pub(crate) fn is_exclusive(tenant: &Tenant, vendor: &str) -> bool {
    tenant.vendors.iter().any(|known| known.exclusive && known.name.as_str() == vendor)
}

fn available(tenant: &Tenant, access: &Access, packages: &[&Package], now: DateTime<Utc>) -> Map<String, Value> {
    let mut patterns: Vec<String> = tenant
        .vendors
        .iter()
        .filter(|vendor| vendor.exclusive)
        .map(|vendor| format!("{}/*", vendor.name.as_str()))
        .collect();
    patterns.sort_unstable();
    let mut names: Vec<&str> = packages
        .iter()
        .filter(|package| !authorize::visible(access, package, None, now).is_empty())
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

fn token_notice(access: &Access, now: DateTime<Utc>) -> Option<String> {
    let at = access.token.expires_at.filter(|at| *at - now <= TOKEN_NOTICE)?;
    Some(format!("Your token ending in {} expires on {}.", access.token.last_four, day(at)))
}
