//! `--dry-run` and `--confirm` of commands that may take something from customers.

use clap::Args;
use serde_json::Value;

use super::path::query;
use super::{Answer, effect};
use crate::exit::Failure;

#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Consent {
    /// Shows who would gain and lose which versions, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Does it however many customers lose something, past the brake in the settings.
    #[arg(long)]
    confirm: bool,
}

impl Consent {
    /// The address of the write, with what its caller consents to.
    pub(super) fn on(self, path: &str) -> String {
        let flag = |given: bool| given.then_some("true");
        query(path, &[("dry_run", flag(self.dry_run)), ("confirm", flag(self.confirm))])
    }

    /// The answer to such a write: what it would do when nothing was done, else the sentence.
    pub(super) fn told(self, after: Value, sentence: impl FnOnce(&Value) -> String) -> Result<Answer, Failure> {
        let held_back = after.get("dry_run") == Some(&Value::Bool(true));
        let sentence = match (self.dry_run, held_back) {
            (_, true) => {
                let effect = after.get("effect").map(effect::words).unwrap_or_default();
                format!("{effect}\nnothing was changed; next: the same without --dry-run")
            }
            // A registry may be older than this program; then silence would be the worst.
            (true, false) => {
                return Err(Failure::failed(format!(
                    "the registry knows no --dry-run for this, and did it: {}",
                    sentence(&after)
                )));
            }
            (false, false) => sentence(&after),
        };
        Ok(Answer::Thing(after, sentence))
    }
}
