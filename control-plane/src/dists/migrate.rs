//! Copies every dist to another storage. It may be begun again at any moment and goes on where it was; nothing is taken away from the
//! first one, which goes on serving meanwhile.

use std::io;

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::io::AsyncWriteExt;

use super::StoreDistError;
use super::collect::Counted;
use crate::storage::{Storage, StorageError, Stored};
use crate::store::System;
use crate::store::dists::DistRow;

/// Dists that are copied at once.
const AT_ONCE: usize = 4;
const PAGE: i64 = 200;

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Migrated {
    /// Copied, and read back.
    pub copied: Counted,
    /// Those that were there already.
    pub already: u64,
    /// Those that could not be copied, by digest, and why.
    pub failed: Vec<Failed>,
}

/// A dist that could not be copied.
#[derive(Debug, Serialize)]
pub struct Failed {
    /// Its digest.
    pub sha256: String,
    /// Why.
    pub reason: String,
}

enum Outcome {
    Copied,
    Already,
}

/// Copies. `progress` is told after each dist how many there were.
///
/// # Errors
/// When the database fails. A dist that cannot be copied does not keep the others from it.
pub async fn run(
    system: &System,
    from: &Storage,
    to: &Storage,
    mut progress: impl FnMut(u64),
) -> Result<Migrated, StoreDistError> {
    let (mut migrated, mut last, mut done) = (Migrated::default(), None, 0);
    loop {
        let page = system.all_dists(last, PAGE).await?;
        let Some(end) = page.last() else { return Ok(migrated) };
        last = Some(*end);
        let copies = page.iter().map(|row| async move { (row, copy(row, from, to).await) });
        let mut copies = stream::iter(copies).buffer_unordered(AT_ONCE);
        while let Some((row, outcome)) = copies.next().await {
            match outcome {
                Ok(Outcome::Copied) => migrated.copied.add(row.size),
                Ok(Outcome::Already) => migrated.already += 1,
                Err(reason) => migrated.failed.push(Failed { sha256: row.sha256.to_hex(), reason }),
            }
            done += 1;
            progress(done);
        }
    }
}

async fn copy(row: &DistRow, from: &Storage, to: &Storage) -> Result<Outcome, String> {
    let said = |error: StorageError| error.to_string();
    let key = Stored { tenant: row.tenant, sha256: row.sha256 };
    // Nothing lies there half: it was read back when it was written.
    if to.look(key).await.map_err(said)?.is_some_and(|(size, _)| size == row.size) {
        return Ok(Outcome::Already);
    }
    let Some(mut bytes) = from.read(row.tenant, row.sha256).await.map_err(said)? else {
        return Err("it is missing; `cargoman storage verify` names its versions".to_owned());
    };
    let file = tempfile::NamedTempFile::new().map_err(temporary)?;
    let mut writer = tokio::fs::File::from_std(file.reopen().map_err(temporary)?);
    while let Some(piece) = bytes.try_next().await.map_err(|error| said(StorageError::BrokeOff(error)))? {
        writer.write_all(&piece).await.map_err(temporary)?;
    }
    writer.flush().await.map_err(temporary)?;
    match to.put(row.tenant, row.sha256, row.size, file.path()).await {
        Ok(()) => Ok(Outcome::Copied),
        Err(StorageError::SourceChanged(_)) => {
            Err("it is damaged; `cargoman storage verify` names its versions".to_owned())
        }
        Err(error) => Err(said(error)),
    }
}

fn temporary(error: io::Error) -> String {
    format!("cannot write a temporary file: {error}; name another folder in TMPDIR")
}
