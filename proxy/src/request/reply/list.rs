//! `list.json`: names of the packages that this customer sees, narrowed on this side as Composer expects.

use serde_json::json;

use super::{Reply, fresh_document};
use crate::cache::packages::KeptPackage;
use crate::request::admit::Admitted;
use crate::request::bearer::Bearer;

/// The names; `?vendor=acme` and `?filter=acme/pay*` narrow them.
pub(crate) fn answer(request: &Admitted, bearer: &Bearer<'_>, packages: &[&KeptPackage]) -> Reply {
    let filter = parameter(request, "filter");
    let vendor = parameter(request, "vendor");
    let mut names: Vec<&str> = packages
        .iter()
        .filter(|package| vendor.as_deref().is_none_or(|vendor| package.name.vendor().eq_ignore_ascii_case(vendor)))
        .filter(|package| {
            filter.as_deref().is_none_or(|filter| matches(&filter.to_ascii_lowercase(), package.name.as_str()))
        })
        .filter(|package| bearer.sees(package))
        .map(|package| package.name.as_str())
        .collect();
    names.sort_unstable();
    fresh_document(request, bearer.tenant.id, &json!({ "packageNames": names }))
}

/// A query parameter that is there and not empty.
pub(crate) fn parameter(request: &Admitted, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(request.target.query()?.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).filter(|value| !value.is_empty())
}

/// `*` stands for any run of characters. Never walks back further than the last star.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, expected) in [
            ("acme/pay", true),
            ("acme/*", true),
            ("*pay", true),
            ("*", true),
            ("a*e/p*", true),
            ("acme", false),
            ("acme/pay2", false),
            ("*x*", false),
            ("acme/pay*pay", false),
        ] {
            assert_eq!(matches(pattern, "acme/pay"), expected, "{pattern}");
        }
    }
}
