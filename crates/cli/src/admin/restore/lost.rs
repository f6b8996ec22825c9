//! Decides what a restored registry lost, and which of it can be done again. Pure: an export and what the registry has go in, calls
//! come out. It must never give a right that somebody had taken: deeds are done again in their order, and only those that take
//! rights away, or that give back what an earlier one of them took.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::path::{customer, package, parts, segment};

/// An entry of the audit trail, as the API gives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub(super) struct Entry {
    pub(super) id: i64,
    actor: String,
    pub(super) action: String,
    pub(super) subject: String,
    detail: Value,
    pub(super) at: DateTime<Utc>,
}

/// What is to be called for an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// POST with this body.
    Post(String, Value),
    /// POST that may take something from many: the brake is asked.
    Braked(String, Value),
    /// DELETE.
    Delete(String),
    /// DELETE that may take something from many.
    BrakedDelete(String),
    /// DELETE of every token of this customer that is older than the entry.
    Tokens(String),
    /// It cannot be done again, because.
    Cannot(&'static str),
}

/// Why two trails cannot be compared.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the export has no entry in common with this registry: it is of another registry or tenant, or it begins after the backup; \
     export it without --from"
)]
pub(super) struct Strangers;

/// Entries of the export that the registry does not have, in their order.
pub(super) fn lost(exported: Vec<Entry>, present: &[Entry]) -> Result<Vec<Entry>, Strangers> {
    let known: HashSet<&Entry> = present.iter().collect();
    let all = exported.len();
    let mut lost: Vec<Entry> = exported.into_iter().filter(|entry| !known.contains(entry)).collect();
    if !present.is_empty() && all > 0 && lost.len() == all {
        return Err(Strangers);
    }
    lost.sort_by_key(|entry| entry.id);
    Ok(lost)
}

impl Entry {
    fn text(&self, pointer: &str) -> &str {
        self.detail.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// What does it again, `now`.
    pub(super) fn step(&self, now: DateTime<Utc>) -> Step {
        match self.action.split_once('.') {
            Some(("token", deed)) => self.of_token(deed, now),
            Some(("customer", deed)) => self.of_customer(deed, now),
            Some(("grant", deed)) => self.of_grant(deed),
            Some(("version", deed)) => self.of_version(deed),
            Some(("package", "delete")) => Step::BrakedDelete(package(&self.subject)),
            Some(("package", "restore")) => Step::Post(format!("{}/restore", package(&self.subject)), json!({})),
            Some(("credential", "revoke")) => Step::Delete(format!("credentials/{}", segment(&self.subject))),
            Some(("credential", "rotate")) => Step::Cannot("its new secret is not known; rotate it again"),
            _ => Step::Cannot(BY_HAND),
        }
    }

    fn of_token(&self, deed: &str, now: DateTime<Utc>) -> Step {
        let token = |id: &str| format!("{}/tokens/{}", customer(&self.subject), segment(id));
        match deed {
            "revoke" if self.text("/token").is_empty() => Step::Cannot("an edge has done it already"),
            "revoke" => Step::Delete(token(self.text("/token"))),
            "revoke_all" | "regenerate" => Step::Tokens(customer(&self.subject)),
            "rotate" => {
                let grace = self.detail.get("grace_seconds").and_then(Value::as_i64).unwrap_or_default();
                let over = chrono::Duration::try_seconds(grace).and_then(|grace| self.at.checked_add_signed(grace));
                match over.is_some_and(|over| over <= now) {
                    true => Step::Delete(token(self.text("/old"))),
                    false => Step::Cannot("the new token is gone and the old one was still good; rotate it again"),
                }
            }
            "create" => Step::Cannot("its secret is not known; create a new one"),
            _ => Step::Cannot(BY_HAND),
        }
    }

    fn of_customer(&self, deed: &str, now: DateTime<Utc>) -> Step {
        let address = customer(&self.subject);
        match deed {
            "delete" => Step::BrakedDelete(address),
            "restore" => Step::Post(format!("{address}/restore"), json!({})),
            // Three calls write this entry; each has its own words. The status it led to does not tell them apart.
            "status" if self.detail.get("limits_moved").is_some() => {
                // An end that has come meanwhile is no end to set; without it he is as he was before he lapsed.
                let end = self.text("/expires_at").parse::<DateTime<Utc>>().ok().filter(|end| *end > now);
                let body = end.map_or_else(|| json!({}), |end| json!({"expires_at": end}));
                Step::Post(format!("{address}/reactivate"), body)
            }
            "status" if self.detail.get("reason").is_some() => {
                Step::Braked(format!("{address}/suspend"), json!({"reason": self.detail.get("reason")}))
            }
            "status" => Step::Braked(format!("{address}/expire"), json!({})),
            _ => Step::Cannot(BY_HAND),
        }
    }

    fn of_grant(&self, deed: &str) -> Step {
        let address = customer(&self.subject);
        let grant = |id: &str| format!("{address}/grants/{}", segment(id));
        match deed {
            "delete" if !self.text("/grant/id").is_empty() => Step::BrakedDelete(grant(self.text("/grant/id"))),
            "delete" if !self.text("/package").is_empty() => {
                Step::BrakedDelete(format!("{address}/packages/{}", parts(self.text("/package"))))
            }
            "delete" => Step::BrakedDelete(format!("{address}/collections/{}", segment(self.text("/collection")))),
            "suspend" => Step::Braked(format!("{}/suspend", grant(self.text("/after/id"))), json!({})),
            "reactivate" => Step::Post(format!("{}/reactivate", grant(self.text("/after/id"))), json!({})),
            _ => Step::Cannot(BY_HAND),
        }
    }

    fn of_version(&self, deed: &str) -> Step {
        let at = |verb: &str| format!("{}/{verb}/{}", package(&self.subject), parts(self.text("/version")));
        match deed {
            "yank" | "unyank" | "untakedown" => Step::Post(at(deed), json!({})),
            "takedown" => Step::Braked(at(deed), json!({"reason": self.text("/reason")})),
            _ => Step::Cannot(BY_HAND),
        }
    }
}

const BY_HAND: &str =
    "what it set is not taken back by a later loss of rights; do it again by hand if it is still wanted";

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: i64, action: &str, subject: &str, detail: Value) -> Entry {
        let at = "2026-01-31T12:00:00Z".parse().unwrap();
        Entry { id, actor: "root".to_owned(), action: action.to_owned(), subject: subject.to_owned(), detail, at }
    }

    #[test]
    fn each_deed_has_its_call() {
        let now = "2026-02-01T12:00:00Z".parse().unwrap();
        let delete = |path: &str| Step::Delete(path.to_owned());
        let braked = |path: &str| Step::BrakedDelete(path.to_owned());
        let post = |path: &str, body| Step::Post(path.to_owned(), body);
        for (action, subject, detail, wanted) in [
            ("token.revoke", "cust_1", json!({"token": "tok_id_2"}), delete("customers/cust_1/tokens/tok_id_2")),
            (
                "token.rotate",
                "cust_1",
                json!({"old": "tok_id_2", "grace_seconds": 60}),
                delete("customers/cust_1/tokens/tok_id_2"),
            ),
            ("token.regenerate", "cust_1", json!({"revoked": 2}), Step::Tokens("customers/cust_1".to_owned())),
            ("customer.delete", "cust_1", json!({}), braked("customers/cust_1")),
            (
                "customer.status",
                "cust_1",
                json!({"after": "suspended", "reason": "late"}),
                Step::Braked("customers/cust_1/suspend".to_owned(), json!({"reason": "late"})),
            ),
            (
                "customer.status",
                "cust_1",
                json!({"after": "expired", "limits_moved": 0, "expires_at": "2027-01-01T00:00:00Z"}),
                post("customers/cust_1/reactivate", json!({"expires_at": "2027-01-01T00:00:00Z"})),
            ),
            (
                "customer.status",
                "cust_1",
                json!({"after": "expired", "limits_moved": 0, "expires_at": "2026-01-31T23:00:00Z"}),
                post("customers/cust_1/reactivate", json!({})),
            ),
            (
                "customer.status",
                "cust_1",
                json!({"after": "expired"}),
                Step::Braked("customers/cust_1/expire".to_owned(), json!({})),
            ),
            ("grant.delete", "cust_1", json!({"grant": {"id": "grant_3"}}), braked("customers/cust_1/grants/grant_3")),
            ("grant.delete", "cust_1", json!({"package": "a/b"}), braked("customers/cust_1/packages/a/b")),
            ("grant.delete", "cust_1", json!({"collection": "all"}), braked("customers/cust_1/collections/all")),
            ("version.yank", "a/b", json!({"version": "dev-x/y"}), post("packages/a/b/yank/dev-x/y", json!({}))),
            ("credential.revoke", "cred_1", json!({}), delete("credentials/cred_1")),
        ] {
            assert_eq!(entry(1, action, subject, detail).step(now), wanted, "{action}");
        }
        let young = entry(1, "token.rotate", "cust_1", json!({"old": "tok_id_2", "grace_seconds": 864_000}));
        for cannot in
            [young, entry(1, "token.create", "cust_1", json!({})), entry(1, "settings.update", "settings", json!({}))]
        {
            assert!(matches!(cannot.step(now), Step::Cannot(_)), "{cannot:?}");
        }
    }

    #[test]
    fn what_is_lost() {
        let all: Vec<Entry> = (1..=4).map(|id| entry(id, "token.revoke", "cust_1", json!({"token": id}))).collect();
        let newest_first: Vec<Entry> = all.iter().rev().cloned().collect();
        // After the restore the database gave the number 3 once more.
        let mut present = all[..2].to_vec();
        present.push(entry(3, "customer.create", "cust_9", json!({})));
        assert_eq!(lost(newest_first.clone(), &present), Ok(all[2..].to_vec()));
        assert_eq!(lost(newest_first.clone(), &[]), Ok(all.clone()));
        assert_eq!(lost(newest_first, &present[2..]), Err(Strangers));
    }
}
