//! Bodies of requests, made from flags. What a value means the server decides; here nothing is checked or converted.

use serde_json::{Map, Value, json};

/// The fields that were given.
pub(super) fn given(fields: &[(&str, &Option<String>)]) -> Value {
    let given = fields.iter().filter_map(|(name, value)| Some(((*name).to_owned(), json!(value.as_ref()?))));
    Value::Object(given.collect::<Map<String, Value>>())
}

/// The fields to change: those that were given, where the word `null` clears one.
pub(super) fn changed(fields: &[(&str, &Option<String>)]) -> Value {
    let mut body = given(fields);
    for value in body.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if value == "null" {
            *value = Value::Null;
        }
    }
    body
}

/// Adds a list, unless it was not given. The one word `null` empties it.
pub(super) fn add_list(body: &mut Value, field: &str, items: &[String]) {
    match items {
        [] => {}
        [only] if only == "null" => body[field] = json!([]),
        items => body[field] = json!(items),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let (text, null, none) = (Some("a".to_owned()), Some("null".to_owned()), None);
        assert_eq!(given(&[("x", &text), ("y", &null), ("z", &none)]), json!({"x": "a", "y": "null"}));
        assert_eq!(changed(&[("x", &text), ("y", &null), ("z", &none)]), json!({"x": "a", "y": null}));
        let mut body = json!({});
        add_list(&mut body, "none", &[]);
        add_list(&mut body, "empty", &["null".to_owned()]);
        add_list(&mut body, "two", &["a".to_owned(), "b".to_owned()]);
        assert_eq!(body, json!({"empty": [], "two": ["a", "b"]}));
    }
}
