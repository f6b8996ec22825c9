//! Commands on one version of a package.

use serde_json::{Value, json};

use super::arguments::Version;
use crate::admin::Answer;
use crate::admin::client::{Client, Sent};
use crate::admin::consent::Consent;
use crate::admin::output::text;
use crate::admin::path::{package as address, parts};
use crate::admin::upload::Upload;
use crate::exit::Failure;

/// An action on a version: yank, takedown and the like.
pub(super) async fn change(
    client: &Client,
    of: &Version,
    action: &str,
    body: &Value,
    consent: Consent,
) -> Result<Answer, Failure> {
    let path = format!("{}/{action}/{}", address(&of.package), parts(&of.version));
    let after = client.post(&consent.on(&path), body).await?;
    consent.told(after, |after| state(&of.package, after))
}

/// Corrects when it was published.
pub(super) async fn date(client: &Client, of: &Version, body: &Value, consent: Consent) -> Result<Answer, Failure> {
    let after = client.patch(&consent.on(&one(of)), body).await?;
    consent.told(after, |after| {
        format!("{} {} counts as published at {}", of.package, text(after, "version"), text(after, "published_at"))
    })
}

/// Sends the archive.
pub(super) async fn publish(client: &Client, of: &Version, upload: Upload) -> Result<Answer, Failure> {
    let progress = upload.progress.clone();
    let sent = client.upload(&one(of), upload).await;
    progress.finish_and_clear();
    let (made, new) = match sent? {
        Sent::Answered(made, new) => (made, new),
        Sent::BrokenOff(error) => return Err(why(client, of, &error).await),
    };
    let waits = made.get("held_at").is_some_and(Value::is_string);
    let what = if waits {
        "waits for its release"
    } else if new {
        "is published"
    } else {
        "was there already, byte for byte"
    };
    let sentence = format!("{} {} {what}; SHA-1 {}", of.package, text(&made, "version"), text(&made, "dist_sha1"));
    Ok(Answer::Thing(made, sentence))
}

/// Why the connection broke while the archive was sent. A registry that refuses an upload does not read it to its end, and then
/// its answer may be lost; what it says of the package alone tells most of the reasons.
async fn why(client: &Client, of: &Version, error: &str) -> Failure {
    match client.get(&address(&of.package)).await {
        Err(refusal) => refusal,
        Ok(_) => Failure::failed(format!(
            "the registry hung up while the archive was sent ({error}): it may be too large for it, or this credential may read \
             the package but not publish; `{} {}` is not published",
            of.package, of.version
        )),
    }
}

fn one(of: &Version) -> String {
    format!("{}/versions/{}", address(&of.package), parts(&of.version))
}

fn state(package: &str, after: &Value) -> String {
    let is = |field: &str| after.get(field).is_some_and(Value::is_string);
    let name = format!("{package} {}", text(after, "version"));
    if is("task") {
        return format!("{name} may follow its tag; its repository is being read ({})", text(after, "task"));
    }
    let mut out = match (is("taken_down_at"), is("yanked_at")) {
        _ if is("held_at") => format!("{name} waits for its release{}", until(after)),
        (true, _) => format!("{name} is taken down: {}", text(after, "taken_down_reason")),
        (false, true) => format!("{name} is yanked; locks that hold it keep working"),
        (false, false) => format!("{name} is in metadata"),
    };
    if is("deprecated_at") {
        out.push_str(", deprecated");
        if is("replacement") {
            out.push_str(&format!(", to be replaced by {}", text(after, "replacement")));
        }
    }
    out
}

/// When that is by itself.
fn until(after: &Value) -> String {
    match text(after, "release_at") {
        "" => String::new(),
        at => format!(", by itself at {at}"),
    }
}

/// The body of a deprecation or an abandonment.
pub(super) fn replaced_by(replacement: Option<&str>) -> Value {
    replacement.map_or_else(|| json!({}), |replacement| json!({"replacement": replacement}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states() {
        let at = "2026-01-01T00:00:00Z";
        for (after, words) in [
            (json!({"version": "1"}), "a/b 1 is in metadata"),
            (json!({"version": "1", "yanked_at": at}), "a/b 1 is yanked; locks that hold it keep working"),
            (
                json!({"version": "1", "yanked_at": at, "taken_down_at": at, "taken_down_reason": "a leak"}),
                "a/b 1 is taken down: a leak",
            ),
            (
                json!({"version": "1", "deprecated_at": at, "replacement": "c/d"}),
                "a/b 1 is in metadata, deprecated, to be replaced by c/d",
            ),
        ] {
            assert_eq!(state("a/b", &after), words);
        }
    }
}
