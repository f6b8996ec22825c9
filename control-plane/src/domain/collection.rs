//! A collection: packages that are granted together. Decides what may stand in one.

use cargoman_composer::name::PackageName;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::access::{WordError, package_glob};
use crate::domain::id::CollectionId;

/// A collection, as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Collection {
    /// Id.
    pub id: CollectionId,
    /// Short name, as in paths.
    pub slug: String,
    /// For people.
    pub name: String,
    /// Names and patterns of packages, in the operator's order.
    pub packages: Vec<String>,
    /// Which versions, as the operator wrote it; without it a grant alone says.
    pub constraint: Option<String>,
    /// The least stable version shown; without it a grant alone says.
    pub minimum_stability: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A package's name, or a pattern: what holds a `*`. In lower case, as Composer takes names that people type.
///
/// # Errors
/// When it is neither.
pub fn member(text: &str) -> Result<String, WordError> {
    if text.contains('*') {
        return package_glob(&text.to_ascii_lowercase()).map(|glob| glob.as_str().to_owned());
    }
    let name = PackageName::parse_lowercasing(text).map_err(|error| WordError(error.to_string()))?;
    Ok(name.as_str().to_owned())
}

/// Whether a member names one package alone.
#[must_use]
pub fn is_name(member: &str) -> bool {
    !member.contains('*')
}

/// A slug out of a name for people; none when nothing of it can stand in one.
#[must_use]
pub fn slug_of(name: &str) -> Option<String> {
    const MOST: usize = 63;
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut slug = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    slug.truncate(MOST);
    slug.truncate(slug.trim_end_matches('-').len());
    (!slug.is_empty()).then_some(slug)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text::is_slug;

    #[test]
    fn members() {
        for (text, expected) in [
            ("acme/pay", Some("acme/pay")),
            ("Acme/Pay", Some("acme/pay")),
            ("acme/*", Some("acme/*")),
            ("ACME/*-pro", Some("acme/*-pro")),
            ("*", Some("*")),
            ("acme", None),
            ("acme/", None),
            ("acme/p y*", None),
            ("", None),
        ] {
            assert_eq!(member(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn slugs_out_of_names() {
        for (name, expected) in [
            ("Suite", Some("suite".to_owned())),
            ("  The Whole -- Suite, 2nd! ", Some("the-whole-suite-2nd".to_owned())),
            ("Größe", Some("gr-e".to_owned())),
            ("…", None),
            (&"ab ".repeat(30), Some("ab-".repeat(21).trim_end_matches('-').to_owned())),
        ] {
            let slug = slug_of(name);
            assert_eq!(slug, expected, "{name}");
            assert!(slug.is_none_or(|slug| is_slug(&slug)), "{name}");
        }
    }
}
