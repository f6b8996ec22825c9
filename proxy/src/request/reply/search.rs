//! `search.json`: a search over the packages that this customer sees, by the words of their newest visible version.

use serde_json::{Map, Value, json};

use super::list::parameter;
use super::{Reply, fresh_document};
use crate::cache::packages::{KeptPackage, Summary};
use crate::request::admit::Admitted;
use crate::request::bearer::Bearer;
use crate::request::route::File;

/// Most results in one answer; Composer reads no second page.
const MOST: usize = 100;

/// The packages in which every word of `?q=` stands, of `?type=` if given.
pub(crate) fn answer(request: &Admitted, bearer: &Bearer<'_>, packages: &[&KeptPackage]) -> Reply {
    let query = parameter(request, "q").unwrap_or_default().to_lowercase();
    let words: Vec<&str> = query.split_whitespace().collect();
    let wanted_type = parameter(request, "type");
    let mut results: Vec<Value> = packages
        .iter()
        .filter_map(|package| newest(bearer, package).map(|summary| (*package, summary)))
        .filter(|(_, summary)| wanted_type.as_deref().is_none_or(|wanted| &*summary.kind == wanted))
        .filter(|(package, summary)| holds(package, summary, &words))
        .map(|(package, summary)| result(package, summary))
        .collect();
    let total = results.len();
    results.truncate(MOST);
    fresh_document(request, bearer.tenant.id, &json!({ "results": results, "total": total }))
}

/// What the newest version that the customer sees says; a numbered one before any branch.
fn newest<'a>(bearer: &Bearer<'_>, package: &'a KeptPackage) -> Option<&'a Summary> {
    let first = |file| bearer.visible(package, Some(file)).into_iter().next();
    let position = first(File::Stable).or_else(|| first(File::Dev))?;
    Some(&package.words(usize::try_from(position).ok()?)?.summary)
}

fn holds(package: &KeptPackage, summary: &Summary, words: &[&str]) -> bool {
    let mut haystack = format!("{}\n{}", package.name.as_str(), summary.description.to_lowercase());
    for keyword in &summary.keywords {
        haystack.push('\n');
        haystack.push_str(&keyword.to_lowercase());
    }
    words.iter().all(|word| haystack.contains(word))
}

fn result(package: &KeptPackage, summary: &Summary) -> Value {
    let mut result = Map::new();
    result.insert("name".to_owned(), json!(package.name.as_str()));
    result.insert("description".to_owned(), json!(&*summary.description));
    if let Some(abandoned) = &package.abandoned {
        result.insert("abandoned".to_owned(), abandoned.replacement.clone().map_or(Value::Bool(true), Value::from));
    }
    Value::Object(result)
}
