//! Packages with all their versions, by (tenant, name): the raw material of views.
//!
//! What decides who sees which version lies ready. What the versions say of themselves is most of a package, differs little from
//! one version to the next, and is needed only when a document is rendered: it lies packed.

use std::ops::Deref;
use std::sync::Arc;

use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::{Metadata, Package, TenantId, Version};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Facts, Lost};

/// Packages, by tenant and name.
pub(crate) type Packages = Facts<(TenantId, PackageName), KeptPackage>;

/// Room for `bytes`.
pub(crate) fn packages(bytes: u64) -> Packages {
    Facts::new(bytes, |package| package.bytes)
}

/// Quick: documents are rendered from it while somebody waits.
const LEVEL: i32 = 1;

/// A package as the edge keeps it. The `metadata` of its versions is empty; [`Self::metadata`] gives it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Package")]
pub(crate) struct KeptPackage {
    package: Package,
    words: Box<[Words]>,
    packed: Box<[u8]>,
    unpacked: usize,
    bytes: usize,
}

/// What is told of a version beside documents.
#[derive(Debug)]
pub(crate) struct Words {
    /// As its author writes the version.
    pub(crate) pretty: Box<str>,
    /// The same for most versions of a package.
    pub(crate) summary: Arc<Summary>,
}

/// What searches go by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// As Composer takes it.
    pub(crate) kind: Box<str>,
    pub(crate) description: Box<str>,
    pub(crate) keywords: Box<[Box<str>]>,
    /// Names that it provides or replaces.
    pub(crate) stands_for: Box<[Box<str>]>,
}

/// What of the metadata is looked at here. Anything may stand anywhere in it: what is of no use counts as not there.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    version: Value,
    #[serde(rename = "type")]
    kind: Value,
    description: Value,
    keywords: Value,
    provide: Value,
    replace: Value,
}

impl Summary {
    fn of(told: &Told) -> Self {
        let keywords = told.keywords.as_array().into_iter().flatten();
        let links = [&told.provide, &told.replace].into_iter().filter_map(|links| links.as_object());
        Self {
            kind: told.kind.as_str().filter(|kind| !kind.is_empty()).unwrap_or("library").into(),
            description: told.description.as_str().unwrap_or_default().into(),
            keywords: keywords.filter_map(Value::as_str).map(Box::from).collect(),
            stands_for: links.flat_map(|links| links.keys().map(|name| name.as_str().into())).collect(),
        }
    }

    fn bytes(&self) -> usize {
        let names = self.keywords.iter().chain(&self.stands_for).map(|name| 32 + name.len()).sum::<usize>();
        160 + self.kind.len() + self.description.len() + names
    }
}

/// Why a package cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("a package's metadata cannot be packed: {0}")]
pub(crate) struct Unpackable(String);

impl KeptPackage {
    /// What the versions at these positions say of themselves, in their order.
    pub(crate) fn metadata(&self, positions: &[u32]) -> Result<Vec<Map<String, Value>>, Lost> {
        self.unpack(|texts| {
            let text = |position: &u32| texts.get(usize::try_from(*position).ok()?);
            positions.iter().filter_map(text).map(|text| serde_json::from_str(text.get())).collect()
        })
    }

    fn unpack<T>(&self, read: impl FnOnce(Vec<&RawValue>) -> serde_json::Result<T>) -> Result<T, Lost> {
        let unpacked = zstd::bulk::decompress(&self.packed, self.unpacked).map_err(|error| error.to_string());
        let read =
            unpacked.and_then(|bytes| serde_json::from_slice(&bytes).and_then(read).map_err(|error| error.to_string()));
        read.map_err(|error| {
            tracing::error!(target: "cargoman::edge", package = self.package.name.as_str(), error, "packed metadata is damaged");
            Lost
        })
    }

    /// What is told of the version at a position.
    pub(crate) fn words(&self, position: usize) -> Option<&Words> {
        self.words.get(position)
    }
}

impl TryFrom<Package> for KeptPackage {
    type Error = Unpackable;

    fn try_from(mut package: Package) -> Result<Self, Unpackable> {
        let metadata: Vec<Metadata> =
            package.versions.iter_mut().map(|version| std::mem::take(&mut version.metadata)).collect();
        let text = serde_json::to_vec(&metadata).map_err(|error| Unpackable(error.to_string()))?;
        let packed = zstd::bulk::compress(&text, LEVEL).map_err(|error| Unpackable(error.to_string()))?;
        let mut words: Vec<Words> = Vec::with_capacity(metadata.len());
        let mut bytes = size_of::<Self>() + packed.len();
        for (version, metadata) in package.versions.iter().zip(&metadata) {
            let told: Told = serde_json::from_str(metadata.text()).map_err(|error| Unpackable(error.to_string()))?;
            let summary = Summary::of(&told);
            let before = words.last().map(|words| &words.summary).filter(|before| ***before == summary);
            let summary = before.cloned().unwrap_or_else(|| {
                bytes += summary.bytes();
                Arc::new(summary)
            });
            let pretty = told.version.as_str().unwrap_or(version.version.normalized());
            bytes += size_of::<Words>() + pretty.len() + weight(version);
            words.push(Words { pretty: pretty.into(), summary });
        }
        package.versions.shrink_to_fit();
        Ok(Self { package, words: words.into(), packed: packed.into(), unpacked: text.len(), bytes })
    }
}

/// Bytes that a version without its metadata takes.
fn weight(version: &Version) -> usize {
    // A parsed version is two texts, and a few small allocations more.
    let parsed = |version: &cargoman_composer::version::Version| 160 + version.normalized().len();
    let past: usize = version.past.iter().map(|past| 160 + past.reference.len() + past.dist.sha1.len()).sum();
    let aliases: usize = version.aliases.iter().map(parsed).sum();
    size_of::<Version>()
        + parsed(&version.version)
        + aliases
        + past
        + version.reference.len()
        + version.dist.sha1.len()
        + version.taken_down.as_ref().map_or(0, String::len)
        + 64
}

impl Deref for KeptPackage {
    type Target = Package;

    fn deref(&self) -> &Package {
        &self.package
    }
}

impl Serialize for KeptPackage {
    /// As [`Package`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = |texts: Vec<&RawValue>| {
            let mut package = self.package.clone();
            for (version, text) in package.versions.iter_mut().zip(texts) {
                version.metadata = text.to_owned().into();
            }
            Ok(package)
        };
        self.unpack(whole).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package() -> Package {
        let version = |number: u32| {
            json!({
                "version": format!("1.{number}.0.0"), "published_at": "2026-01-01T00:00:00Z", "reference": "a".repeat(40),
                "dist": {"sha256": "b".repeat(64), "sha1": "c".repeat(40), "size": 7},
                "metadata": {
                    "name": "acme/pay", "version": format!("v1.{number}"), "description": "Pays", "keywords": ["money", 7],
                    "type": if number == 2 { json!("") } else { json!("magento2-module") },
                    "replace": {"acme/old": "*"}, "z": [1, {"b": 1, "a": 2}],
                },
            })
        };
        let versions: Vec<_> = (0..4).map(version).collect();
        serde_json::from_value(json!({"name": "acme/pay", "versions": versions})).unwrap()
    }

    #[test]
    fn nothing_is_lost_by_packing() {
        let kept = KeptPackage::try_from(package()).unwrap();
        assert!(kept.versions.iter().all(|version| version.metadata == Metadata::default()));
        let metadata: Vec<_> = package().versions.into_iter().map(|version| version.metadata).collect();
        // In order too.
        let told = |positions: &[u32]| serde_json::to_string(&kept.metadata(positions).unwrap()).unwrap();
        assert_eq!(told(&[0, 1, 2, 3]), serde_json::to_string(&metadata).unwrap());
        assert_eq!(told(&[2, 9]), format!("[{}]", metadata[2].text()));
        let written = serde_json::to_string(&kept).unwrap();
        assert_eq!(written, serde_json::to_string(&package()).unwrap());
        let read: KeptPackage = serde_json::from_str(&written).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), written);
    }

    #[test]
    fn words() {
        let kept = KeptPackage::try_from(package()).unwrap();
        let words = |position| kept.words(position).unwrap();
        assert_eq!(&*words(1).pretty, "v1.1");
        let summary = &words(0).summary;
        assert_eq!((&*summary.kind, &*summary.description), ("magento2-module", "Pays"));
        assert_eq!((&*summary.keywords, &*summary.stands_for), (&["money".into()][..], &["acme/old".into()][..]));
        assert_eq!(&*words(2).summary.kind, "library");
        assert!(Arc::ptr_eq(summary, &words(1).summary) && !Arc::ptr_eq(summary, &words(2).summary));
        assert!(kept.words(4).is_none());
    }
}
