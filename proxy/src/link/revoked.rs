//! The log of tokens that were ended for good. It outlives every epoch: when a database is restored from a backup, edges tell it
//! which tokens were revoked after that backup. A line more does no harm, a line less may.
//!
//! A line is written before the revocation is acknowledged, so that it outlives the process, and reaches the disk within a second or
//! so: nobody waits for the disk. It would matter only to a token that was revoked in the second before this machine lost its power
//! and whose revocation the database lost as well; after a loss of power nothing that was saved is served unasked anyway.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use cargoman_edge_protocol::link::Epoch;
use chrono::{DateTime, Utc};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

/// Nobody restores an older backup than this.
const KEPT: chrono::Duration = chrono::Duration::days(400);

/// One line. Without a token it says that everything so far was handed over to that epoch.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    epoch: Epoch,
    at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<(TenantId, Digest)>,
}

/// The log.
pub(crate) struct Revoked {
    file: Option<File>,
    /// Whether something in the file may not be on the disk yet.
    unsynced: bool,
    epoch: Option<Epoch>,
    tokens: BTreeMap<(TenantId, String), (Digest, DateTime<Utc>)>,
}

impl Revoked {
    /// The log in the state folder.
    pub(crate) fn open(folder: &Path, now: DateTime<Utc>) -> Self {
        let path = folder.join("revoked");
        let bytes = if path.is_file() { std::fs::read(&path).unwrap_or_default() } else { Vec::new() };
        let mut log = Self { file: None, unsynced: false, epoch: None, tokens: BTreeMap::new() };
        let mut damaged = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let Ok(Line { epoch, at, token }) = serde_json::from_slice(line) else {
                // One that was cut short was not acknowledged.
                damaged += usize::from(line.ends_with(b"\n"));
                continue;
            };
            log.epoch = Some(epoch);
            if let Some((tenant, digest)) = token.filter(|_| now - at < KEPT) {
                log.tokens.insert((tenant, digest.to_hex()), (digest, at));
            }
        }
        if damaged > 0 {
            tracing::error!(
                target: "cargoman::edge", lines = damaged, file = %path.display(),
                "lines of the log of revoked tokens are damaged; after a restore of the database these tokens could be good again"
            );
        }
        // A pipe would wait for a reader.
        let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        match File::options().append(true).create(true).mode(0o600).custom_flags(nonblocking).open(&path) {
            Ok(file) => log.file = Some(file),
            Err(error) => tracing::error!(
                target: "cargoman::edge", %error, file = %path.display(),
                "revocations cannot be noted; a restore from a backup could bring tokens back"
            ),
        }
        // A torn last line must not swallow the next one.
        if !bytes.is_empty() && !bytes.ends_with(b"\n") {
            log.write(b"\n");
        }
        log
    }

    /// Of the last line; none when there is nothing to hand over.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.epoch.filter(|_| !self.tokens.is_empty())
    }

    /// Notes a token.
    pub(crate) fn note(&mut self, epoch: Epoch, tenant: TenantId, digest: Digest, at: DateTime<Utc>) {
        if self.tokens.insert((tenant, digest.to_hex()), (digest, at)).is_none() {
            self.line(&Line { epoch, at, token: Some((tenant, digest)) });
        }
    }

    /// Everything was handed over to this epoch.
    pub(crate) fn handed_over(&mut self, epoch: Epoch, at: DateTime<Utc>) {
        if self.epoch.is_some_and(|known| known != epoch) {
            self.line(&Line { epoch, at, token: None });
        }
    }

    /// Every token.
    pub(crate) fn tokens(&self) -> Vec<(TenantId, Digest)> {
        self.tokens.iter().map(|((tenant, _), (digest, _))| (*tenant, *digest)).collect()
    }

    fn line(&mut self, line: &Line) {
        self.epoch = Some(line.epoch);
        if let Ok(mut text) = serde_json::to_vec(line) {
            text.push(b'\n');
            self.write(&text);
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        self.unsynced = true;
        if let Err(error) = file.write_all(bytes) {
            tracing::error!(target: "cargoman::edge", %error, "a revocation could not be noted");
        }
    }

    /// Brings to the disk what was written. Blocks for a moment if there is something.
    pub(crate) fn sync(&mut self) {
        let Some(file) = self.file.as_ref().filter(|_| self.unsynced) else { return };
        match file.sync_data() {
            Ok(()) => self.unsynced = false,
            Err(error) => {
                tracing::error!(target: "cargoman::edge", %error, "revocations that were noted do not reach the disk");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn kept_over_restarts_and_epochs() {
        let folder = tempfile::tempdir().unwrap();
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let (tenant, token) = (TenantId(Uuid::nil()), |number: u8| Digest::of(&[number]));
        let mut log = Revoked::open(folder.path(), at);
        assert_eq!(log.epoch(), None);
        log.note(1, tenant, token(1), at);
        log.note(1, tenant, token(1), at);
        log.note(1, tenant, token(2), at);
        std::fs::OpenOptions::new()
            .append(true)
            .open(folder.path().join("revoked"))
            .unwrap()
            .write_all(b"{\"epoch\":1,\"at")
            .unwrap();
        let mut log = Revoked::open(folder.path(), at);
        assert_eq!((log.epoch(), log.tokens().len()), (Some(1), 2));
        // One bad byte costs one line.
        let path = folder.path().join("revoked");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(b"\xff\xff\n");
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Revoked::open(folder.path(), at).tokens().len(), 2);
        log.handed_over(2, at);
        log.note(2, tenant, token(3), at);
        let log = Revoked::open(folder.path(), at);
        assert_eq!((log.epoch(), log.tokens().len()), (Some(2), 3));
        assert_eq!(Revoked::open(folder.path(), at + KEPT + chrono::Duration::days(1)).tokens().len(), 0);
    }
}
