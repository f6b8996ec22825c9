//! Decides what becomes of a project of a group: whether it is looked at, and whether what its composer.json says makes it a package.
//! Pure.

use cargoman_composer::name::PackageName;
use cargoman_licence::PackageGlob;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::branches::fits;
use crate::domain::git_credential::UsedCredential;
use crate::domain::id::{ForgeGroupId, HookId};
use crate::webhook::Provider;

/// Patterns and globs of one group.
pub const MOST_PATTERNS: usize = 50;

/// A group of projects at a forge, as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub struct ForgeGroup {
    /// Id.
    pub id: ForgeGroupId,
    /// Who speaks.
    #[serde(rename = "type")]
    pub provider: Provider,
    /// Its address for people.
    pub url: String,
    /// Where the API lies.
    pub api_url: String,
    /// What asks the API.
    pub credential: UsedCredential,
    /// What its packages are read with, if that is another one.
    pub package_credential: Option<UsedCredential>,
    /// Globs of the names that may come from it.
    pub packages: Vec<String>,
    /// Patterns of the projects that are looked at; none: all.
    pub projects: Option<Vec<String>>,
    /// What its projects' hooks call; none: no hooks are made.
    pub hook: Option<HookId>,
    /// When its projects were last listed.
    pub listed_at: Option<DateTime<Utc>>,
    /// Why the last look at it failed.
    pub sync_error: Option<String>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// How many projects it has.
    pub project_count: i64,
    /// How many of them are packages.
    pub package_count: i64,
}

/// What became of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectState {
    /// It was not looked at yet.
    New,
    /// It is a package.
    Package,
    /// Its default branch has no composer.json.
    NoManifest,
    /// Its composer.json does not make it a package; the reason says why.
    Refused,
    /// The group's `projects` leave it out.
    LeftOut,
    /// It may only be read any more.
    Archived,
    /// The group does not have it any more.
    Gone,
    /// It could not be looked at; it is tried again.
    Failed,
}

impl ProjectState {
    const ALL: [Self; 8] = [
        Self::New,
        Self::Package,
        Self::NoManifest,
        Self::Refused,
        Self::LeftOut,
        Self::Archived,
        Self::Gone,
        Self::Failed,
    ];

    /// As the database and the API write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Package => "package",
            Self::NoManifest => "no_manifest",
            Self::Refused => "refused",
            Self::LeftOut => "left_out",
            Self::Archived => "archived",
            Self::Gone => "gone",
            Self::Failed => "failed",
        }
    }

    /// The state of a word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What became of a project, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What.
    pub state: ProjectState,
    /// Why; a sentence that says what to do.
    pub reason: Option<String>,
}

impl Verdict {
    /// With a reason.
    #[must_use]
    pub fn because(state: ProjectState, reason: impl Into<String>) -> Self {
        Self { state, reason: Some(reason.into()) }
    }
}

/// What becomes of a project before anything is asked about it; none when its composer.json decides.
#[must_use]
pub fn before_asking(path: &str, archived: bool, patterns: &[String]) -> Option<Verdict> {
    if archived {
        return Some(Verdict::because(ProjectState::Archived, "it is archived"));
    }
    (!wanted(patterns, path)).then(|| Verdict::because(ProjectState::LeftOut, "the group's `projects` leave it out"))
}

/// Whether a project is looked at: no pattern takes it out, and one takes it in or there is none that does. A pattern is for the whole
/// path, `*` for any characters, a `!` in front takes out; upper and lower case are alike.
#[must_use]
pub fn wanted(patterns: &[String], path: &str) -> bool {
    let path = path.to_lowercase();
    let any = |out: bool| {
        let mut these = patterns.iter().filter(|pattern| pattern.starts_with('!') == out);
        these.any(|pattern| fits(&pattern.trim_start_matches('!').to_lowercase(), &path))
    };
    let takes_in = patterns.iter().any(|pattern| !pattern.starts_with('!'));
    !any(true) && (!takes_in || any(false))
}

/// The name that a composer.json gives, if it may come from this group. A fork of somebody's public package must not take that one's
/// place for all customers, nor may whoever can make a project take a name that is not meant for him.
///
/// # Errors
/// Why it makes no package.
pub fn package_name(manifest: &[u8], globs: &[PackageGlob]) -> Result<PackageName, Verdict> {
    let refused = |reason: String| Verdict::because(ProjectState::Refused, reason);
    let manifest: serde_json::Value = serde_json::from_slice(manifest)
        .map_err(|error| refused(format!("its composer.json is no JSON: {error}; correct it and push")))?;
    let name = manifest.get("name").and_then(serde_json::Value::as_str);
    let name = name.ok_or_else(|| refused("its composer.json has no `name`; give it one and push".to_owned()))?;
    let name = PackageName::parse(name)
        .map_err(|error| refused(format!("the `name` in its composer.json: {error}; correct it and push")))?;
    if !globs.iter().any(|glob| glob.matches(&name)) {
        let reason = format!("`{name}` is not among the names that may come from this group; add it to `packages`");
        return Err(refused(reason));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_projects() {
        let patterns = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        for (list, path, expected) in [
            (&[][..], "acme/pay", true),
            (&["acme/*"], "Acme/Pay", true),
            (&["acme/*"], "acme/team/pay", true),
            (&["acme/pay"], "acme/payment", false),
            (&["!*/legacy-*"], "acme/legacy-shop", false),
            (&["!*/legacy-*"], "acme/shop", true),
            (&["acme/*", "!acme/x"], "acme/x", false),
        ] {
            assert_eq!(wanted(&patterns(list), path), expected, "{list:?} {path}");
        }
        assert_eq!(before_asking("a/b", true, &[]).map(|verdict| verdict.state), Some(ProjectState::Archived));
        assert_eq!(before_asking("a/b", false, &[]), None);
    }

    #[test]
    fn which_names() {
        let globs = [PackageGlob::parse("acme/*").unwrap()];
        assert_eq!(package_name(br#"{"name": "acme/pay"}"#, &globs).unwrap().as_str(), "acme/pay");
        for (manifest, words) in [
            (&b"{"[..], "no JSON"),
            (b"[]", "no `name`"),
            (b"{\"name\": 1}", "no `name`"),
            (b"{\"name\": \"pay\"}", "`name`"),
            (b"{\"name\": \"Acme/Pay\"}", "upper-case"),
            (b"{\"name\": \"symfony/console\"}", "not among the names"),
            (b"\xff", "no JSON"),
        ] {
            let verdict = package_name(manifest, &globs).unwrap_err();
            assert!(
                verdict.state == ProjectState::Refused && verdict.reason.as_ref().unwrap().contains(words),
                "{verdict:?}"
            );
        }
    }

    #[test]
    fn states_keep_their_words() {
        for state in ProjectState::ALL {
            assert_eq!(ProjectState::parse(state.as_str()), Some(state));
            assert_eq!(serde_json::json!(state), state.as_str());
        }
    }
}
