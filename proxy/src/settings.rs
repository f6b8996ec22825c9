//! Decides how a value is read out of a configuration file, and collects every problem instead of stopping at the first.
//!
//! It must never know what a setting means: that stands in `config.rs`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::{Table, Value};

/// One `[section]` while it is being read: each reader takes its key away, and what is left at the end is unknown.
pub(crate) struct Section<'a> {
    name: &'static str,
    values: Table,
    problems: &'a mut Vec<String>,
}

impl<'a> Section<'a> {
    /// Takes the section out of `root`; a missing one is empty.
    pub(crate) fn take(root: &mut Table, name: &'static str, problems: &'a mut Vec<String>) -> Self {
        let values = match root.remove(name) {
            None => Table::new(),
            Some(Value::Table(values)) => values,
            Some(_) => {
                problems.push(format!("`{name}` must be a section: write `[{name}]`"));
                Table::new()
            }
        };
        Self { name, values, problems }
    }

    /// A value that `parse` understands; none when the key is missing or wrong (which is then a problem).
    pub(crate) fn read<T>(&mut self, key: &str, parse: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        let value = self.values.remove(key)?;
        match parse(&value) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.problem(key, &wrong);
                None
            }
        }
    }

    /// A value without which nothing works.
    pub(crate) fn require<T>(&mut self, key: &str, parse: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        if !self.values.contains_key(key) {
            self.problem(key, "is missing and has no default");
        }
        self.read(key, parse)
    }

    /// A list; a single string is taken apart at its commas, as environment variables give it.
    pub(crate) fn list<T: FromStr>(&mut self, key: &str, what: &str) -> Option<Vec<T>> {
        let value = self.values.remove(key)?;
        let texts: Vec<String> = match &value {
            Value::Array(items) => items.iter().map(|item| item.as_str().unwrap_or_default().to_owned()).collect(),
            Value::String(text) => {
                text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
            }
            _ => {
                self.problem(key, &format!("must be a list of {what}"));
                return None;
            }
        };
        let mut out = Vec::with_capacity(texts.len());
        for text in texts {
            match text.parse() {
                Ok(item) => out.push(item),
                Err(_) => self.problem(key, &format!("`{text}` is no {what}")),
            }
        }
        Some(out)
    }

    /// Notes what is wrong with `key`.
    pub(crate) fn problem(&mut self, key: &str, wrong: &str) {
        self.problems.push(format!("{}.{key} {wrong}", self.name));
    }

    /// Whatever was not read is unknown.
    pub(crate) fn finish(self) {
        for key in self.values.keys() {
            self.problems.push(format!("{}.{key} is no setting", self.name));
        }
    }
}

/// A whole number of at least `minimum`.
pub(crate) fn number(minimum: u64) -> impl Fn(&Value) -> Result<u64, String> {
    move |value| {
        let number = match value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number
            .filter(|number| *number >= minimum)
            .ok_or_else(|| format!("must be a whole number of at least {minimum}"))
    }
}

/// A number of bytes: `1048576`, or `"64 MiB"`.
pub(crate) fn bytes(value: &Value) -> Result<u64, String> {
    let wrong = || "must be a number of bytes such as 1048576 or \"64 MiB\" (KiB, MiB, GiB, TiB)".to_owned();
    let Value::String(text) = value else { return number(1)(value).map_err(|_| wrong()) };
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit.trim() {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

/// A number of seconds.
pub(crate) fn socket_address(value: &Value) -> Result<std::net::SocketAddr, String> {
    let parsed = value.as_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| format!("must be a {SOCKET_ADDRESS}"))
}

pub(crate) fn seconds(value: &Value) -> Result<Duration, String> {
    number(1)(value).map(Duration::from_secs).map_err(|_| "must be a whole number of seconds, at least 1".to_owned())
}

/// A text that is not empty.
pub(crate) fn text(value: &Value) -> Result<String, String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(|| "must be a text".to_owned())
}

/// Yes or no.
pub(crate) fn boolean(value: &Value) -> Result<bool, String> {
    match value {
        Value::Boolean(value) => Ok(*value),
        Value::String(text) => text.parse().map_err(|_| "must be true or false".to_owned()),
        _ => Err("must be true or false".to_owned()),
    }
}

/// A path.
pub(crate) fn path(value: &Value) -> Result<PathBuf, String> {
    text(value).map(PathBuf::from)
}

/// An `http` or `https` address without path, query, user or fragment.
pub(crate) fn origin(value: &Value) -> Result<url::Url, String> {
    let wrong = || "must be an address such as http://127.0.0.1:8082".to_owned();
    let url = url::Url::parse(&text(value).map_err(|_| wrong())?).map_err(|_| wrong())?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    match bare && url.has_host() && matches!(url.scheme(), "http" | "https") {
        true => Ok(url),
        false => Err(wrong()),
    }
}

/// Lays `CARGOMAN_SECTION__KEY` variables over `root`, for the named sections only.
pub(crate) fn overlay(root: &mut Table, sections: &[&str], variables: impl IntoIterator<Item = (String, String)>) {
    for (name, value) in variables {
        let Some((section, key)) = name.strip_prefix("CARGOMAN_").and_then(|rest| rest.split_once("__")) else {
            continue;
        };
        let (section, key) = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
        if !sections.contains(&section.as_str()) {
            continue;
        }
        let value =
            match toml::from_str::<Table>(&format!("value = {value}")).ok().and_then(|mut table| table.remove("value"))
            {
                Some(value @ (Value::Integer(_) | Value::Boolean(_) | Value::Array(_))) => value,
                _ => Value::String(value),
            };
        if let Value::Table(values) = root.entry(section).or_insert_with(|| Value::Table(Table::new())) {
            values.insert(key, value);
        }
    }
}

/// Names a socket address in messages.
pub(crate) const SOCKET_ADDRESS: &str = "socket address such as 127.0.0.1:8080";

/// Kept here so that `config.rs` reads as a list of settings.
pub(crate) type Addresses = Vec<SocketAddr>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("1", Some(1)),
            ("64 MiB", Some(64 << 20)),
            ("2GiB", Some(2 << 30)),
            ("0", None),
            ("1 MB", None),
            ("", None),
        ] {
            assert_eq!(bytes(&Value::String(text.to_owned())).ok(), expected, "{text}");
        }
        assert_eq!(bytes(&Value::Integer(7)).ok(), Some(7));
        assert_eq!(bytes(&Value::Integer(-7)).ok(), None);
    }

    #[test]
    fn origins() {
        let ok = |text: &str| origin(&Value::String(text.to_owned())).is_ok();
        for good in ["http://127.0.0.1:8082", "https://control.example/"] {
            assert!(ok(good), "{good}");
        }
        for bad in ["127.0.0.1:8082", "ftp://x", "http://u@x", "http://x/path", "http://x/?q", ""] {
            assert!(!ok(bad), "{bad}");
        }
    }

    #[test]
    fn variables_lie_over_the_file() {
        let mut root: Table = toml::from_str("[edge]\nthreads = 1").unwrap();
        let variables = [
            ("CARGOMAN_EDGE__THREADS", "3"),
            ("CARGOMAN_EDGE__LISTEN", "a,b"),
            ("CARGOMAN_OTHER__X", "1"),
            ("CARGOMAN_URL", "x"),
        ];
        overlay(&mut root, &["edge"], variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(root, toml::from_str("[edge]\nthreads = 3\nlisten = \"a,b\"").unwrap());
    }
}
