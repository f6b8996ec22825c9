//! From bytes to a JSON object, with limits.
//!
//! Refuses what readers disagree about: encodings other than UTF-8, byte order marks, keys given twice, NUL. Below keys
//! that are never published, values are only looked at for size, depth and grammar.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::ManifestError;

/// The largest composer.json accepted: 1 MiB.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;

/// The deepest nesting accepted; the top-level object is level 1.
pub const MAX_DEPTH: usize = 64;

/// The top-level keys that become part of what is published.
const PUBLISHED: [&str; 27] = [
    "name",
    "version",
    "time",
    "target-dir",
    "require",
    "conflict",
    "provide",
    "replace",
    "require-dev",
    "suggest",
    "bin",
    "type",
    "extra",
    "autoload",
    "autoload-dev",
    "include-path",
    "php-ext",
    "archive",
    "scripts",
    "license",
    "authors",
    "description",
    "homepage",
    "keywords",
    "support",
    "funding",
    "abandoned",
];

/// The top-level object.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, ManifestError> {
    if bytes.len() > MAX_MANIFEST_BYTES {
        return Err(ManifestError::TooLarge { bytes: bytes.len() });
    }
    let text = utf8(bytes)?;
    let reading = Reading::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let value =
        Place { reading: &reading, depth: 1 }.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    match (value, reading.fault.into_inner()) {
        (_, Some(fault)) => Err(fault),
        (Err(error), None) => Err(ManifestError::Syntax { reason: error.to_string() }),
        (Ok(Value::Object(map)), None) => Ok(map),
        (Ok(_), None) => Err(ManifestError::NotAnObject),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, ManifestError> {
    let encoding = |found: &str| ManifestError::Encoding { found: found.to_owned() };
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => return Err(encoding("it starts with a byte order mark")),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{', 0, ..] | [0, b'{', ..] => {
            return Err(encoding("it looks like UTF-16"));
        }
        _ => {}
    }
    std::str::from_utf8(bytes)
        .map_err(|error| encoding(&format!("byte {} is not part of a character", error.valid_up_to())))
}

/// Where the reader is, and the first fault that is not one of grammar.
#[derive(Default)]
struct Reading {
    path: RefCell<Vec<String>>,
    fault: RefCell<Option<ManifestError>>,
}

impl Reading {
    fn field(&self) -> String {
        self.path.borrow().join(".")
    }

    /// Is the value being read going to be published? The keys of the top level always count.
    fn is_published(&self) -> bool {
        self.path.borrow().first().is_none_or(|key| PUBLISHED.contains(&key.as_str()))
    }

    fn stop<E: serde::de::Error>(&self, fault: ManifestError) -> E {
        self.fault.borrow_mut().get_or_insert(fault);
        E::custom("refused")
    }
}

/// Reads one value at `depth`.
#[derive(Clone, Copy)]
struct Place<'r> {
    reading: &'r Reading,
    depth: usize,
}

impl<'r> Place<'r> {
    fn inner<E: serde::de::Error>(self) -> Result<Place<'r>, E> {
        if self.depth > MAX_DEPTH {
            let field = self.reading.field().chars().take(200).collect();
            return Err(self.reading.stop(ManifestError::TooDeep { field }));
        }
        Ok(Place { depth: self.depth + 1, ..self })
    }

    fn check_nul<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            let field = crate::version::shown(&self.reading.field());
            return Err(self.reading.stop(ManifestError::Nul { field }));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        if self.reading.is_published() {
            self.check_nul(value)?;
        }
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let is_published = self.reading.is_published();
            self.reading.path.borrow_mut().push(key.clone());
            self.check_nul(&key)?;
            if is_published && map.contains_key(&key) {
                let field = crate::version::shown(&self.reading.field());
                return Err(self.reading.stop(ManifestError::DuplicateKey { field }));
            }
            let value = entries.next_value_seed(inner)?;
            self.reading.path.borrow_mut().pop();
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
