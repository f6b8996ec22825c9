//! Reads the fields of a JSON body one by one and gathers everything that is wrong, so that a person mends it in one go.
//!
//! A field that nobody asked for is refused: a misspelt one must not be ignored in silence.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Map, Value};

use crate::domain::{access, text};
use crate::error::{ApiError, Detail};

/// A field of a merge patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Patch<T> {
    /// Not mentioned: stays as it is.
    Absent,
    /// `null`: cleared.
    Clear,
    /// Set.
    Set(T),
}

impl<T> Patch<T> {
    /// What the field is after the patch.
    pub(crate) fn over(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Absent => before,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// The value, if one is given.
    pub(crate) fn value(self) -> Option<T> {
        self.over(None)
    }
}

/// The fields of a body that are still to be read, and what was wrong so far.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    prefix: String,
    map: Map<String, Value>,
    problems: Vec<Detail>,
}

/// Unknown fields that are named in one refusal.
const MOST_UNKNOWN: usize = 100;
/// Largest body that is read.
pub(crate) const MOST_BODY: usize = 1 << 20;

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|_| ApiError::PayloadTooLarge(MOST_BODY))?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::of(Map::new()));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(map)) => Ok(Self::of(map)),
            Ok(_) => Err(ApiError::Unparsable("it is another kind of value".to_owned())),
            Err(error) => Err(ApiError::Unparsable(error.to_string())),
        }
    }
}

impl Fields {
    /// The fields of an object.
    pub(crate) fn of(map: Map<String, Value>) -> Self {
        Self { prefix: String::new(), map, problems: Vec::new() }
    }

    /// The fields of an object inside another, named `prefix` in messages.
    pub(crate) fn nested(prefix: &str, value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(map) => Ok(Self { prefix: format!("{prefix}."), map, problems: Vec::new() }),
            _ => Err(ApiError::field(prefix, "must be an object")),
        }
    }

    /// Says that something is wrong with a field.
    pub(crate) fn refuse(&mut self, name: &str, message: impl ToString) {
        let field = format!("{}{name}", self.prefix);
        self.problems.push(Detail { field, message: message.to_string() });
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When anything was wrong or a field was never asked for.
    pub(crate) fn finish(mut self) -> Result<(), ApiError> {
        // A body of nothing but nonsense must not give an answer many times its size.
        let unknown: Vec<String> = self.map.keys().take(MOST_UNKNOWN).cloned().collect();
        for name in unknown {
            self.refuse(&name, "unknown field; remove it or check its spelling");
        }
        if self.problems.is_empty() { Ok(()) } else { Err(ApiError::Validation(self.problems)) }
    }

    /// Whether a field is mentioned at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// Whether a field is given and not null.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    /// Whether a field is a list of nothing.
    pub(crate) fn is_empty_list(&self, name: &str) -> bool {
        self.map.get(name).and_then(Value::as_array).is_some_and(Vec::is_empty)
    }

    /// Any JSON.
    pub(crate) fn any(&mut self, name: &str) -> Patch<Value> {
        match self.map.shift_remove(name) {
            None => Patch::Absent,
            Some(Value::Null) => Patch::Clear,
            Some(value) => Patch::Set(value),
        }
    }

    /// A string, through `check`.
    pub(crate) fn string<T, E: ToString>(&mut self, name: &str, check: impl FnOnce(&str) -> Result<T, E>) -> Patch<T> {
        match self.any(name) {
            Patch::Absent => Patch::Absent,
            Patch::Clear => Patch::Clear,
            Patch::Set(Value::String(text)) => match check(&text) {
                Ok(value) => Patch::Set(value),
                Err(error) => {
                    self.refuse(name, error);
                    Patch::Absent
                }
            },
            Patch::Set(_) => {
                self.refuse(name, "must be a string");
                Patch::Absent
            }
        }
    }

    /// One line of text.
    pub(crate) fn line(&mut self, name: &str, most: usize) -> Patch<String> {
        self.string(name, |value| text::line(value, most))
    }

    /// A string that must be there, through `check`; none when something was wrong, which is then noted.
    pub(crate) fn required<T, E: ToString>(
        &mut self,
        name: &str,
        message: &str,
        check: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let given = self.has(name);
        match self.string(name, check) {
            Patch::Set(value) => return Some(value),
            Patch::Absent if given => {}
            _ => self.refuse(name, message),
        }
        None
    }

    /// Takes what is wrong with the fields of an object inside this one.
    pub(crate) fn absorb(&mut self, error: ApiError) -> Result<(), ApiError> {
        match error {
            ApiError::Validation(details) => self.problems.extend(details),
            other => return Err(other),
        }
        Ok(())
    }

    /// One line of text that must be there.
    pub(crate) fn required_line(&mut self, name: &str, most: usize) -> String {
        self.required(name, "is required", |value| text::line(value, most)).unwrap_or_default()
    }

    /// An instant in RFC 3339.
    pub(crate) fn instant(&mut self, name: &str) -> Patch<DateTime<Utc>> {
        self.string(name, |value| {
            DateTime::parse_from_rfc3339(value)
                .map(|at| at.to_utc().trunc_subsecs(6))
                .map_err(|_| "must be an instant in RFC 3339, such as 2027-01-31T00:00:00Z")
                .and_then(|at| match (1970..=9999).contains(&chrono::Datelike::year(&at)) {
                    true => Ok(at),
                    false => Err("must lie between the years 1970 and 9999"),
                })
        })
    }

    /// A stability, in its one spelling.
    pub(crate) fn stability(&mut self, name: &str) -> Patch<String> {
        self.string(name, access::stability)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        match self.any(name) {
            Patch::Set(Value::Bool(value)) => Some(value),
            Patch::Absent => None,
            _ => {
                self.refuse(name, "must be true or false");
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(crate) fn number(&mut self, name: &str, least: i64, most: i64) -> Option<i64> {
        let value = match self.any(name) {
            Patch::Absent | Patch::Clear => return None,
            Patch::Set(value) => value.as_i64().filter(|number| (least..=most).contains(number)),
        };
        if value.is_none() {
            self.refuse(name, format!("must be a whole number from {least} to {most}"));
        }
        value
    }

    /// A list, each item through `check`; none when it is not mentioned.
    pub(crate) fn list<T, E: ToString>(
        &mut self,
        name: &str,
        most: usize,
        check: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = match self.any(name) {
            Patch::Absent | Patch::Clear => return None,
            Patch::Set(Value::Array(items)) if items.len() <= most => items,
            Patch::Set(_) => {
                self.refuse(name, format!("must be a list of at most {most} strings"));
                return None;
            }
        };
        let mut out = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            match item.as_str().map(&check) {
                Some(Ok(value)) => out.push(value),
                Some(Err(error)) => self.refuse(&format!("{name}[{at}]"), error),
                None => self.refuse(&format!("{name}[{at}]"), "must be a string"),
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(map) => Fields::of(map),
            _ => panic!("an object"),
        }
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let mut fields = fields(json!({"name": "", "expires_at": "tomorrow", "fork": 1, "nmae": "x"}));
        fields.required_line("name", 10);
        fields.instant("expires_at");
        fields.flag("fork");
        let Err(ApiError::Validation(details)) = fields.finish() else { panic!("refused") };
        let names: Vec<_> = details.iter().map(|detail| detail.field.as_str()).collect();
        assert_eq!(names, ["name", "expires_at", "fork", "nmae"]);
    }

    #[test]
    fn a_patch_keeps_clears_and_sets() {
        let mut fields = fields(json!({"a": null, "b": "x"}));
        assert_eq!(fields.line("a", 9).over(Some("old".to_owned())), None);
        assert_eq!(fields.line("b", 9).over(Some("old".to_owned())), Some("x".to_owned()));
        assert_eq!(fields.line("c", 9).over(Some("old".to_owned())), Some("old".to_owned()));
        assert!(fields.finish().is_ok());
    }
}
