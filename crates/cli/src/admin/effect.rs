//! Shows what a write does to customers, as a preview or a dry run answers it.

use serde_json::{Value, json};

use super::output::{counted, table, text};

/// A cell names so many versions; `--json` has all of them.
const MOST_NAMED: usize = 8;

/// Who gains and who loses which versions.
pub(super) fn words(effect: &Value) -> String {
    let count = |name: &str| effect.get(name).and_then(Value::as_u64).unwrap_or_default();
    let customers = effect.get("customers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if customers.is_empty() {
        return "nobody gains or loses anything".to_owned();
    }
    let rows: Vec<Value> = customers.iter().map(row).collect();
    let table = table(&["customer", "name", "loses", "gains", "installed_30_days"], &json!(rows));
    let mut out = format!("losing something: {}", counted(count("customers_losing"), "customer"));
    if count("customers_losing") > 0 {
        out.push_str(&format!(", {} of them with an install of it in the last 30 days", count("installed_30_days")));
    }
    out.push_str(&format!("; gaining something: {}\n{table}", counted(count("customers_gaining"), "customer")));
    // Who gains and loses is counted twice, so this is no more than a hint that there are others.
    if customers.len() as u64 >= 100 {
        out.push_str("\nthese are the first hundred; there may be more");
    }
    out
}

fn row(customer: &Value) -> Value {
    let who = customer.get("customer").cloned().unwrap_or_default();
    json!({
        "customer": text(&who, "id"),
        "name": text(&who, "name"),
        "loses": versions(customer.get("lost")),
        "gains": versions(customer.get("gained")),
        "installed_30_days": customer.get("installed_30_days"),
    })
}

/// `acme/pay 1.0.0 1.1.0, acme/hello 2.0.0`; nothing for none.
fn versions(list: Option<&Value>) -> Option<String> {
    let list = list.and_then(Value::as_array).filter(|list| !list.is_empty())?;
    let mut out = String::new();
    let mut before = "";
    for version in list.iter().take(MOST_NAMED) {
        let package = text(version, "package");
        if package != before {
            out.push_str(if out.is_empty() { "" } else { ", " });
            out.push_str(package);
            before = package;
        }
        out.push(' ');
        out.push_str(text(version, "version"));
    }
    if list.len() > MOST_NAMED {
        out.push_str(&format!(" and {} more", list.len() - MOST_NAMED));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_in_words() {
        assert_eq!(words(&json!({"customers": []})), "nobody gains or loses anything");
        let version = |version: &str| json!({"package": "acme/pay", "version": version});
        let shown = words(&json!({
            "customers_gaining": 0, "customers_losing": 1, "installed_30_days": 1,
            "customers": [{
                "customer": {"id": "cust_1", "name": "Shop"}, "gained": [],
                "lost": [version("1.0.0"), version("1.1.0")], "installed_30_days": 2,
            }],
        }));
        assert!(shown.starts_with("losing something: 1 customer, 1 of them"), "{shown}");
        assert!(shown.contains("acme/pay 1.0.0 1.1.0") && shown.contains("cust_1") && shown.contains('–'), "{shown}");
    }

    #[test]
    fn many_versions_are_counted() {
        let list: Vec<Value> = (0..10).map(|at| json!({"package": "a/b", "version": format!("1.{at}")})).collect();
        let shown = versions(Some(&json!(list))).unwrap();
        assert!(shown.starts_with("a/b 1.0 1.1") && shown.ends_with("1.7 and 2 more"), "{shown}");
        let two = json!([{"package": "a/b", "version": "1"}, {"package": "c/d", "version": "2"}]);
        assert_eq!(versions(Some(&two)).unwrap(), "a/b 1, c/d 2");
    }
}
