//! One question, one answer, both a line of JSON: how other programs ask about constraints.
//!
//! Reads `{"constraint":"^1.2","version":"1.3.0"}` and answers `{"normalized":"1.3.0.0","matches":true}` or
//! `{"error":"…"}`. Every line gets exactly one answer, whatever it holds.

use serde::{Deserialize, Serialize};

use crate::constraint::Constraint;
use crate::version::Version;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    constraint: String,
    version: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Found { normalized: String, matches: bool },
    Refused { error: String },
}

/// The answer to one line, without a line end. `version` is a pretty version such as `v1.3.0`, `1.x-dev` or `dev-main`.
#[must_use]
pub fn constraint_line(json_line: &str) -> String {
    let answer = answer(json_line).unwrap_or_else(|error| Answer::Refused { error });
    serde_json::to_string(&answer).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

fn answer(json_line: &str) -> Result<Answer, String> {
    let question: Question = serde_json::from_str(json_line)
        .map_err(|error| format!("the line is not {{\"constraint\":\"…\",\"version\":\"…\"}}: {error}"))?;
    let version = Version::parse(&question.version).map_err(|error| error.to_string())?;
    let constraint = Constraint::parse(&question.constraint).map_err(|error| error.to_string())?;
    let matches = constraint.matches(&version);
    Ok(Answer::Found { normalized: version.normalized().to_owned(), matches })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_every_line() {
        for (line, expected) in [
            (r#"{"constraint":"^1.2","version":"1.3.0"}"#, r#"{"normalized":"1.3.0.0","matches":true}"#),
            (r#"{"constraint":"^1.2","version":"dev-main"}"#, r#"{"normalized":"dev-main","matches":false}"#),
            (
                r#"{"version":"1.x-dev","constraint":"^1.2"}"#,
                r#"{"normalized":"1.9999999.9999999.9999999-dev","matches":true}"#,
            ),
        ] {
            assert_eq!(constraint_line(line), expected);
        }
        for line in ["", "[]", "{}", r#"{"constraint":"^1","version":"main"}"#, r#"{"constraint":"^","version":"1.0"}"#]
        {
            assert!(constraint_line(line).starts_with("{\"error\":\""), "{line}");
        }
    }
}
