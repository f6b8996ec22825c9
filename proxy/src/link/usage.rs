//! What one request says of its use: who downloaded or installed what, to be kept at the right moment.

use std::net::IpAddr;
use std::sync::Arc;

use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::{Download, Installed, UsageEvent};
use http::HeaderMap;
use uuid::Uuid;

use super::spool::Spool;
use crate::request::bearer::Bearer;

/// Longest name of a client that is kept, in characters.
const LONGEST_AGENT: usize = 200;

/// Counts what comes of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meter<'a> {
    pub(crate) spool: &'a Arc<Spool>,
    /// Of the client.
    pub(crate) address: Option<IpAddr>,
    /// Of the request.
    pub(crate) headers: &'a HeaderMap,
}

/// A use that counts once its answer is about to be whole, and not before.
#[derive(Debug)]
pub(crate) struct Due {
    spool: Arc<Spool>,
    event: UsageEvent,
}

impl Due {
    /// Keeps it; once this returns it is kept, or given up and counted as that.
    ///
    /// One short write into the system's memory is cheaper than asking another thread for it, as long as the disk keeps up. When it
    /// does not, only those wait who have something to be kept.
    pub(crate) async fn count(self) {
        match self.spool.is_quick() {
            true => self.spool.append(&self.event),
            // A thread that panics has said so; the customer gets his bytes all the same.
            false => drop(tokio::task::spawn_blocking(move || self.spool.append(&self.event)).await),
        }
    }
}

impl Meter<'_> {
    /// `bytes` of the dist of (package, version, reference).
    pub(crate) fn download(&self, bearer: &Bearer<'_>, dist: (&PackageName, &str, &str), bytes: u64) -> Due {
        let (package, version, reference) = dist;
        self.due(UsageEvent::Download(Download {
            id: Uuid::now_v7(),
            tenant: bearer.tenant.id,
            customer: bearer.access.customer.id.clone(),
            token: bearer.token_id.to_owned(),
            package: package.clone(),
            version: version.to_owned(),
            reference: reference.to_owned(),
            bytes,
            at: bearer.now,
            address: self.address,
            user_agent: self.user_agent(),
        }))
    }

    /// What the bearer says he installed.
    pub(crate) fn installed(&self, bearer: &Bearer<'_>, installs: Vec<(PackageName, String)>) -> Due {
        self.due(UsageEvent::Installed(Installed {
            id: Uuid::now_v7(),
            tenant: bearer.tenant.id,
            token: bearer.token_id.to_owned(),
            installs,
            at: bearer.now,
            address: self.address,
            user_agent: self.user_agent(),
        }))
    }

    fn due(&self, event: UsageEvent) -> Due {
        Due { spool: Arc::clone(self.spool), event }
    }

    /// In one line.
    fn user_agent(&self) -> String {
        let agent =
            self.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        agent.chars().filter(|c| !c.is_control()).take(LONGEST_AGENT).collect()
    }
}
