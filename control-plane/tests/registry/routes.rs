//! The routes of the public API, read from the router's source: a route without a test fails one.

/// One method of one path, such as `POST /customers/{id}/tokens`.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let source = include_str!("../../src/http/router.rs");
    let api = source.split("fn api()").nth(1).expect("the router's own function");
    let mut routes = Vec::new();
    for part in api.split(".route(").skip(1) {
        let path = part.split('"').nth(1).expect("a path in quotes").to_owned();
        let handlers = part.split_once(',').expect("handlers").1;
        // Up to the next route or the end of the function.
        let handlers = handlers.split("\n}").next().expect("the rest");
        for (call, method) in
            [("get(", "GET"), ("post(", "POST"), ("put(", "PUT"), ("patch(", "PATCH"), ("delete(", "DELETE")]
        {
            let starts = handlers.match_indices(call).any(|(at, _)| {
                let before = handlers[..at].chars().next_back();
                matches!(before, Some(' ' | '.' | ':' | '\n'))
            });
            if starts {
                routes.push((method, path.clone()));
            }
        }
    }
    assert!(routes.len() > 40, "the router is written otherwise than this test reads it: {routes:?}");
    routes
}

/// Whether `path` is an instance of the route `template`.
pub(crate) fn matches(template: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(_)) if part.starts_with("{*") => return true,
            (Some(part), Some(value)) if part.starts_with('{') && !value.is_empty() => {}
            (Some(part), Some(value)) if part == value => {}
            _ => return false,
        }
    }
}

/// Panics with the routes that no entry of `paths` (method, path) instantiates.
pub(crate) fn assert_covered(wanted: impl Fn(&str, &str) -> bool, paths: &[(String, String)]) {
    let missing: Vec<_> = all()
        .into_iter()
        .filter(|(method, template)| wanted(method, template))
        .filter(|(method, template)| !paths.iter().any(|(m, path)| m == method && matches(template, path)))
        .collect();
    assert!(missing.is_empty(), "routes without an entry in this test's table: {missing:#?}");
}
