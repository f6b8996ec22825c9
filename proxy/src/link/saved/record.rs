//! The records of the saved state, and the chain that proves them: each line carries an HMAC over itself and the one before, under
//! a key that only this edge and the control plane could know.

use std::io::Write;

use cargoman_edge_protocol::link::{Position, Seq};
use cargoman_edge_protocol::{Change, Key, Revision};
use chrono::{DateTime, Utc};
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Raised when an older program must not read the file.
pub(super) const VERSION: u32 = 1;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    /// The first one.
    Begin {
        /// [`VERSION`].
        version: u32,
        /// Of the machine's run: what was written before a power cut may lack its end.
        boot: String,
        /// Of the machine and the folder: a copy elsewhere grants itself nothing.
        #[serde(default)]
        home: String,
    },
    /// A fact was read.
    Fact { key: Key, revision: Revision, seq: Seq, value: Box<RawValue> },
    /// Events were heard up to here; this one named something.
    Event { position: Position, change: Option<Change> },
    /// A lease was granted.
    Lease {
        /// Its end, in milliseconds since the machine's start.
        until_boot_ms: u64,
        /// Its end by the wall clock.
        until: DateTime<Utc>,
        /// How long after it tenants may be served, in seconds.
        grace_s: u64,
        /// When this was written.
        at: DateTime<Utc>,
    },
    /// Everything before this is worth nothing.
    Dropped,
    /// The edge is no member any more: nothing may be served from here before it is one again.
    Left,
    /// The program ended in order, and all of this is on the disk.
    Closed { at: DateTime<Utc> },
}

/// The state of the chain after a line.
#[derive(Clone)]
pub(super) struct Chain {
    key: hmac::Key,
    last: Vec<u8>,
}

/// Hexadecimal digits of a line's proof.
const PROOF: usize = 64;

impl Chain {
    /// The beginning of a chain under the edge's credential.
    pub(super) fn new(credential: &str) -> Self {
        let secret = format!("cargoman saved state\n{credential}");
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), last: Vec::new() }
    }

    /// Writes a line, all at once.
    pub(super) fn write(&mut self, file: &mut impl Write, record: &Record) -> std::io::Result<usize> {
        let mut json = serde_json::to_string(record)?;
        // A value goes in as it was written elsewhere, perhaps over several lines. Between its parts they are but space.
        if json.contains(['\n', '\r']) {
            json = json.replace(['\n', '\r'], " ");
        }
        let tag = self.tag(json.as_bytes());
        let mut line = String::with_capacity(PROOF + 2 + json.len());
        for byte in tag.as_ref() {
            line.push_str(&format!("{byte:02x}"));
        }
        line.push(' ');
        line.push_str(&json);
        line.push('\n');
        file.write_all(line.as_bytes())?;
        self.last = tag.as_ref().to_vec();
        Ok(line.len())
    }

    /// Reads a line (without its end); none when it does not follow the one before.
    pub(super) fn read(&mut self, line: &str) -> Option<Record> {
        let (proof, json) = line.split_at_checked(PROOF)?;
        let json = json.strip_prefix(' ')?;
        let tag = self.tag(json.as_bytes());
        let expected: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        // No oracle: whoever can write the file can read it as well.
        if proof != expected {
            return None;
        }
        self.last = tag.as_ref().to_vec();
        serde_json::from_str(json).ok()
    }

    fn tag(&self, json: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&self.last);
        context.update(json);
        context.sign()
    }
}
