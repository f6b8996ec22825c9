//! `providers/{name}.json`: packages that this customer sees and that provide or replace another.

use cargoman_edge_protocol::{Package, Version};
use serde_json::{Value, json};

use super::search::{package_type, text};
use super::{Reply, fresh_document};
use crate::request::admit::Admitted;
use crate::request::bearer::Bearer;

/// The packages of which a visible version provides or replaces `name`; never the package itself.
pub(crate) fn answer(request: &Admitted, bearer: &Bearer<'_>, name: &str, packages: &[&Package]) -> Reply {
    let mut providers = Vec::new();
    for package in packages.iter().filter(|package| package.name.as_str() != name) {
        let visible = bearer.visible(package, None);
        let shown = visible.iter().filter_map(|position| package.versions.get(usize::try_from(*position).ok()?));
        if let Some(version) = shown.into_iter().find(|version| stands_for(version, name)) {
            providers.push(json!({
                "name": package.name.as_str(),
                "description": text(version, "description"),
                "type": package_type(version),
            }));
        }
    }
    fresh_document(request, bearer.tenant.id, &json!({ "providers": providers }))
}

fn stands_for(version: &Version, name: &str) -> bool {
    ["provide", "replace"]
        .into_iter()
        .filter_map(|key| version.metadata.get(key).and_then(Value::as_object))
        .any(|links| links.keys().any(|link| link.eq_ignore_ascii_case(name)))
}
