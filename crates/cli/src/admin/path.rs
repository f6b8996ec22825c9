//! Addresses within the API, put together from what a person wrote.

/// A part of a path.
pub(crate) fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A package's address: `packages/vendor/name`.
pub(super) fn package(name: &str) -> String {
    format!("packages/{}", parts(name))
}

/// A customer's address: `customers/cust_…`.
pub(super) fn customer(id: &str) -> String {
    format!("customers/{}", segment(id))
}

/// A name or a version whose slashes part the path: `vendor/name`, `dev-feature/x`.
pub(super) fn parts(text: &str) -> String {
    text.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// `path` with those of the parameters that are given.
pub(super) fn query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter_map(|(name, value)| Some((name, (*value)?))));
    let query = query.finish();
    let joint = if path.contains('?') { '&' } else { '?' };
    if query.is_empty() { path.to_owned() } else { format!("{path}{joint}{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(package("acme/pay"), "packages/acme/pay");
        assert_eq!(parts("dev-a b/c#?"), "dev-a%20b/c%23%3F");
        assert_eq!(query("a", &[("q", None)]), "a");
        assert_eq!(query("a", &[("q", Some("x&y")), ("kind", Some("grant"))]), "a?q=x%26y&kind=grant");
        assert_eq!(query("a?b=c", &[("d", Some("e"))]), "a?b=c&d=e");
    }
}
