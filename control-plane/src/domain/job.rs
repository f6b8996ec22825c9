//! A job: work that outlives a request. The API calls it a task.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::id::JobId;

/// Reads a package's repository and publishes what is new.
pub const SYNC_PACKAGE: &str = "sync_package";

/// Looks which projects of a group at a forge are packages.
pub const SYNC_GROUP: &str = "sync_group";

/// What goes first when more waits than can be done at once. Whoever waits long goes before who has just come, whatever he asks for:
/// [`AGE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Somebody waits for it.
    Asked,
    /// Something was pushed.
    Pushed,
    /// It failed a while ago.
    Again,
    /// The clock said so.
    Polled,
}

impl Priority {
    /// As the database has it: the smaller, the sooner.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Asked => 0,
            Self::Pushed => 1,
            Self::Again => 2,
            Self::Polled => 3,
        }
    }

    /// The priority of a number; one that no release knows goes last.
    #[must_use]
    pub const fn of_number(number: i16) -> Self {
        match number {
            0 => Self::Asked,
            1 => Self::Pushed,
            2 => Self::Again,
            _ => Self::Polled,
        }
    }
}

/// For each time a job has waited so long it counts as one priority higher.
pub const AGE: Duration = Duration::from_secs(30);

/// After so many failures in a row that might have passed, nothing more is tried by itself: about a day.
const MOST_RETRIES: u32 = 8;
const FIRST_RETRY: Duration = Duration::from_secs(15);
const LAST_RETRY: Duration = Duration::from_secs(6 * 3600);

/// How long to wait before what failed is tried again; none when it was tried often enough. `random` is from 0 to 1: what failed
/// together must not come back together.
#[must_use]
pub fn backoff(retries: u32, random: f64) -> Option<Duration> {
    if retries >= MOST_RETRIES {
        return None;
    }
    let longest = FIRST_RETRY.saturating_mul(4_u32.saturating_pow(retries)).min(LAST_RETRY);
    Some(longest.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0))
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done: `listing`, `receiving`, `reading` or `archiving`.
    pub phase: String,
    /// Units done.
    pub done: u64,
    /// Units in all; 0 while unknown.
    pub total: u64,
}

/// A job.
#[derive(Debug, Clone, Serialize)]
pub struct Job {
    /// Id.
    pub id: JobId,
    /// What it does: `sync_package` or `sync_group`.
    pub kind: String,
    /// Name of the package it is about.
    pub package: Option<String>,
    /// Address of the group of projects it is about.
    pub group: Option<String>,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// How soon it is done.
    pub priority: Priority,
    /// How often it was begun.
    pub attempt: i32,
    /// How many jobs about the same failed one after the other before this one.
    pub retries: i32,
    /// Whether it failed and is not tried again by itself: somebody has to look.
    pub dead: bool,
    /// Whether it was asked to end.
    pub cancel_asked: bool,
    /// How far it is; none before it says so.
    pub progress: Option<Value>,
    /// It does not begin before.
    pub run_after: DateTime<Utc>,
    /// What it did.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Job {
    /// Whether nothing more will happen to it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "failed" | "cancelled")
    }
}

/// What a sync did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncResult {
    /// Versions that are new, as written.
    pub added: Vec<String>,
    /// Versions that show another commit than before.
    pub updated: Vec<String>,
    /// Versions that are gone.
    pub removed: Vec<String>,
    /// Refs that are no versions, and why.
    pub skipped: Vec<SkippedRef>,
    /// Packages of a monorepo that the sync made.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Names under own vendors that are required but are neither here nor public.
    #[serde(default)]
    pub missing_requirements: Vec<String>,
    /// Whether the repository was as at the last sync.
    #[serde(default)]
    pub unchanged: bool,
    /// From begin to end.
    pub took_ms: u64,
}

impl SyncResult {
    /// Takes in what the sync did to a package of a monorepo: its name stands in front of each version and ref.
    pub fn take_in(&mut self, package: &str, other: Self) {
        let named = |versions: Vec<String>| versions.into_iter().map(move |version| format!("{package} {version}"));
        self.added.extend(named(other.added));
        self.updated.extend(named(other.updated));
        self.removed.extend(named(other.removed));
        let skipped = other.skipped.into_iter();
        self.skipped.extend(skipped.map(|one| SkippedRef { name: format!("{package} {}", one.name), ..one }));
        self.missing_requirements.extend(other.missing_requirements);
        self.missing_requirements.sort_unstable();
        self.missing_requirements.dedup();
    }
}

/// A ref that is no version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRef {
    /// Its name; bytes that are no UTF-8 are shown as `\xNN`.
    #[serde(rename = "ref")]
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_tried_later_and_later() {
        let seconds = |retries, random| backoff(retries, random).map(|delay| delay.as_secs_f64());
        for (retries, least, most) in [(0, 7.5, 15.0), (1, 30.0, 60.0), (4, 1920.0, 3840.0), (7, 10800.0, 21600.0)] {
            assert_eq!((seconds(retries, 0.0), seconds(retries, 1.0)), (Some(least), Some(most)), "{retries}");
            assert_eq!(seconds(retries, 7.0), Some(most));
        }
        assert_eq!((seconds(8, 0.5), seconds(u32::MAX, 0.5)), (None, None));
    }

    #[test]
    fn priorities_keep_their_numbers() {
        for priority in [Priority::Asked, Priority::Pushed, Priority::Again, Priority::Polled] {
            assert_eq!(Priority::of_number(priority.number()), priority);
        }
        assert!(Priority::Pushed < Priority::Polled);
        assert_eq!(Priority::of_number(-3), Priority::Polled);
    }
}
