//! `search.json`: a search over the packages that this customer sees, by the words of their newest visible version.

use cargoman_edge_protocol::{Package, Version};
use serde_json::{Map, Value, json};

use super::list::parameter;
use super::{Reply, fresh_document};
use crate::request::admit::Admitted;
use crate::request::bearer::Bearer;
use crate::request::route::File;

/// Most results in one answer; Composer reads no second page.
const MOST: usize = 100;

/// The packages in which every word of `?q=` stands, of `?type=` if given.
pub(crate) fn answer(request: &Admitted, bearer: &Bearer<'_>, packages: &[&Package]) -> Reply {
    let query = parameter(request, "q").unwrap_or_default().to_lowercase();
    let words: Vec<&str> = query.split_whitespace().collect();
    let wanted_type = parameter(request, "type");
    let mut results: Vec<Value> = packages
        .iter()
        .filter_map(|package| newest(bearer, package).map(|version| (*package, version)))
        .filter(|(_, version)| wanted_type.as_deref().is_none_or(|wanted| package_type(version) == wanted))
        .filter(|(package, version)| holds(package, version, &words))
        .map(|(package, version)| result(package, version))
        .collect();
    let total = results.len();
    results.truncate(MOST);
    fresh_document(request, bearer.tenant.id, &json!({ "results": results, "total": total }))
}

/// The newest version the customer sees; a numbered one before any branch.
pub(crate) fn newest<'a>(bearer: &Bearer<'_>, package: &'a Package) -> Option<&'a Version> {
    let first = |file| bearer.visible(package, Some(file)).into_iter().next();
    let position = first(File::Stable).or_else(|| first(File::Dev))?;
    package.versions.get(usize::try_from(position).ok()?)
}

/// A text of a version, empty where it has none.
pub(crate) fn text<'a>(version: &'a Version, key: &str) -> &'a str {
    version.metadata.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Its type, as Composer takes it.
pub(crate) fn package_type(version: &Version) -> &str {
    match text(version, "type") {
        "" => "library",
        written => written,
    }
}

fn holds(package: &Package, version: &Version, words: &[&str]) -> bool {
    let keywords = version.metadata.get("keywords").and_then(Value::as_array);
    let mut haystack = format!("{}\n{}", package.name.as_str(), text(version, "description").to_lowercase());
    for keyword in keywords.into_iter().flatten().filter_map(Value::as_str) {
        haystack.push('\n');
        haystack.push_str(&keyword.to_lowercase());
    }
    words.iter().all(|word| haystack.contains(word))
}

fn result(package: &Package, version: &Version) -> Value {
    let mut result = Map::new();
    result.insert("name".to_owned(), json!(package.name.as_str()));
    result.insert("description".to_owned(), json!(text(version, "description")));
    if let Some(abandoned) = &package.abandoned {
        result.insert("abandoned".to_owned(), abandoned.replacement.clone().map_or(Value::Bool(true), Value::from));
    }
    Value::Object(result)
}
