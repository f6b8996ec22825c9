//! `cargoman settings …`

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::Answer;
use super::client::Client;
use super::consent::Consent;
use super::output::table;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the tenant's choices.
    Show,
    /// Changes some of them; the others stay.
    Set {
        /// `renew_url=https://shop.example`, `lapsed.expired=keep`, `brake.customers_per_hour=500`; `null` brings the default
        /// back, and takes the brake off.
        #[arg(required = true, value_name = "KEY=VALUE")]
        choices: Vec<String>,
        #[command(flatten)]
        consent: Consent,
    },
}

pub(super) async fn run(client: &Client, command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Show => {
            let settings = client.get("settings").await?;
            let sentence = listed(&settings);
            Ok(Answer::Thing(settings, sentence))
        }
        Command::Set { choices, consent } => {
            let body = patch(&choices)?;
            consent.told(client.patch(&consent.on("settings"), &body).await?, listed)
        }
    }
}

/// The merge patch that `key=value` pairs say, dots going into objects.
fn patch(choices: &[String]) -> Result<Value, Failure> {
    let mut body = Map::new();
    for choice in choices {
        let malformed = || Failure::usage(format!("`{choice}` must be KEY=VALUE, such as lapsed.expired=keep"));
        let (key, text) = choice.split_once('=').ok_or_else(malformed)?;
        let mut parts: Vec<&str> = key.split('.').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(malformed());
        }
        let last = parts.pop().ok_or_else(malformed)?;
        let twice = || Failure::usage(format!("`{key}` is given twice, or as a value and as a group of values"));
        let mut inner = &mut body;
        for part in parts {
            inner = inner.entry(part).or_insert_with(|| json!({})).as_object_mut().ok_or_else(twice)?;
        }
        if inner.insert(last.to_owned(), value(text)).is_some() {
            return Err(twice());
        }
    }
    Ok(Value::Object(body))
}

/// A number, `true`, `false` and `null` are themselves; in quotes they are text, as everything else is.
fn value(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Object(_) | Value::Array(_)) | Err(_) => json!(text),
        Ok(scalar) => scalar,
    }
}

fn listed(settings: &Value) -> String {
    let mut rows = Vec::new();
    flatten("", settings, &mut rows);
    table(&["setting", "value"], &Value::Array(rows))
}

fn flatten(prefix: &str, value: &Value, rows: &mut Vec<Value>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, value, rows);
            }
        }
        value => rows.push(json!({"setting": prefix, "value": value})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_become_a_patch() {
        for (choices, body) in [
            (vec!["source=hide"], json!({"source": "hide"})),
            (vec!["renew_url=https://a.example/?b=c"], json!({"renew_url": "https://a.example/?b=c"})),
            (
                vec!["lapsed.expired=keep", "lapsed.suspended=null", "brake.customers_per_hour=5"],
                json!({"lapsed": {"expired": "keep", "suspended": null}, "brake": {"customers_per_hour": 5}}),
            ),
            (vec!["messages.suspended=\"5\""], json!({"messages": {"suspended": "5"}})),
            (vec!["messages.suspended={customer} is"], json!({"messages": {"suspended": "{customer} is"}})),
            (vec!["messages.suspended={}"], json!({"messages": {"suspended": "{}"}})),
        ] {
            let choices: Vec<String> = choices.into_iter().map(str::to_owned).collect();
            assert_eq!(patch(&choices).unwrap(), body);
        }
        for wrong in [vec!["source"], vec!["=a"], vec!["a..b=c"], vec!["a=b", "a.c=d"], vec!["a.c=d", "a=b"]] {
            let wrong: Vec<String> = wrong.into_iter().map(str::to_owned).collect();
            assert!(patch(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn settings_in_lines() {
        let shown =
            listed(&json!({"source": "hide", "messages": {}, "lapsed": {"expired": "keep"}, "renew_url": null}));
        assert!(
            shown.contains("lapsed.expired") && shown.contains("renew_url") && !shown.contains("messages"),
            "{shown}"
        );
    }
}
