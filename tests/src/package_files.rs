//! Contents of made-up packages.

use serde_json::{Value, json};

/// A `composer.json` of the package `name`, with `more` on top.
pub fn composer_json(name: &str, more: &Value) -> String {
    let mut whole = json!({
        "name": name,
        "description": format!("The package {name}."),
        "type": "library",
        "license": "proprietary",
        "autoload": {"psr-4": {"Acme\\": "src/"}},
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        whole[key] = value.clone();
    }
    format!("{whole:#}\n")
}
