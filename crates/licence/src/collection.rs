//! Collections: sets of packages that are granted together, each known on its own.

use std::fmt;

use cargoman_composer::constraint::Constraint;
use cargoman_composer::name::PackageName;
use cargoman_composer::stability::Stability;
use serde::{Deserialize, Serialize};

use crate::PackageGlob;

/// A set of packages, with limits of its own that hold beside those of each grant on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Collection {
    /// Its id.
    pub id: CollectionId,
    /// The packages in it.
    pub packages: Members,
    /// Which versions; without it every one.
    #[serde(default)]
    pub constraint: Option<Constraint>,
    /// The least stable version; without it any.
    #[serde(default)]
    pub minimum_stability: Option<Stability>,
}

/// Opaque id of a collection, `coll_…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CollectionId(pub String);

impl fmt::Display for CollectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// Finds a collection by its id. One that is not found shows nothing.
pub type Collections<'a> = dyn Fn(&CollectionId) -> Option<&'a Collection> + 'a;

/// The look-up of those who have no collections.
#[must_use]
pub const fn no_collections<'a>(_: &CollectionId) -> Option<&'a Collection> {
    None
}

/// Packages by name or by pattern; written as one list of texts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<PackageGlob>", into = "Vec<PackageGlob>")]
pub struct Members {
    /// In order, once each.
    names: Vec<PackageName>,
    patterns: Vec<PackageGlob>,
}

impl Members {
    /// Whether a package is among them.
    #[must_use]
    pub fn contains(&self, package: &PackageName) -> bool {
        self.names.binary_search(package).is_ok() || self.patterns.iter().any(|pattern| pattern.matches(package))
    }

    /// Those named, in order.
    #[must_use]
    pub fn names(&self) -> &[PackageName] {
        &self.names
    }

    /// The patterns.
    #[must_use]
    pub fn patterns(&self) -> &[PackageGlob] {
        &self.patterns
    }
}

impl From<Vec<PackageGlob>> for Members {
    fn from(globs: Vec<PackageGlob>) -> Self {
        let mut members = Self::default();
        for glob in globs {
            match PackageName::parse(glob.as_str()) {
                Ok(name) => members.names.push(name),
                Err(_) => members.patterns.push(glob),
            }
        }
        members.names.sort_unstable();
        members.names.dedup();
        members
    }
}

impl From<Members> for Vec<PackageGlob> {
    fn from(members: Members) -> Self {
        members.names.iter().map(PackageGlob::exactly).chain(members.patterns).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(texts: &[&str]) -> Members {
        Members::from(texts.iter().map(|text| PackageGlob::parse(text).unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn names_and_patterns() {
        let members = members(&["acme/pay", "zeta/*", "acme/cart", "acme/pay"]);
        assert_eq!(members.names().len(), 2);
        for (name, expected) in
            [("acme/pay", true), ("acme/cart", true), ("acme/other", false), ("zeta/x", true), ("zetas/x", false)]
        {
            assert_eq!(members.contains(&PackageName::parse(name).unwrap()), expected, "{name}");
        }
        assert!(!Members::default().contains(&PackageName::parse("acme/pay").unwrap()));
    }

    #[test]
    fn written_as_one_list() {
        let text = r#"{"id":"coll_1","packages":["zeta/*","acme/pay"],"constraint":"^2"}"#;
        let collection: Collection = serde_json::from_str(text).unwrap();
        assert_eq!(collection.packages, members(&["acme/pay", "zeta/*"]));
        assert_eq!(collection.minimum_stability, None);
        let again: Collection = serde_json::from_str(&serde_json::to_string(&collection).unwrap()).unwrap();
        assert_eq!(again, collection);
        assert!(serde_json::from_str::<Collection>(r#"{"id":"coll_1","packages":["Acme/*"]}"#).is_err());
    }
}
