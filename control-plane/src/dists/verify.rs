//! Goes through the storage: reads every dist and compares it with its row. Changes nothing, unless it is asked to heal.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::time::Instant;

use super::collect::{Counted, without_row};
use super::{StoreDistError, heal};
use crate::storage::{Condition, Storage};
use crate::store::Database;
use crate::store::dists::{DistRow, User};

/// Dists that are read at once.
const AT_ONCE: usize = 4;
const PAGE: i64 = 200;

/// How it is gone through.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Bytes a second that are read at most; none: as fast as it goes.
    pub rate: Option<u64>,
    /// Whether packages are read again whose dists are missing or damaged.
    pub heal: bool,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Dists that were read.
    pub dists: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those with which something is wrong.
    pub wrong: u64,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Dists that are as they should be.
    pub whole: Counted,
    /// Everything that is not.
    pub wrong: Vec<Wrong>,
    /// Stored bytes that no row names: nothing is wrong with them, `storage collect` takes them away.
    pub orphans: u64,
}

/// A dist with which something is wrong.
#[derive(Debug, Serialize)]
pub struct Wrong {
    /// `missing`, `damaged` or `unreadable`.
    pub what: &'static str,
    /// More about it.
    pub detail: Option<String>,
    /// Short name of the tenant.
    pub tenant: String,
    /// Its digest.
    pub sha256: String,
    /// What its size should be.
    pub size: u64,
    /// The versions that need it, `acme/parcel 1.0.0`.
    pub versions: Vec<String>,
    /// What to do.
    pub remedy: String,
}

/// Reads everything. `progress` is told after each dist.
///
/// # Errors
/// When the database fails. What is wrong with the storage is found, not failed at.
pub async fn run(
    database: &Database,
    storage: &Storage,
    options: Options,
    mut progress: impl FnMut(Progress),
) -> Result<Report, StoreDistError> {
    let (system, began) = (database.system(), Instant::now());
    let (mut report, mut last, mut bytes) = (Report::default(), None, 0);
    loop {
        let page = system.all_dists(last, PAGE).await?;
        let Some(end) = page.last() else { break };
        last = Some(*end);
        let checks = page.iter().map(|row| async move { (row, storage.check(row.tenant, row.sha256, row.size).await) });
        let mut checks = stream::iter(checks).buffer_unordered(AT_ONCE);
        while let Some((row, found)) = checks.next().await {
            match fault(found) {
                None => report.whole.add(row.size),
                Some(found) => report.wrong.push(describe(database, row, found, options.heal).await?),
            }
            bytes += row.size;
            let wrong = report.wrong.len() as u64;
            progress(Progress { dists: report.whole.dists + wrong, bytes, wrong });
            if let Some(rate) = options.rate.filter(|rate| *rate > 0) {
                tokio::time::sleep_until(began + Duration::from_secs_f64(bytes as f64 / rate as f64)).await;
            }
        }
    }
    let mut stored = storage.list().await?.try_chunks(1_000);
    while let Some(page) = stored.try_next().await.map_err(|error| error.1)? {
        report.orphans += without_row(system, &page).await?.len() as u64;
    }
    Ok(report)
}

/// What is wrong, and more about it.
type Fault = (&'static str, Option<String>);

fn fault(found: Result<Condition, crate::storage::StorageError>) -> Option<Fault> {
    match found {
        Ok(Condition::Whole) => None,
        Ok(Condition::Missing) => Some(("missing", None)),
        Ok(Condition::Damaged { size }) => {
            Some(("damaged", Some(format!("it has {size} bytes, not those it should have"))))
        }
        Err(error) => Some(("unreadable", Some(error.to_string()))),
    }
}

async fn describe(
    database: &Database,
    row: &DistRow,
    (what, detail): Fault,
    heal: bool,
) -> Result<Wrong, StoreDistError> {
    let users = database.system().users_of_dist(row.tenant, row.sha256).await?;
    let asked =
        if heal && what != "unreadable" { heal::ask(database, row.tenant, row.sha256).await? } else { Vec::new() };
    Ok(Wrong {
        what,
        detail,
        tenant: users.first().map_or_else(|| row.tenant.to_string(), |user| user.tenant.clone()),
        sha256: row.sha256.to_hex(),
        size: row.size,
        remedy: remedy(what, &users, &asked),
        versions: users.into_iter().map(|user| format!("{} {}", user.package, user.version)).collect(),
    })
}

fn remedy(what: &str, users: &[User], asked: &[String]) -> String {
    let again = |user: &User| user.current && !user.uploaded;
    match users {
        _ if what == "unreadable" => "look at the storage and verify again".to_owned(),
        _ if !asked.is_empty() => format!("{} is read again, which makes it anew", asked.join(", ")),
        [] => "no version needs it: nothing".to_owned(),
        users if users.iter().any(again) => {
            "verify with --heal: its package is read again, which makes it anew".to_owned()
        }
        users if users.iter().all(|user| user.uploaded) => {
            "restore the file from a backup, or delete the version and upload it again".to_owned()
        }
        _ => "restore the file from a backup: the repository's branch has moved on".to_owned(),
    }
}
