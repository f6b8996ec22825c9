//! Which version a git tag or branch becomes, and which alias a branch carries.
//!
//! The rules are those by which Composer reads a repository itself. On top of them every version published must be one
//! that a client can name: read back from a lock file it is the same version, and used as a constraint it matches
//! itself. Whether a tag *should* be published is not decided here.

use serde_json::Value;

use crate::constraint::Constraint;
use crate::pattern::{digits, strip_prefix_any_case, strip_suffix_any_case};
use crate::stability::Stability;

use super::{Version, VersionError, normalize, normalize_branch, shown};

/// The alias that Composer gives to a default branch without a number: newer than every release.
pub const DEFAULT_BRANCH_ALIAS: &str = "9999999-dev";

/// The version of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagVersion {
    /// As shown and as kept in lock files: the tag without `release-`.
    pub pretty: String,
    /// Its normalized form, never of `dev` stability.
    pub version: Version,
}

/// The version of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchVersion {
    /// As shown and as kept in lock files: `dev-main`, `1.2.x-dev`.
    pub pretty: String,
    /// Its normalized form, always of `dev` stability.
    pub version: Version,
}

/// Why a tag gives no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// It is not a version.
    #[error("the tag is no version: {0}")]
    NotAVersion(#[from] VersionError),
    /// It names a development version, which only branches may.
    #[error("tag `{}`: tags can not use the prefix `dev-` or the suffix `-dev`, only branches can", shown(.tag))]
    Development {
        /// The tag as given.
        tag: String,
    },
    /// No constraint could ask for it.
    #[error("tag `{}` can be read as a version but not asked for: rename it to a plain version", shown(.tag))]
    Unusable {
        /// The tag as given.
        tag: String,
    },
}

/// Why a branch gives no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BranchError {
    /// Composer would read its name as something else than one version.
    #[error("branch `{}` has characters that mean something in a constraint: rename it", shown(.branch))]
    Unusable {
        /// The branch as given.
        branch: String,
    },
}

/// The version of the tag `tag` (its short name, without `refs/tags/`).
///
/// # Errors
/// When Composer would skip the tag, or could not ask for the version.
pub fn tag_version(tag: &str) -> Result<TagVersion, TagError> {
    let name = tag.replace("release-", "");
    let version = Version::parse(&name)?;
    let text = version.normalized();
    if text.starts_with("dev-") || strip_suffix_any_case(text, "dev").is_some() {
        return Err(TagError::Development { tag: tag.to_owned() });
    }
    let pretty = match strip_suffix_any_case(&name, "dev") {
        Some(rest) => rest.strip_suffix(['.', '-']).unwrap_or(rest).to_owned(),
        None => name,
    };
    if !names(&pretty, &version) {
        return Err(TagError::Unusable { tag: tag.to_owned() });
    }
    Ok(TagVersion { pretty, version })
}

/// The version of the branch `branch` (its short name, without `refs/heads/`).
///
/// # Errors
/// When its name can not be used in a constraint.
pub fn branch_version(branch: &str) -> Result<BranchVersion, BranchError> {
    let normalized = normalize_branch(branch).replace('#', "+");
    let pretty = if normalized.starts_with("dev-") {
        format!("dev-{}", branch.replace('#', "+"))
    } else {
        let prefix = if branch.starts_with('v') { "v" } else { "" };
        format!("{prefix}{}", collapse_open_parts(&normalized))
    };
    let version = Version::from_normalized(&normalized);
    if !names(&pretty, &version) {
        return Err(BranchError::Unusable { branch: branch.to_owned() });
    }
    Ok(BranchVersion { pretty, version })
}

/// Does a client that meets `pretty` in a lock file or a constraint arrive at `version`?
fn names(pretty: &str, version: &Version) -> bool {
    let read_back = normalize(pretty).is_ok_and(|normalized| normalized == version.normalized());
    read_back && Constraint::parse(pretty).is_ok_and(|constraint| constraint.matches(version))
}

/// `1.2.9999999.9999999-dev` → `1.2.x-dev`.
fn collapse_open_parts(normalized: &str) -> String {
    let mut pretty = String::with_capacity(normalized.len());
    let mut rest = normalized;
    while let Some(position) = rest.find(".9999999") {
        pretty.push_str(&rest[..position]);
        pretty.push_str(".x");
        rest = &rest[position..];
        while let Some(after) = rest.strip_prefix(".9999999") {
            rest = after;
        }
    }
    pretty.push_str(rest);
    pretty
}

/// The normalized alias of a version of which `pretty` is the pretty form and `extra` the `extra` of its manifest.
///
/// `extra.branch-alias` is looked at first; with `default_branch` the answer falls back to [`default_branch_alias`].
/// `version` must be the normalized form of `pretty`: only development versions have aliases.
#[must_use]
pub fn branch_alias(extra: &Value, version: &Version, pretty: &str, default_branch: bool) -> Option<Version> {
    if version.stability() != Stability::Dev || !is_development(pretty) {
        return None;
    }
    let aliases = extra.get("branch-alias").and_then(Value::as_object);
    let own = aliases.into_iter().flatten().filter(|(source, _)| source.eq_ignore_ascii_case(pretty));
    let found = own.into_iter().find_map(|(source, target)| alias_target(source, target.as_str()?));
    match found {
        Some(normalized) => Some(Version::from_normalized(&normalized)),
        None => default_branch.then(|| default_branch_alias(pretty)).flatten(),
    }
}

/// The alias `9999999-dev` that Composer adds to a default branch, unless its own name is a number.
#[must_use]
pub fn default_branch_alias(pretty: &str) -> Option<Version> {
    let numeric = numeric_prefix(pretty.strip_prefix('v').unwrap_or(pretty)).is_some();
    (is_development(pretty) && !numeric).then(|| Version::from_normalized(DEFAULT_BRANCH_ALIAS))
}

/// Composer looks at the pretty form, and at its case.
fn is_development(pretty: &str) -> bool {
    pretty.starts_with("dev-") || pretty.ends_with("-dev")
}

/// The normalized form of an alias target, if Composer would take it for the branch `source`.
pub(crate) fn alias_target(source: &str, target: &str) -> Option<String> {
    let branch = target.strip_suffix("-dev")?;
    let normalized =
        if target == DEFAULT_BRANCH_ALIAS { DEFAULT_BRANCH_ALIAS.to_owned() } else { normalize_branch(branch) };
    if !normalized.ends_with("-dev") {
        return None;
    }
    match (numeric_prefix(source), numeric_prefix(target)) {
        (Some(source), Some(target)) if !target.starts_with(&source) => None,
        _ => Some(normalized),
    }
}

/// `1.2.` of `1.2.x-dev` or `1.2-dev`: what a numeric branch and its alias must share.
fn numeric_prefix(branch: &str) -> Option<String> {
    let branch = strip_suffix_any_case(crate::pattern::without_final_newline(branch), "-dev")?;
    let (_, mut rest) = digits(branch)?;
    while let Some((_, after)) = rest.strip_prefix('.').and_then(digits) {
        rest = after;
    }
    let number = &branch[..branch.len() - rest.len()];
    let open = strip_prefix_any_case(rest, ".x").unwrap_or(rest);
    open.is_empty().then(|| format!("{number}."))
}
