//! One customer, for people: his state, his grants, and what he is held at.

use serde_json::Value;

use crate::admin::Answer;
use crate::admin::client::Client;
use crate::admin::grant::described;
use crate::admin::output::text;
use crate::admin::path::customer as address;
use crate::exit::Failure;

pub(super) async fn show(client: &Client, customer: &str) -> Result<Answer, Failure> {
    let mut found = client.get(&address(customer)).await?;
    let grants = client.list(&format!("{}/packages", address(customer))).await?;
    // Since he was read somebody may have let go of him.
    let freeze = match text(&found, "frozen_at") {
        "" => None,
        _ => client.find(&format!("{}/freeze", address(customer))).await?,
    };
    let sentence = words(&found, &grants, freeze.as_ref());
    if let Some(found) = found.as_object_mut() {
        found.insert("grants".to_owned(), grants);
        found.extend(freeze.map(|freeze| ("freeze".to_owned(), freeze)));
    }
    Ok(Answer::Thing(found, sentence))
}

fn words(found: &Value, grants: &Value, freeze: Option<&Value>) -> String {
    let mut out = format!("{} {} – {}", text(found, "id"), text(found, "name"), text(found, "status"));
    for (field, words) in [("status_reason", "reason"), ("expires_at", "until"), ("external_id", "external id")] {
        if let Some(value) = found.get(field).and_then(Value::as_str) {
            out.push_str(&format!(", {words} {value}"));
        }
    }
    for grant in grants.as_array().into_iter().flatten() {
        out.push_str(&format!("\n  {} {}", text(grant, "id"), described(grant)));
    }
    if let Some(freeze) = freeze {
        out.push_str(&format!("\n  frozen since {} at:", text(freeze, "since")));
        for version in freeze.get("versions").and_then(Value::as_array).into_iter().flatten() {
            out.push_str(&format!("\n    {} {}", text(version, "package"), text(version, "version")));
        }
    }
    out
}
