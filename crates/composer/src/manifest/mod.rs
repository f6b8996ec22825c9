//! composer.json of one commit, reduced to what may be published about that version.
//!
//! One bad version makes every client that looks at the package fail, so a manifest is either turned into fields that
//! any Composer 2 can load or refused with the field that is at fault. The measure is Composer's own
//! `ValidatingArrayLoader`: what it calls an error is refused, what it warns about is left out. The file says nothing
//! about where the code is: `dist`, `source` and all other keys that do not describe the version are ignored.
//!
//! Stricter than Composer, on purpose: keys given twice, texts with NUL, link names outside of `[A-Za-z0-9_./-]` or that
//! PHP turns into integers, two links that differ only in case, `target-dir` that leaves the package, malformed
//! autoload rules, `bin` with a drive or a leading dash. Unknown keys inside `authors`, `support` and `funding` are left
//! out, as are replacements in `abandoned` that are not package names.

mod about;
mod aliases;
mod code;
mod links;
mod php_ext;
mod read;
#[cfg(test)]
mod tests;
mod web;

use serde_json::{Map, Value};

use crate::name::{PackageName, is_platform_package};
use crate::p2::UNSET;
use crate::version::Version;

pub use links::MAX_LINKS;
pub use read::{MAX_DEPTH, MAX_MANIFEST_BYTES};

/// A composer.json that is safe to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The package name as written; present ones satisfy Composer's rule. Whether it is the right one is the caller's
    /// question.
    pub name: Option<String>,
    /// The `version` key as written, not normalized. Discouraged by Composer: tags say it already.
    pub version: Option<String>,
    /// The `time` key if it is a date in a common form.
    pub time: Option<String>,
    /// The fields of a p2 version object that come from the file, validated, in the order in which Composer dumps them.
    pub fields: Map<String, Value>,
}

/// Why a manifest is refused. The message names the field and what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Larger than [`MAX_MANIFEST_BYTES`].
    #[error("composer.json is {bytes} bytes long: at most {MAX_MANIFEST_BYTES} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not plain UTF-8.
    #[error("composer.json is not plain UTF-8: {found}; save it as UTF-8 without a byte order mark")]
    Encoding {
        /// What it is instead.
        found: String,
    },
    /// Not JSON.
    #[error("composer.json is not valid JSON: {reason}")]
    Syntax {
        /// The parser's words, with line and column.
        reason: String,
    },
    /// JSON, but not an object.
    #[error("composer.json must be a JSON object")]
    NotAnObject,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("composer.json is nested more than {MAX_DEPTH} levels deep, under `{field}`")]
    TooDeep {
        /// Where.
        field: String,
    },
    /// A key is given twice; readers differ in which one they take.
    #[error("composer.json has the key `{field}` twice: remove one")]
    DuplicateKey {
        /// Which.
        field: String,
    },
    /// A key or text contains NUL.
    #[error("composer.json has a NUL character in `{field}`: remove it")]
    Nul {
        /// Where.
        field: String,
    },
    /// A field has a value that Composer refuses, or that would make a client fail.
    #[error("composer.json: `{field}` {reason}")]
    Field {
        /// The field, dotted down to the value at fault.
        field: String,
        /// What is wrong and what it should be.
        reason: String,
    },
}

/// A refusal of the field `field`.
fn refuse(field: impl Into<String>, reason: impl Into<String>) -> ManifestError {
    ManifestError::Field { field: field.into(), reason: reason.into() }
}

impl Manifest {
    /// Reads and validates the bytes of a composer.json.
    ///
    /// # Errors
    /// When no version may be published with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let config = read::object(bytes)?;
        let name = text(&config, "name")?;
        let written = config.get("name").is_some_and(|name| !name.is_null());
        match &name {
            Some(name) => drop(PackageName::parse(name).map_err(|error| refuse("name", error.to_string()))?),
            None if written => return Err(refuse("name", "is empty: write it as vendor/name")),
            None => {}
        }
        let version = text(&config, "version")?;
        let time = text(&config, "time")?.filter(|time| web::is_date(time));
        let mut fields = Map::new();
        let mut keep = |field: &str, value: Option<Value>| {
            // The p2 format takes this text for "no such field".
            if let Some(value) = value.filter(|value| value != UNSET) {
                fields.insert(field.to_owned(), value);
            }
        };
        keep("target-dir", code::target_dir(&config)?);
        for (kind, map) in links::all(&config, name.as_deref())? {
            keep(kind, Some(map));
        }
        keep("suggest", links::suggest(&config)?);
        keep("bin", code::bin(&config)?);
        keep("type", Some(about::kind(&config)?.into()));
        keep("extra", aliases::extra(&config)?);
        keep("autoload", code::autoload(&config)?);
        keep("autoload-dev", code::autoload_dev(&config)?);
        keep("include-path", code::include_path(&config)?);
        keep("php-ext", php_ext::php_ext(&config)?);
        keep("archive", code::archive(&config)?);
        keep("scripts", code::scripts(&config)?);
        keep("license", about::license(&config));
        keep("authors", about::authors(&config)?);
        keep("description", text(&config, "description")?.map(Value::String));
        keep("homepage", about::homepage(&config)?);
        keep("keywords", about::keywords(&config)?);
        keep("support", about::support(&config)?);
        keep("funding", about::funding(&config)?);
        keep("abandoned", about::abandoned(&config));
        Ok(Self { name, version, time, fields })
    }

    /// The names under `require` that a registry can be asked for: without `php`, extensions and the like.
    pub fn requires(&self) -> impl Iterator<Item = &str> {
        let links = self.fields.get("require").and_then(Value::as_object);
        links.into_iter().flat_map(Map::keys).map(String::as_str).filter(|name| !is_platform_package(name))
    }

    /// `extra`, or null: where branch aliases are.
    #[must_use]
    pub fn extra(&self) -> &Value {
        self.fields.get("extra").unwrap_or(&Value::Null)
    }

    /// The version object of a p2 file, without `dist` and `source`.
    ///
    /// `pretty` and `version` come from the tag or branch (`version` must be what `pretty` normalizes to), `time` is
    /// RFC 3339 and defaults to the file's own.
    #[must_use]
    pub fn version_object(
        &self,
        name: &PackageName,
        pretty: &str,
        version: &Version,
        time: Option<&str>,
        default_branch: bool,
    ) -> Map<String, Value> {
        let mut object = Map::with_capacity(self.fields.len() + 5);
        object.insert("name".to_owned(), name.as_str().into());
        object.insert("version".to_owned(), pretty.into());
        object.insert("version_normalized".to_owned(), version.normalized().into());
        object.extend(self.fields.iter().map(|(field, value)| (field.clone(), value.clone())));
        if let Some(time) = time.or(self.time.as_deref()) {
            object.insert("time".to_owned(), time.into());
        }
        if default_branch {
            object.insert("default-branch".to_owned(), true.into());
        }
        object
    }
}

/// The value of `field`. Null counts as absent, as in PHP.
fn present<'c>(config: &'c Map<String, Value>, field: &str) -> Option<&'c Value> {
    config.get(field).filter(|value| !value.is_null())
}

/// A field that must be a string; blank ones count as absent.
fn text(config: &Map<String, Value>, field: &str) -> Result<Option<String>, ManifestError> {
    match present(config, field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok((!crate::pattern::trim(text).is_empty()).then(|| text.clone())),
        Some(other) => Err(refuse(field, format!("must be a string, not {}", kind_of(other)))),
    }
}

/// Keys and values of what PHP calls an array.
type Entries<'c> = Vec<(String, &'c Value)>;

/// The entries of a field that must be what PHP calls an array: a JSON list or object. Keys of lists are positions.
fn entries<'c>(config: &'c Map<String, Value>, field: &str) -> Result<Entries<'c>, ManifestError> {
    match present(config, field) {
        None => Ok(Vec::new()),
        Some(value) => {
            array(value).ok_or_else(|| refuse(field, format!("must be a list or an object, not {}", kind_of(value))))
        }
    }
}

/// What PHP sees as an array.
fn array(value: &Value) -> Option<Entries<'_>> {
    match value {
        Value::Array(list) => Some(list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()),
        Value::Object(map) => Some(map.iter().map(|(key, value)| (key.clone(), value)).collect()),
        _ => None,
    }
}

/// Would PHP turn this key into an integer? Composer then fails where it wants a string.
fn is_integer_key(key: &str) -> bool {
    key.parse::<i64>().is_ok_and(|number| number.to_string() == key)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
