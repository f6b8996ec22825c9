//! `providers/{name}.json`: packages that this customer sees and that provide or replace another.

use serde_json::json;

use super::{Reply, fresh_document};
use crate::cache::packages::KeptPackage;
use crate::request::admit::Admitted;
use crate::request::bearer::Bearer;

/// The packages of which a visible version provides or replaces `name`; never the package itself.
pub(crate) fn answer(request: &Admitted, bearer: &Bearer<'_>, name: &str, packages: &[&KeptPackage]) -> Reply {
    let mut providers = Vec::new();
    for package in packages.iter().filter(|package| package.name.as_str() != name) {
        let visible = bearer.visible(package, None);
        let shown = visible.iter().filter_map(|position| package.words(usize::try_from(*position).ok()?));
        let mut summaries = shown.map(|words| &words.summary);
        if let Some(summary) =
            summaries.find(|summary| summary.stands_for.iter().any(|one| one.eq_ignore_ascii_case(name)))
        {
            providers.push(json!({
                "name": package.name.as_str(),
                "description": &*summary.description,
                "type": &*summary.kind,
            }));
        }
    }
    fresh_document(request, bearer.tenant.id, &json!({ "providers": providers }))
}
