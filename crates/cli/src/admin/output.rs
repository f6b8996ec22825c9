//! Tables for people, JSON for machines.

use std::io::Write;

use comfy_table::{Table, presets};
use serde_json::Value;

use super::Answer;

pub(super) fn show(answer: &Answer, json: bool) {
    let text = match answer {
        Answer::Table(_, value) | Answer::Thing(value, _) if json => format!("{value:#}"),
        Answer::Thing(_, sentence) => sentence.clone(),
        Answer::Table(columns, value) => table(columns, value),
    };
    // Whoever reads it may stop when he has enough; that is no failure.
    writeln!(std::io::stdout(), "{text}").ok();
}

/// Rows under these columns; `none` without rows.
pub(super) fn table(columns: &[&str], rows: &Value) -> String {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return "none".to_owned();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(columns.iter().map(|column| column.replace('_', " ")));
    for row in rows {
        table.add_row(columns.iter().map(|column| cell(row.get(column))));
    }
    table.trim_fmt()
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.is_empty() => cell(None),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}

/// `1 grant`, `2 grants`.
pub(super) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The text of a field, or nothing.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables() {
        assert_eq!(table(&["a"], &json!([])), "none");
        let shown = table(&["name", "expires_at"], &json!([{"name": "Shop", "expires_at": null}]));
        let shown = format!("{shown}{}", table(&["globs"], &json!([{"globs": ["acme/*", "other/x"]}])));
        assert!(shown.contains("acme/*, other/x"), "{shown}");
        assert!(shown.contains("Shop") && shown.contains('–') && shown.contains("expires at"), "{shown}");
    }
}
