//! `cargoman explain`: why somebody sees a version or does not. The registry decides and words it; here it is laid out.

use clap::Args;
use serde_json::Value;

use super::client::Client;
use super::output::text;
use super::path::query;
use super::{Answer, Place};
use crate::exit::Failure;

#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) place: Place,
    /// The admin token; better given as CARGOMAN_TOKEN.
    // Not `--token` as everywhere else: that is the token asked about.
    #[arg(long, env = "CARGOMAN_TOKEN", hide_env_values = true)]
    pub(super) admin_token: Option<String>,
    #[command(flatten)]
    question: Question,
}

#[derive(Debug, Args)]
pub(crate) struct Question {
    /// Who: id of a customer, `cust_…`.
    #[arg(long, required_unless_present = "asked", conflicts_with = "asked")]
    customer: Option<String>,
    /// Or the bearer of a token: its id, `tok_id_…`.
    #[arg(long = "token", id = "asked", value_name = "TOKEN_ID")]
    token: Option<String>,
    /// What: `vendor/name`.
    #[arg(long)]
    package: String,
    /// One version, as written or normalized; else all of them.
    #[arg(long = "version", id = "which", value_name = "VERSION")]
    version: Option<String>,
}

pub(super) async fn run(client: &Client, arguments: &Arguments) -> Result<Answer, Failure> {
    let Question { customer, token, package, version } = &arguments.question;
    let path = query(
        "explain",
        &[
            ("customer", customer.as_deref()),
            ("token_id", token.as_deref()),
            ("package", Some(package)),
            ("version", version.as_deref()),
        ],
    );
    let answer = client.get(&path).await?;
    let sentence = words(&answer);
    Ok(Answer::Thing(answer, sentence))
}

fn words(answer: &Value) -> String {
    let who = answer.get("customer").cloned().unwrap_or_default();
    let mut out = format!(
        "{} ({}) is {}; {}:",
        text(&who, "name"),
        text(&who, "id"),
        text(&who, "status"),
        text(answer, "package")
    );
    let versions = answer.get("versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if versions.is_empty() {
        out.push_str("\n  no version is published");
    }
    for version in versions {
        let (sight, words) = (sight(version), text(version, "words"));
        // The registry's words may begin with that.
        let words = words.strip_prefix(sight).and_then(|words| words.strip_prefix(": ")).unwrap_or(words);
        out.push_str(&format!("\n  {} {sight}: {words}", name(version)));
        for grant in version.get("grants").and_then(Value::as_array).into_iter().flatten() {
            out.push_str(&format!("\n    {}", examined(grant)));
        }
    }
    out
}

/// The version; with its reference where that is one which the version had before.
fn name(version: &Value) -> String {
    match version.get("current") {
        Some(Value::Bool(false)) => format!("{} at {}", text(version, "version"), text(version, "reference")),
        _ => text(version, "version").to_owned(),
    }
}

fn sight(version: &Value) -> &'static str {
    let is = |name: &str| version.get(name).and_then(Value::as_bool).unwrap_or_default();
    match (is("visible"), is("installable")) {
        (true, true) => "visible",
        (true, false) => "visible, not to be installed",
        (false, true) => "install only",
        (false, false) => "hidden",
    }
}

fn examined(grant: &Value) -> String {
    let mut out = text(grant, "grant").to_owned();
    if let Some(collection) = grant.get("collection").and_then(Value::as_str) {
        out.push_str(&format!(" on the collection {collection}"));
    }
    if let Some(external) = grant.get("external_id").and_then(Value::as_str) {
        out.push_str(&format!(" of the subscription {external}"));
    }
    if grant.get("shows").and_then(Value::as_bool).unwrap_or_default() {
        return out + " shows it";
    }
    let failed: Vec<String> = PARTS
        .iter()
        .filter(|(part, _)| grant.pointer(&format!("/failed/{part}")).and_then(Value::as_bool).unwrap_or_default())
        .map(|(part, words)| match *part {
            "updates_until" => format!("{words} {}", text(grant, "updates_until")),
            "stability" => format!("{words} {}", text(grant, "minimum_stability")),
            _ => (*words).to_owned(),
        })
        .collect();
    format!("{out} leaves it out: {}", failed.join("; "))
}

/// Parts of a grant that may leave a version out, in words.
const PARTS: [(&str, &str); 6] = [
    ("constraint", "its constraint does not match"),
    ("stability", "less stable than"),
    ("updates_until", "published after its limit"),
    ("collection_constraint", "the collection's constraint does not match"),
    ("collection_stability", "less stable than the collection shows"),
    ("suspended", "the grant is suspended"),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_laid_out() {
        let answer = json!({
            "customer": {"id": "cust_1", "name": "Shop", "status": "active"}, "package": "acme/pay",
            "versions": [
                {"version": "1.0.0", "current": true, "visible": true, "installable": true, "words": "visible: a grant shows it",
                 "grants": [{"grant": "grant_1", "collection": "coll_1", "external_id": "7", "shows": true}]},
                {"version": "2.0.0", "current": false, "reference": "abc", "visible": false, "installable": true,
                 "words": "it was yanked", "grants": []},
                {"version": "3.0.0-RC1", "visible": false, "installable": false, "words": "every grant leaves it out",
                 "grants": [{"grant": "grant_1", "shows": false, "updates_until": "2025-01-01T00:00:00Z",
                    "minimum_stability": "stable",
                    "failed": {"constraint": true, "stability": true, "updates_until": true, "suspended": false}}]},
            ],
        });
        let expected = "\
Shop (cust_1) is active; acme/pay:
  1.0.0 visible: a grant shows it
    grant_1 on the collection coll_1 of the subscription 7 shows it
  2.0.0 at abc install only: it was yanked
  3.0.0-RC1 hidden: every grant leaves it out
    grant_1 leaves it out: its constraint does not match; less stable than stable; published after its limit \
                        2025-01-01T00:00:00Z";
        assert_eq!(words(&answer), expected);
    }
}
