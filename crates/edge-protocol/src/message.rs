//! What a tenant says to his customers' developers: templates, and the words where he has none.
//!
//! One rule for both sides: the control plane refuses a template that an edge could not fill in. Filling in never fails.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A tenant's templates; for what is missing here the default words hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Messages {
    /// Where customers renew; without it the registry's own address.
    pub renew_url: Option<String>,
    /// By occasion.
    pub templates: BTreeMap<Message, Template>,
}

/// The occasions on which a customer's developer is told something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The customer is suspended.
    Suspended,
    /// The customer's time is over.
    Expired,
    /// Only a suspended grant would show this package.
    GrantSuspended,
    /// This dist came after the end of his updates.
    BeyondUpdates,
    /// In `packages.json`: a newer version that a renewal alone would show.
    Renewal,
    /// In `packages.json`: the token ends soon.
    TokenExpires,
    /// This version was taken down.
    TakenDown,
    /// He has the package, but not this version.
    NotCovered,
    /// He is frozen, and this version is not among his.
    Frozen,
}

/// What can be filled in. Each stands in braces in a template: `{customer} {package} {version} {reason} {until} {renew_url}`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Values<'a> {
    /// Name of the customer.
    pub customer: &'a str,
    /// Name of the package.
    pub package: &'a str,
    /// The version, as its author writes it.
    pub version: &'a str,
    /// What the operator said.
    pub reason: &'a str,
    /// A day, `2025-01-15`.
    pub until: &'a str,
    /// Where to renew.
    pub renew_url: &'a str,
}

/// One line of text with places to fill in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

/// The text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseTemplateError {
    /// It is empty or too long.
    #[error("must be 1 to {MOST} characters")]
    Length,
    /// It holds a line break or another control character.
    #[error("must be one line without control characters")]
    Control,
    /// It names a place that there is not.
    #[error("knows no place `{{{0}}}`: use {{customer}} {{package}} {{version}} {{reason}} {{until}} {{renew_url}}")]
    Place(String),
    /// A brace is left open.
    #[error("has a `{{` that is not closed")]
    Open,
}

const MOST: usize = 500;

impl Message {
    /// Every occasion.
    pub const ALL: [Self; 9] = [
        Self::Suspended,
        Self::Expired,
        Self::GrantSuspended,
        Self::BeyondUpdates,
        Self::Renewal,
        Self::TokenExpires,
        Self::TakenDown,
        Self::NotCovered,
        Self::Frozen,
    ];

    /// As written in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Expired => "expired",
            Self::GrantSuspended => "grant_suspended",
            Self::BeyondUpdates => "beyond_updates",
            Self::Renewal => "renewal",
            Self::TokenExpires => "token_expires",
            Self::TakenDown => "taken_down",
            Self::NotCovered => "not_covered",
            Self::Frozen => "frozen",
        }
    }

    /// The words of a tenant who has none of his own; others where there is no reason to name.
    #[must_use]
    pub const fn default_words(self, with_reason: bool) -> &'static str {
        match (self, with_reason) {
            (Self::Suspended, true) => "Your access to this registry is suspended: {reason}",
            (Self::Suspended, false) => "Your access to this registry is suspended.",
            (Self::Expired, _) => "Your access to this registry has expired. Renew at {renew_url}",
            (Self::GrantSuspended, true) => "Your licence for {package} is suspended: {reason}",
            (Self::GrantSuspended, false) => "Your licence for {package} is suspended.",
            (Self::BeyondUpdates, _) => {
                "Your licence for {package} covers versions published up to {until}; {version} came later. Renew at {renew_url}"
            }
            (Self::Renewal, _) => {
                "{package} {version} is out; your licence covers versions published up to {until}. Renew at {renew_url}"
            }
            (Self::TokenExpires, _) => "Your token expires on {until}.",
            (Self::TakenDown, true) => "{package} {version} was taken down: {reason}",
            (Self::TakenDown, false) => "{package} {version} was taken down.",
            (Self::NotCovered, _) => "Your licence for {package} does not cover this version.",
            (Self::Frozen, _) => "Your access to {package} is frozen; this version is not part of it.",
        }
    }
}

impl Messages {
    /// The words on an occasion. They may still hold control characters from the values: whoever writes them out strips those.
    #[must_use]
    pub fn words(&self, message: Message, values: Values<'_>) -> String {
        let default = message.default_words(!values.reason.is_empty());
        fill(self.templates.get(&message).map_or(default, |template| &template.0), values)
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// See [`ParseTemplateError`].
    pub fn parse(text: &str) -> Result<Self, ParseTemplateError> {
        if text.trim().is_empty() || text.chars().count() > MOST {
            return Err(ParseTemplateError::Length);
        }
        if text.chars().any(char::is_control) {
            return Err(ParseTemplateError::Control);
        }
        let mut rest = text;
        while let Some((_, after)) = rest.split_once('{') {
            let (place, after) = after.split_once('}').ok_or(ParseTemplateError::Open)?;
            if Values::default().of(place).is_none() {
                return Err(ParseTemplateError::Place(place.chars().take(40).collect()));
            }
            rest = after;
        }
        Ok(Self(text.to_owned()))
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'a> Values<'a> {
    fn of(self, place: &str) -> Option<&'a str> {
        Some(match place {
            "customer" => self.customer,
            "package" => self.package,
            "version" => self.version,
            "reason" => self.reason,
            "until" => self.until,
            "renew_url" => self.renew_url,
            _ => return None,
        })
    }
}

/// Values are put in once: braces in them mean nothing.
fn fill(template: &str, values: Values<'_>) -> String {
    let mut words = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        words.push_str(before);
        let filled = after.split_once('}').and_then(|(place, after)| Some((values.of(place)?, after)));
        match filled {
            Some((value, after)) => {
                words.push_str(value);
                rest = after;
            }
            None => {
                words.push('{');
                rest = after;
            }
        }
    }
    words.push_str(rest);
    words
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'static> = Values {
        customer: "Shop {until}",
        package: "acme/pay",
        version: "2.1.0",
        reason: "",
        until: "2025-01-15",
        renew_url: "https://acme.example/renew",
    };

    #[test]
    fn filled_in_once() {
        let mut messages = Messages::default();
        assert!(messages.words(Message::Renewal, VALUES).starts_with("acme/pay 2.1.0 is out"));
        assert_eq!(messages.words(Message::Suspended, VALUES), "Your access to this registry is suspended.");
        let reason = Values { reason: "unpaid", ..VALUES };
        assert!(messages.words(Message::Suspended, reason).ends_with(": unpaid"));
        messages.templates.insert(Message::Suspended, Template::parse("Dear {customer}, {reason}!").unwrap());
        assert_eq!(messages.words(Message::Suspended, reason), "Dear Shop {until}, unpaid!");
    }

    #[test]
    fn refused() {
        for (text, expected) in [
            (" ", ParseTemplateError::Length),
            ("a\nb", ParseTemplateError::Control),
            ("{custmer}", ParseTemplateError::Place("custmer".to_owned())),
            ("{customer", ParseTemplateError::Open),
        ] {
            assert_eq!(Template::parse(text), Err(expected), "{text}");
        }
        assert_eq!(Template::parse(&"x".repeat(501)), Err(ParseTemplateError::Length));
    }

    #[test]
    fn every_occasion_has_words_that_can_be_filled_in() {
        for message in Message::ALL {
            for with_reason in [true, false] {
                assert!(Template::parse(message.default_words(with_reason)).is_ok(), "{message:?}");
            }
            assert_eq!(serde_json::to_value(message).unwrap(), message.as_str());
        }
    }

    #[test]
    fn written_and_read() {
        let text = r#"{"renew_url":null,"templates":{"renewal":"Renew at {renew_url}"}}"#;
        let messages: Messages = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&messages).unwrap(), text);
        assert_eq!(serde_json::from_str::<Messages>("{}").unwrap(), Messages::default());
    }
}
