//! What the commands on packages take.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::admin::consent::Consent;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Adds a package from a git repository and syncs it.
    Add {
        /// The address that `git clone` takes.
        #[arg(required_unless_present = "upload_only", conflicts_with = "upload_only")]
        repository_url: Option<String>,
        /// `vendor/name`; else read from the default branch's composer.json.
        #[arg(long, required_if_eq("upload_only", "true"))]
        name: Option<String>,
        /// No repository: its versions are published one by one.
        #[arg(long)]
        upload_only: bool,
        /// A private fork of a public package.
        #[arg(long)]
        fork: bool,
        /// What opens the repository: the id of a git credential, `gitcred_…`.
        #[arg(long, conflicts_with = "upload_only")]
        credential: Option<String>,
        /// Folders that are packages of their own, such as `packages/*`; may be given several times, with `!` in front to leave some out.
        #[arg(long, conflicts_with = "upload_only", value_name = "PATTERN")]
        monorepo: Vec<String>,
        /// How the tags of those packages are written, such as `{package}/v{version}`; else a tag is a version of each of them.
        #[arg(long, requires = "monorepo", value_name = "PATTERN")]
        tag_pattern: Option<String>,
        #[command(flatten)]
        releases: Releases,
    },
    /// Changes where a package is read from; the word `null` clears the credential.
    Update {
        /// `vendor/name`.
        package: String,
        /// The address that `git clone` takes.
        #[arg(long)]
        repository_url: Option<String>,
        /// What opens it: the id of a git credential, `gitcred_…`.
        #[arg(long)]
        credential: Option<String>,
        #[command(flatten)]
        releases: Releases,
    },
    /// Lists packages.
    List {
        /// Only those whose name holds this.
        #[arg(long)]
        q: Option<String>,
    },
    /// Shows a package's versions.
    Show {
        /// `vendor/name`.
        package: String,
    },
    /// Reads the repository now.
    Sync {
        /// `vendor/name`.
        package: String,
    },
    /// Publishes a version from a zip archive.
    Publish {
        #[command(flatten)]
        of: Version,
        /// The archive, with a composer.json at its top or in its one folder.
        file: PathBuf,
        /// The composer.json, where the archive has none.
        #[arg(long)]
        metadata: Option<PathBuf>,
    },
    /// Makes a release visible that waits.
    Release {
        #[command(flatten)]
        of: Version,
    },
    /// Lets a release that nobody ever had follow its tag to another commit.
    Replace {
        #[command(flatten)]
        of: Version,
        /// Why; kept in the audit trail.
        #[arg(long)]
        reason: String,
    },
    /// Takes a version out of metadata; locks that hold it keep working.
    Yank {
        #[command(flatten)]
        of: Version,
        #[command(flatten)]
        consent: Consent,
    },
    /// Puts a yanked version back.
    Unyank {
        #[command(flatten)]
        of: Version,
    },
    /// Refuses a version to everybody, locks included.
    Takedown {
        #[command(flatten)]
        of: Version,
        /// What developers read who ask for it.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Puts a version back that was taken down.
    Untakedown {
        #[command(flatten)]
        of: Version,
    },
    /// Warns of a version: Composer shows it as abandoned.
    Deprecate {
        #[command(flatten)]
        of: Version,
        /// What to use instead.
        #[arg(long)]
        replacement: Option<String>,
    },
    /// Ends a deprecation.
    Undeprecate {
        #[command(flatten)]
        of: Version,
    },
    /// Corrects when a version was published, for limits of updates go by that.
    Date {
        #[command(flatten)]
        of: Version,
        /// The instant (RFC 3339).
        published_at: String,
        /// Why; kept in the audit trail.
        #[arg(long)]
        reason: String,
        /// The commit, where the version had several; else the current one.
        #[arg(long)]
        reference: Option<String>,
        #[command(flatten)]
        consent: Consent,
    },
    /// Says that a package is given up: Composer warns of it.
    Abandon {
        /// `vendor/name`.
        package: String,
        /// What to use instead.
        #[arg(long)]
        replacement: Option<String>,
    },
    /// Takes that back.
    Unabandon {
        /// `vendor/name`.
        package: String,
    },
    /// Deletes a package.
    Delete {
        /// `vendor/name`.
        package: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Brings a deleted package back.
    Restore {
        /// `vendor/name`.
        package: String,
    },
}

/// A version of a package.
#[derive(Debug, Args)]
pub(crate) struct Version {
    /// `vendor/name`.
    pub(super) package: String,
    /// As written or normalized.
    // The name `version` belongs to the flag of all commands.
    #[arg(id = "which", value_name = "VERSION")]
    pub(super) version: String,
}

/// When what is new becomes visible.
#[derive(Debug, Args)]
pub(crate) struct Releases {
    /// When a new release becomes visible: `auto`, `manual` (see `package release`) or `delayed`.
    #[arg(long, value_parser = ["auto", "manual", "delayed"])]
    releases: Option<String>,
    /// After how many hours, where they are delayed.
    #[arg(long, value_name = "HOURS")]
    release_delay_hours: Option<u32>,
}

impl Releases {
    /// Adds what was given to the body of a request.
    pub(super) fn add_to(&self, body: &mut Value) {
        if let Some(releases) = &self.releases {
            body["releases"] = json!(releases);
        }
        if let Some(hours) = self.release_delay_hours {
            body["release_delay_hours"] = json!(hours);
        }
    }
}
