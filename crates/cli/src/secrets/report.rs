//! What became of the secrets, for people and for programs. Ids of keys say nothing of the keys.

use std::io::Write as _;

use cargoman_control_plane::resealing::Found;
use cargoman_control_plane::secrets::{KeyId, Keyring};
use serde_json::{Value, json};

use crate::exit::Failure;

#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) found: Found,
    /// Newest first.
    pub(super) keys: Vec<KeyId>,
    pub(super) added: Option<KeyId>,
    pub(super) retired: Vec<KeyId>,
    /// An earlier rotation was finished instead of a new one begun.
    pub(super) went_on: bool,
}

impl Report {
    pub(super) fn of(keyring: &Keyring) -> Self {
        Self { keys: keyring.ids(), ..Self::default() }
    }

    /// Prints it; a failure when something does not open.
    pub(super) fn show(&self, as_json: bool) -> Result<(), Failure> {
        let text = if as_json { format!("{:#}", self.json()) } else { self.words() };
        // Whoever reads it may stop when he has enough; that is no failure.
        writeln!(std::io::stdout(), "{text}").ok();
        match self.found.broken {
            0 => Ok(()),
            broken => Err(Failure::failed(format!(
                "{broken} of {} secrets do not open: put the missing key back into the key file, or give those secrets anew",
                self.found.total()
            ))),
        }
    }

    fn json(&self) -> Value {
        let named = |key: &Option<KeyId>| key.map_or_else(|| "unknown".to_owned(), |key| key.to_string());
        let values: serde_json::Map<String, Value> =
            self.found.values.iter().map(|(key, count)| (named(key), json!(count))).collect();
        let broken: Vec<Value> = self.found.named.iter().map(|one| {
            json!({"tenant": one.place.tenant.to_string(), "column": one.place.column, "row": one.place.row, "error": one.error.to_string()})
        }).collect();
        json!({
            "keys": self.keys.iter().map(KeyId::to_string).collect::<Vec<_>>(),
            "sealed_with": values,
            "resealed": self.found.resealed,
            "added": self.added.map(|key| key.to_string()),
            "retired": self.retired.iter().map(KeyId::to_string).collect::<Vec<_>>(),
            "broken": self.found.broken,
            "broken_first": broken,
        })
    }

    fn words(&self) -> String {
        let mut lines = Vec::new();
        if self.went_on {
            lines.push("an earlier rotation was not finished: it is now, and no further key was added".to_owned());
        }
        lines.extend(self.added.map(|key| format!("added the key {key}")));
        lines.extend(self.retired.iter().map(|key| format!("removed the key {key}")));
        if self.found.resealed > 0 {
            lines.push(format!("sealed {} secret(s) anew", self.found.resealed));
        }
        for (at, key) in self.keys.iter().enumerate() {
            let sealed = self.found.values.get(&Some(*key)).copied().unwrap_or_default();
            let newest = if at == 0 { ", seals what is new" } else { "" };
            lines.push(format!("key {key}: {sealed} secret(s){newest}"));
        }
        for (key, count) in self.found.values.iter().filter(|(key, _)| key.is_none_or(|key| !self.keys.contains(&key)))
        {
            let key =
                key.map_or_else(|| "of an unknown form".to_owned(), |key| format!("sealed with the missing key {key}"));
            lines.push(format!("{count} secret(s) {key}"));
        }
        for one in &self.found.named {
            lines.push(format!("tenant {} row {}: {}", one.place.tenant, one.place.row, one.error));
        }
        let idle = self.keys.iter().skip(1).any(|key| !self.found.values.contains_key(&Some(*key)));
        if idle && self.retired.is_empty() {
            lines.push(
                "next, in a minute: cargoman secrets rotate --retire, which removes keys that seal nothing".to_owned(),
            );
        }
        lines.join("\n")
    }
}
