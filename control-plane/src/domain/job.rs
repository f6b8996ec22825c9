//! A job: work that outlives a request. The API calls it a task.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::id::JobId;

/// Reads a package's repository and publishes what is new.
pub const SYNC_PACKAGE: &str = "sync_package";

/// A job.
#[derive(Debug, Clone, Serialize)]
pub struct Job {
    /// Id.
    pub id: JobId,
    /// What it does, `sync_package`.
    pub kind: String,
    /// Name of the package it is about.
    pub package: Option<String>,
    /// `queued`, `running`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// How often it was begun.
    pub attempt: i32,
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
    /// Names under own vendors that are required but are neither here nor public.
    #[serde(default)]
    pub missing_requirements: Vec<String>,
    /// Whether the repository was as at the last sync.
    #[serde(default)]
    pub unchanged: bool,
    /// From begin to end.
    pub took_ms: u64,
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
