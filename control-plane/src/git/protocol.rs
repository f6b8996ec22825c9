//! Decides what the control plane and its git worker say to each other: one [`Request`] as JSON on the worker's standard input,
//! then [`Event`]s as JSON lines on its standard output. Nothing else is ever written there; logs go to standard error.
//!
//! The last line is `finished`, `unchanged` or `failed`. Versions announced before a `failed` are complete and may be kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use super::failure::{Failed, FailureCode};
pub use super::limits::Limits;
use super::network::Network;

/// What the worker is asked to do. Unknown keys are refused: both sides are the same program.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What to do.
    pub mode: Mode,
    /// The repository as the operator gave it; checked again by [`super::url`].
    pub repository_url: String,
    /// Folder of the bare mirror, absolute; made when it does not exist. One worker at a time.
    pub mirror: PathBuf,
    /// Folder for dists, absolute and existing; each is named `<sha256>.zip`.
    pub output: PathBuf,
    /// What may be reached, and how.
    #[serde(default)]
    pub network: Network,
    /// Shown to exactly the scheme, host and port of `repository_url`.
    #[serde(default)]
    pub credential: Option<Credential>,
    /// The package's name when an earlier sync has bound it.
    #[serde(default)]
    pub bound_name: Option<String>,
    /// What the last complete sync saw. When it is the same now, and no known ref has an unreadable object, the answer is
    /// `unchanged`. Left out, all refs are looked at.
    #[serde(default)]
    pub previous: Option<Previous>,
    /// Patterns of the branches that are versions, see `domain::branches`; none: all are. The default branch always is.
    #[serde(default)]
    pub branches: Vec<String>,
    /// Of a repository with many packages: which, and what is known of them.
    #[serde(default)]
    pub monorepo: Option<Monorepo>,
    /// Refs that earlier syncs have settled, by full ref name: no work is done for them while they point to the same object.
    #[serde(default)]
    pub known: BTreeMap<String, Known>,
    /// Bounds of this sync.
    #[serde(default)]
    pub limits: Limits,
}

/// A repository with many packages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Monorepo {
    /// Patterns of the folders that are packages.
    pub patterns: Vec<String>,
    /// How tags are written; left out, a tag is a version of every package in it.
    #[serde(default)]
    pub tags: Option<String>,
    /// Packages that earlier syncs have made.
    #[serde(default)]
    pub children: Vec<Child>,
    /// Names that belong to other packages of the registry: they are never taken.
    #[serde(default)]
    pub taken: BTreeSet<String>,
    /// Vendors under which packages may be made.
    #[serde(default)]
    pub vendors: BTreeSet<String>,
}

/// A package of a monorepo that an earlier sync has made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Child {
    /// Its name.
    pub name: String,
    /// Its folder when it was last there.
    pub path: String,
    /// As [`Request::known`].
    #[serde(default)]
    pub known: BTreeMap<String, Known>,
}

/// What the worker is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything: refs, versions, dists.
    Sync,
    /// Only the name in the default branch's composer.json: `head`, then `finished`.
    Probe,
}

/// What opens a repository. Never logged: `Debug` shows nothing of it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Credential {
    /// Basic authentication over https.
    Basic {
        /// User name; many forges take any.
        username: String,
        /// Password or access token.
        password: String,
    },
    /// A key for ssh.
    SshKey {
        /// In OpenSSH's form, without a passphrase.
        private_key: String,
        /// Whom to log in as, where the address does not say.
        username: Option<String>,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// What the last complete sync saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// `refs_digest` of its `refs` event.
    pub refs_digest: String,
    /// Short name of the default branch then.
    pub default_branch: String,
}

/// A settled ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The object the ref pointed to (for an annotated tag the tag object).
    pub oid: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// A version was published from it.
    Version {
        /// Its normalised version: no other ref of the same kind may take it.
        normalized: String,
        /// Whether it was the default branch.
        #[serde(default)]
        default_branch: bool,
    },
    /// It was skipped.
    Skipped {
        /// Why. Reasons that may pass ([`SkipCode::may_pass`]) are looked at again.
        code: SkipCode,
    },
}

/// One line of the worker's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// How far it is; for people.
    Progress {
        /// What is being done.
        phase: Phase,
        /// Units done.
        done: u64,
        /// Units in all; 0 while unknown.
        total: u64,
    },
    /// The refs are those of the previous sync: nothing was fetched or read. Last line.
    Unchanged,
    /// The package's name is decided.
    Head {
        /// The name all versions are published under.
        name: String,
        /// Short name of the default branch.
        default_branch: String,
    },
    /// All branches and tags with acceptable names. Follows `head`.
    Refs {
        /// In byte order of the ref names.
        refs: Vec<ListedRef>,
        /// For [`Previous::refs_digest`]; covers refs with unacceptable names too.
        refs_digest: String,
    },
    /// A package of a monorepo, as the default branch has it. All of them follow `refs`.
    Member {
        /// Its name.
        name: String,
        /// Its folder.
        path: String,
    },
    /// A ref gave a version of a package before, and the package is not in its tree any more.
    Absent {
        /// The package of a monorepo.
        package: String,
        /// Full name.
        #[serde(rename = "ref")]
        name: String,
    },
    /// A ref that gives no version.
    Skipped(Skipped),
    /// A version whose dist is complete on disk.
    Version(Box<Version>),
    /// All refs are settled. Last line.
    Finished,
    /// The sync stopped. Last line.
    Failed(Failed),
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Asking the remote for its refs.
    Listing,
    /// Receiving objects.
    Receiving,
    /// Reading composer.json files.
    Reading,
    /// Writing dists.
    Archiving,
}

/// A branch or tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedRef {
    /// Full name, `refs/heads/…` or `refs/tags/…`.
    #[serde(rename = "ref")]
    pub name: String,
    /// Object it points to: 40 hexadecimal digits.
    pub oid: String,
}

/// A ref that gives no version, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The package of a monorepo that is concerned; none: the repository's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Full name; what cannot be printed is escaped as `\u{…}` or `\x…`, long names are cut.
    #[serde(rename = "ref")]
    pub name: String,
    /// The name's bytes in hexadecimal, when `name` is not exactly the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_hex: Option<String>,
    /// Object it points to.
    pub oid: String,
    /// For programs.
    pub code: SkipCode,
    /// For people; one sentence.
    pub reason: String,
}

/// Why a ref gives no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipCode {
    /// The ref's name breaks git's rules, cannot be printed, or is too long.
    RefName,
    /// The name is no Composer version.
    NotAVersion,
    /// The tag points to no commit.
    NotACommit,
    /// There is no composer.json.
    NoManifest,
    /// composer.json is not acceptable.
    BadManifest,
    /// The key `version` says something else than the tag.
    VersionMismatch,
    /// Another ref already gives this version.
    Duplicate,
    /// An object cannot be read.
    UnreadableObject,
    /// The tree cannot be put into an archive, or breaks a limit.
    Archive,
}

impl SkipCode {
    /// Whether the reason may pass while the ref stays the same: it depends on other refs, on the mirror or on limits.
    #[must_use]
    pub const fn may_pass(self) -> bool {
        matches!(self, Self::Duplicate | Self::UnreadableObject)
    }
}

/// A version with a complete dist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// The package of a monorepo; none: the repository's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Full ref name.
    #[serde(rename = "ref")]
    pub name: String,
    /// Tag or branch.
    pub kind: Kind,
    /// Object the ref points to (for an annotated tag the tag object).
    pub oid: String,
    /// The commit: Composer's reference.
    pub commit: String,
    /// The version as people write it.
    pub pretty: String,
    /// Composer's normal form.
    pub normalized: String,
    /// `stable`, `RC`, `beta`, `alpha` or `dev`.
    pub stability: String,
    /// Whether this is the default branch.
    pub default_branch: bool,
    /// Committer time, RFC 3339 UTC, between 1970 and the day after the sync.
    pub time: String,
    /// Tagger time of an annotated tag, bounded likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tagged_at: Option<String>,
    /// The version object for Composer, without `dist` and `source`.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Names of required packages.
    pub requires: BTreeSet<String>,
    /// The archive.
    pub dist: Dist,
}

/// Tag or branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `refs/tags/…`
    Tag,
    /// `refs/heads/…`
    Branch,
}

/// A finished zip archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dist {
    /// 64 hexadecimal digits.
    pub sha256: String,
    /// 40 hexadecimal digits: Composer's `shasum`.
    pub sha1: String,
    /// Bytes.
    pub size: u64,
    /// Where it lies.
    pub path: PathBuf,
    /// Entries, folders included.
    pub entries: usize,
}
